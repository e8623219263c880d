import { InputError } from '../errors.ts'
import type { Dataset, Row } from './dataset.ts'
import { linesOf, MAX_ROW_BYTES, type TextFileOptions } from './text-file.ts'
import { checkNames } from '../base/options.ts'

/**
 * Rows of a JSON Lines file: an object on each line. Empty lines are passed over; a name that ends in `.gz` is unpacked.
 *
 * @throws InputError, with file and line, at a line that is no JSON object, not UTF-8 or too long, and where packed data is damaged;
 *   what the file system says when the file cannot be read
 * @example
 * for await (const { text, label } of jsonLines('mails.jsonl').rows()) console.log(text, label)
 */
export function jsonLines(path: string, options: TextFileOptions = {}): Dataset {
  checkNames('jsonLines', options, { maxRowBytes: true })
  const { maxRowBytes = MAX_ROW_BYTES } = options
  return {
    async *rows(from = 0) {
      let index = 0
      for await (const lines of linesOf(path, maxRowBytes)) {
        for (const [i, text] of lines.text.split('\n').entries()) {
          if (text.trim() === '' || index++ < from) continue
          yield parse(text, `${path}: line ${lines.line + i}`)
        }
      }
    },
  }
}

function parse(text: string, where: string): Row {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InputError(`${where}: expected a JSON object, got ${excerpt(text)} (${(cause as Error).message})`, [], { cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row
  throw new InputError(`${where}: expected a JSON object, got ${excerpt(text)}. A file that is one JSON array is not JSON Lines.`)
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
