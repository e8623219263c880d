import { parseStrictJson } from '../base/files/strict-json.ts'
import { InputError } from '../errors.ts'
import type { Row } from './dataset.ts'
import { placed } from './where.ts'

/** Deeper than any row that is meant for a model. */
const MAX_DEPTH = 64

/**
 * The row that a text is.
 *
 * @param where the text stands, as errors name it
 * @param instead what else the file may be
 * @throws InputError when it is no JSON object, or has a name twice: of the two values one would be lost
 */
export function jsonObject(text: string, where: string, instead: string): Row {
  const refuse = (why: string, cause?: unknown): InputError => {
    const wayOut = /^\s*\{/.test(text) ? '' : `. ${instead.replace(/\.$/, '')}`
    return new InputError(`${where}: expected a JSON object, got ${excerpt(text)}${why}${wayOut}.`, [], cause === undefined ? {} : { cause })
  }
  let value: unknown
  try {
    value = parseStrictJson(text, MAX_DEPTH)
  } catch (cause) {
    throw refuse(` (${(cause as Error).message})`, cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('')
  return placed(value as Row, where)
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
