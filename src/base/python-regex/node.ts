/** A part of a regular expression. Texts are code points, and so are positions in them. */
export type Node =
  | { readonly kind: 'character'; readonly fits: CharacterTest }
  | { readonly kind: 'place'; readonly fits: PlaceTest }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | { readonly kind: 'repeat'; readonly item: Node; readonly min: number; readonly max: number; readonly greedy: boolean }
  | { readonly kind: 'group'; readonly name: string | undefined; readonly item: Node }
  /** Decided by itself, and not gone back into. */
  | { readonly kind: 'atomic'; readonly item: Node }
  /** Whether the item fits from here on, or up to here; takes no characters. */
  | { readonly kind: 'look'; readonly item: Node; readonly ahead: boolean; readonly negative: boolean }

export type CharacterTest = (character: number) => boolean
export type PlaceTest = (text: readonly number[], position: number) => boolean

/** Fewest and most characters a part can take. */
export function widthOf(node: Node): readonly [number, number] {
  switch (node.kind) {
    case 'character':
      return [1, 1]
    case 'place':
    case 'look':
      return [0, 0]
    case 'sequence':
      return node.items.map(widthOf).reduce(([min, max], [low, high]) => [min + low, max + high], [0, 0])
    case 'choice': {
      const widths = node.options.map(widthOf)
      return [Math.min(...widths.map(([low]) => low)), Math.max(...widths.map(([, high]) => high))]
    }
    case 'repeat': {
      const [low, high] = widthOf(node.item)
      return [low * node.min, high === 0 ? 0 : high * node.max]
    }
    case 'group':
    case 'atomic':
      return widthOf(node.item)
  }
}

/** Whether something that may be empty is repeated without end in it, where the order in which Python tries is its own. */
export function repeatsEmpty(node: Node): boolean {
  switch (node.kind) {
    case 'sequence':
      return node.items.some(repeatsEmpty)
    case 'choice':
      return node.options.some(repeatsEmpty)
    case 'repeat':
      return (node.max === Infinity && widthOf(node.item)[0] === 0) || repeatsEmpty(node.item)
    case 'group':
    case 'atomic':
    case 'look':
      return repeatsEmpty(node.item)
    default:
      return false
  }
}
