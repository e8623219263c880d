/** A piece of a template: text as it stands, or a token between the tags. */
export interface Token {
  readonly type: 'text' | 'blockBegin' | 'blockEnd' | 'variableBegin' | 'variableEnd' | 'name' | 'string' | 'integer' | 'float' | 'operator'
  readonly value: string
  readonly line: number
}

const space = /\s*/y
const tokenRules: readonly (readonly [Token['type'], RegExp])[] = [
  ['float', /\d[\d_]*(?:\.\d[\d_]*(?:[eE][+-]?\d+)?|[eE][+-]?\d+)/y],
  ['integer', /0[bB][01_]+|0[oO][0-7_]+|0[xX][\da-fA-F_]+|\d[\d_]*/y],
  ['name', /[\p{L}_][\p{L}\p{N}\p{M}_]*/uy],
  ['string', /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y],
  ['operator', /\/\/|\*\*|==|!=|>=|<=|[-+/*%~()[\]{}<>=.:|,;]/y],
]
const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/**
 * The tokens of a template, as Jinja 3.1 reads it with `trim_blocks` and `lstrip_blocks`: white space before a block on
 * its line goes, and the line's end behind it.
 *
 * @throws SyntaxError
 */
export function tokensOf(template: string): Token[] {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '')
  const tokens: Token[] = []
  let at = 0
  let line = 1
  let lineStarting = true // what was read last ends a line
  const fail = (message: string): never => {
    throw new SyntaxError(`${message}, line ${line}`)
  }
  const take = (end: number): string => {
    const taken = source.slice(at, end)
    line += taken.split('\n').length - 1
    lineStarting = taken.endsWith('\n')
    at = end
    return taken
  }
  /** Takes what the expression finds here. */
  const match = (expression: RegExp): string | undefined => {
    expression.lastIndex = at
    const found = expression.exec(source)?.[0]
    return found === undefined ? undefined : take(at + found.length)
  }
  const push = (type: Token['type'], value: string): void => void tokens.push({ type, value, line })
  const pushText = (text: string, sign: string, isBlock: boolean, starting: boolean): void => {
    let kept = text
    if (sign === '-') kept = text.trimEnd()
    else if (sign === '' && isBlock) {
      const begin = text.lastIndexOf('\n') + 1
      if ((begin > 0 || starting) && /^\s*$/.test(text.slice(begin))) kept = text.slice(0, begin)
    }
    if (kept !== '') push('text', kept)
  }

  while (at < source.length) {
    const tag = /\{[%{#]/g
    tag.lastIndex = at
    const begin = tag.exec(source)?.index ?? source.length
    const starting = lineStarting
    const text = source.slice(at, begin)
    take(begin)
    if (begin === source.length) {
      if (text !== '') push('text', text)
      break
    }
    const kind = source[at + 1] ?? ''
    const sign = /[-+]/.test(source[at + 2] ?? '') ? source[at + 2] ?? '' : ''
    pushText(text, sign, kind !== '{', starting)
    const raw = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y
    if (kind === '#') {
      if (match(/\{#[\s\S]*?(?:\+#\}|-#\}\s*|#\}\n?)/y) === undefined) fail('a comment has no end')
    } else if (kind === '%' && match(raw) !== undefined) readRaw()
    else {
      take(at + 2 + sign.length)
      push(kind === '%' ? 'blockBegin' : 'variableBegin', '')
      readTag(kind === '%')
    }
  }
  return tokens

  function readRaw(): void {
    const end = /([\s\S]*?)\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/y
    end.lastIndex = at
    const found = end.exec(source)
    if (found === null) return fail('a raw block has no end')
    const starting = lineStarting
    take(at + found[0].length)
    pushText(found[1] ?? '', found[2] ?? '', true, starting)
  }

  function readTag(isBlock: boolean): void {
    const end = isBlock ? /\+%\}|-%\}\s*|%\}\n?/y : /-\}\}\s*|\}\}/y
    const open: string[] = []
    for (;;) {
      match(space)
      if (at >= source.length) fail('a tag has no end')
      if (open.length === 0 && match(end) !== undefined) { push(isBlock ? 'blockEnd' : 'variableEnd', ''); return; }
      let type: Token['type'] | undefined
      let value: string | undefined
      for (const [each, expression] of tokenRules) {
        type = each
        value = match(expression)
        if (value !== undefined) break
      }
      if (type === undefined || value === undefined) return fail(`unexpected character ${JSON.stringify(source[at])}`)
      const close = type === 'operator' ? closing[value] : undefined
      if (close !== undefined) open.push(close)
      else if (type === 'operator' && /[)\]}]/.test(value) && open.pop() !== value) fail(`unexpected ${JSON.stringify(value)}`)
      push(type, type === 'string' ? unescaped(value.slice(1, -1)) : value)
    }
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', '\\': '\\', "'": "'", '"': '"', '\n': '' }

/** Python's escapes; what is none stands as it is. */
function unescaped(text: string): string {
  return text.replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, byte: string | undefined, short: string | undefined, long: string | undefined, octal: string | undefined, letter: string | undefined) => {
      const hex = byte ?? short ?? long
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8))
      return escapes[letter ?? ''] ?? whole
    })
}
