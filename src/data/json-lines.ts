import type { Dataset } from './dataset.ts'
import { jsonObject } from './json-object.ts'
import { checkPath } from './no-file.ts'
import { linesOf, MAX_ROW_BYTES, type TextFileOptions } from './text-file.ts'
import { checkNames } from '../base/options.ts'

/**
 * Rows of a JSON Lines file: an object on each line. Empty lines are passed over; a name that ends in `.gz` is unpacked. A file that is
 * one JSON array is read by `json`.
 *
 * @throws InputError, with file and line, at a line that is no JSON object or has a name twice, not UTF-8 or too long, and where packed
 *   data is damaged; where there is no such file, with what is there
 * @example
 * for await (const { text, label } of jsonLines('mails.jsonl').rows()) console.log(text, label)
 */
export function jsonLines(path: string, options: TextFileOptions = {}): Dataset {
  checkPath('jsonLines', path)
  checkNames('jsonLines', options, { maxRowBytes: true })
  const { maxRowBytes = MAX_ROW_BYTES } = options
  return {
    async *rows(from = 0) {
      let index = 0
      for await (const lines of linesOf(path, maxRowBytes)) {
        for (const [i, text] of lines.text.split('\n').entries()) {
          if (text.trim() === '' || index++ < from) continue
          yield jsonObject(text, `${path}: line ${lines.line + i}`, 'A file that is one JSON array is read by json(path).')
        }
      }
    },
  }
}
