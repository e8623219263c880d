import { InputError, shown } from '../errors.ts'
import type { Row } from './dataset.ts'
import { placed } from './where.ts'

/**
 * The row that a text is.
 *
 * @param where the text stands, as errors name it
 * @param instead what else the file may be
 * @throws InputError when it is no JSON object, or has a name twice: of the two values one would be lost
 */
export function jsonObject(text: string, where: string, instead: string): Row {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InputError(`${where}: expected a JSON object, got ${excerpt(text)} (${(cause as Error).message}). ${instead}`, [], { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new InputError(`${where}: expected a JSON object, got ${excerpt(text)}. ${instead}`)
  const twice = repeatedName(text)
  if (twice !== undefined) throw new InputError(`${where}: expected names that differ in a JSON object, got ${shown(twice)} more than once. Rename or remove one of them.`)
  return placed(value as Row, where)
}

/** A name that an object in sound JSON has twice. */
function repeatedName(json: string): string | undefined {
  const around: (Set<string> | undefined)[] = [] // of each object or list that is open, the names of an object
  for (let i = 0; i < json.length; i++) {
    const char = json[i]
    if (char === '{') around.push(new Set())
    else if (char === '[') around.push(undefined)
    else if (char === '}' || char === ']') around.pop()
    else if (char === '"') {
      const begin = i
      i = closingQuote(json, begin)
      const names = around.at(-1)
      if (names === undefined || !isName(json, i + 1)) continue
      const name = JSON.parse(json.slice(begin, i + 1)) as string
      if (names.has(name)) return name
      names.add(name)
    }
  }
  return undefined
}

function closingQuote(json: string, opening: number): number {
  for (let end = json.indexOf('"', opening + 1); ; end = json.indexOf('"', end + 1)) {
    let backslashes = 0
    while (json[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end
  }
}

function isName(json: string, end: number): boolean {
  while (/\s/.test(json[end] ?? '')) end++
  return json[end] === ':'
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
