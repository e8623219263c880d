import { InputError } from '../errors.ts'
import type { Dataset, Row } from './dataset.ts'
import { openText } from './json-lines.ts'

/** How a CSV file is written. */
export interface CsvOptions {
  /** @default ',' */
  readonly separator?: string
  /** Names of the columns where the first line is a row already. @default the first line has them */
  readonly columns?: readonly string[]
}

/**
 * Rows of a CSV file (RFC 4180: quoted fields may hold separators, line breaks and doubled quotes). Every value is text:
 * a file does not say what is a number. A name that ends in `.gz` is unpacked.
 *
 * @throws InputError, with file and line, at a row of another number of fields or an open quote; what the file system says
 *   when the file cannot be read
 * @example
 * for await (const { text, label } of csv('mails.csv').rows()) console.log(text, Number(label))
 */
export function csv(path: string, { separator = ',', columns }: CsvOptions = {}): Dataset {
  return {
    async *rows(from = 0) {
      const { CsvError, parse } = await import('csv-parse') // where it is needed: start-up
      const file = openText(path)
      const parser = parse({ delimiter: separator, columns: columns === undefined ? true : [...columns], bom: true, skip_empty_lines: true })
      file.once('error', (error) => parser.destroy(error))
      let index = 0
      try {
        for await (const row of file.pipe(parser) as AsyncIterable<Row>) {
          if (index++ >= from) yield row
        }
      } catch (cause) {
        if (cause instanceof CsvError) throw new InputError(`${path}: ${cause.message}`, [], { cause })
        throw cause
      } finally {
        file.destroy()
      }
    },
  }
}
