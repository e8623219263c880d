/** Expressions of a template. */
export type Expression =
  | { readonly kind: 'constant'; readonly value: string | number | boolean | null }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly of: Expression; readonly key: Expression }
  | { readonly kind: 'slice'; readonly of: Expression; readonly parts: readonly (Expression | undefined)[] }
  | { readonly kind: 'call'; readonly callee: Expression; readonly args: Arguments }
  | { readonly kind: 'filter'; readonly of: Expression | undefined; readonly name: string; readonly args: Arguments }
  | { readonly kind: 'test'; readonly of: Expression; readonly name: string; readonly args: Arguments; readonly negated: boolean }
  | { readonly kind: 'unary'; readonly operator: 'not' | '-' | '+'; readonly of: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'logic'; readonly operator: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'compare'; readonly first: Expression; readonly rest: readonly { readonly operator: string; readonly right: Expression }[] }
  | { readonly kind: 'condition'; readonly test: Expression; readonly then: Expression; readonly otherwise: Expression | undefined }

export interface Arguments {
  readonly positional: readonly Expression[]
  readonly named: readonly (readonly [string, Expression])[]
  /** `*values` */
  readonly spread?: Expression | undefined
  /** `**values` */
  readonly spreadNamed?: Expression | undefined
}

/** What a value is given to. */
export type Target = { readonly kind: 'name'; readonly name: string } | { readonly kind: 'field'; readonly name: string; readonly field: string } | { readonly kind: 'targets'; readonly targets: readonly Target[] }

export interface Parameter {
  readonly name: string
  readonly fallback: Expression | undefined
}

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'for'; readonly target: Target; readonly of: Expression; readonly test: Expression | undefined; readonly body: Block; readonly otherwise: Block }
  | { readonly kind: 'if'; readonly branches: readonly { readonly test: Expression; readonly body: Block }[]; readonly otherwise: Block }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly kind: 'setBlock'; readonly target: Target; readonly body: Block; readonly filter: Expression | undefined }
  | { readonly kind: 'macro'; readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Block }
  | { readonly kind: 'callBlock'; readonly parameters: readonly Parameter[]; readonly call: Expression; readonly body: Block }
  | { readonly kind: 'filterBlock'; readonly filter: Expression; readonly body: Block }
  | { readonly kind: 'with'; readonly values: readonly (readonly [Target, Expression])[]; readonly body: Block }
  | { readonly kind: 'break' | 'continue' }

export type Block = readonly Statement[]
