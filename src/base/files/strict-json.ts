import { shown } from '../../errors.ts'

/**
 * Parses JSON that comes from a stranger: a key given twice in one object, the key `__proto__`, and nesting deeper
 * than `maxDepth` are errors. JSON.parse would take the last of two equal keys without a word, so that two readers
 * of one file could see different tensors.
 *
 * @throws SyntaxError with the reason
 */
export function parseStrictJson(text: string, maxDepth: number): unknown {
  // A key of an object, never of an array, is a string followed by a colon; what is not JSON fails in JSON.parse below.
  const keys: Set<string>[] = []
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (isOpening(char)) {
      if (keys.push(new Set()) > maxDepth) throw tooDeep(maxDepth)
    } else if (isClosing(char)) {
      keys.pop()
    } else if (char === QUOTE) {
      const end = endOfString(text, i)
      if (text.charCodeAt(afterBlanks(text, end)) === COLON) addKey(keys.at(-1), text.slice(i, end))
      i = end - 1
    }
  }
  return JSON.parse(text) as unknown
}

/**
 * The members of an object, as strict as `parseStrictJson` but one by one, each value as its text: of a large object neither the
 * whole nor all its parts are in memory.
 *
 * @throws SyntaxError with the reason, when it is reached
 */
export function* membersOf(text: string, maxDepth: number): Generator<readonly [name: string, value: string], void> {
  const keys = new Set<string>()
  const expect = (at: number, what: string, ...chars: readonly number[]): number => {
    if (!chars.includes(text.charCodeAt(at))) throw new SyntaxError(at < text.length ? `expected ${what} at position ${at}` : 'it ends too early')
    return at
  }
  let at = afterBlanks(text, expect(afterBlanks(text, 0), '{', OPENING_BRACE) + 1)
  if (text.charCodeAt(at) !== CLOSING_BRACE) {
    for (;;) {
      const end = endOfString(text, expect(at, 'a name', QUOTE))
      const name = addKey(keys, text.slice(at, end))
      const begin = expect(afterBlanks(text, end), '":"', COLON) + 1
      at = expect(endOfValue(text, begin, maxDepth), '"," or "}"', COMMA, CLOSING_BRACE)
      yield [name, text.slice(begin, at)]
      if (text.charCodeAt(at) === CLOSING_BRACE) break
      at = afterBlanks(text, at + 1)
    }
  }
  if (afterBlanks(text, at + 1) < text.length) throw new SyntaxError(`expected nothing after the object, which ends at position ${at}`)
}

const [QUOTE, BACKSLASH, COLON, COMMA, OPENING_BRACE, CLOSING_BRACE, OPENING_BRACKET, CLOSING_BRACKET] = [0x22, 0x5c, 0x3a, 0x2c, 0x7b, 0x7d, 0x5b, 0x5d] as const

function isOpening(char: number): boolean {
  return char === OPENING_BRACE || char === OPENING_BRACKET
}

function isClosing(char: number): boolean {
  return char === CLOSING_BRACE || char === CLOSING_BRACKET
}

function tooDeep(maxDepth: number): SyntaxError {
  return new SyntaxError(`nested more than ${maxDepth} levels deep`)
}

/** Index of the comma or brace behind a member's value. */
function endOfValue(text: string, begin: number, maxDepth: number): number {
  let depth = 1
  for (let i = begin; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === QUOTE) i = endOfString(text, i) - 1
    else if (isOpening(char) && ++depth > maxDepth) throw tooDeep(maxDepth)
    else if (depth === 1 && (char === COMMA || isClosing(char))) return i
    else if (isClosing(char)) depth--
  }
  return text.length
}

function addKey(keys: Set<string> | undefined, quoted: string): string {
  const key = JSON.parse(quoted) as string
  if (key === '__proto__') throw new SyntaxError('"__proto__" is not accepted as a name')
  if (keys?.has(key) === true) throw new SyntaxError(`the name ${shown(key)} is given twice`)
  keys?.add(key)
  return key
}

/** Index of the first character from `at` on that is no blank. */
function afterBlanks(text: string, at: number): number {
  while (at < text.length && ' \n\r\t'.includes(text.charAt(at))) at++
  return at
}

/** Index behind the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === QUOTE) return i + 1
    if (char === BACKSLASH) i++
  }
  throw new SyntaxError('a string is not closed')
}
