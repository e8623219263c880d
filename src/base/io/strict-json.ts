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
    const char = text[i]
    if (char === '{' || char === '[') {
      if (keys.push(new Set()) > maxDepth) throw new SyntaxError(`nested more than ${maxDepth} levels deep`)
    } else if (char === '}' || char === ']') {
      keys.pop()
    } else if (char === '"') {
      const end = endOfString(text, i)
      let next = end + 1
      while (next < text.length && ' \n\r\t'.includes(text[next] as string)) next++
      if (text[next] === ':') addKey(keys.at(-1), JSON.parse(text.slice(i, end + 1)) as string)
      i = end
    }
  }
  return JSON.parse(text) as unknown
}

function addKey(keys: Set<string> | undefined, key: string): void {
  if (key === '__proto__') throw new SyntaxError('"__proto__" is not accepted as a name')
  if (keys?.has(key) === true) throw new SyntaxError(`the name ${JSON.stringify(key)} is given twice`)
  keys?.add(key)
}

/** Index of the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '"') return i
    if (text[i] === '\\') i++
  }
  throw new SyntaxError('a string is not closed')
}
