import { Readable } from 'node:stream'
import { InputError, shown } from '../errors.ts'
import type { Dataset, Row } from './dataset.ts'
import { linesOf, MAX_ROW_BYTES, type TextFileOptions } from './text-file.ts'
import { checkNames } from '../base/options.ts'

/** How a CSV file is written. */
export interface CsvOptions extends TextFileOptions {
  /** @default ',' */
  readonly separator?: string
  /** Names of the columns where the first line is a row already. @default the first line has them */
  readonly columns?: readonly string[]
}

/**
 * Rows of a CSV file (RFC 4180: quoted fields may hold separators, line breaks and doubled quotes). Every value is text:
 * a file does not say what is a number. A name that ends in `.gz` is unpacked.
 *
 * @throws InputError, with file and line, at a row of another number of fields, an open quote, two columns of one name, text that is
 *   not UTF-8, a row that is too long, and where packed data is damaged; what the file system says when the file cannot be read
 * @example
 * for await (const { text, label } of csv('mails.csv').rows()) console.log(text, ['ham', 'spam'].indexOf(String(label)))
 */
export function csv(path: string, options: CsvOptions = {}): Dataset {
  checkNames('csv', options, { separator: true, columns: true, maxRowBytes: true })
  const { separator = ',', columns, maxRowBytes = MAX_ROW_BYTES } = options
  const named = (names: readonly string[]): string[] => {
    const twice = new Set(names.filter((name, i) => names.indexOf(name) !== i))
    if (twice.size === 0) return [...names]
    throw new InputError(`${path}: expected columns of different names, got ${[...twice].map(shown).join(', ')} more than once. Rename them in the file's first line.`)
  }
  return {
    async *rows(from = 0) {
      const { CsvError, parse } = await import('csv-parse') // where it is needed: start-up
      const text = Readable.from(textsOf(path, maxRowBytes))
      const parser = parse({ delimiter: separator, columns: columns === undefined ? named : named(columns), skip_empty_lines: true, max_record_size: maxRowBytes })
      text.once('error', (error) => parser.destroy(error))
      let index = 0
      try {
        for await (const row of text.pipe(parser) as AsyncIterable<Row>) {
          if (index++ >= from) yield row
        }
      } catch (cause) {
        if (!(cause instanceof CsvError)) throw cause
        const wayOut = cause.code === 'CSV_MAX_RECORD_SIZE' ? '. Is a quote not closed? If none is, raise maxRowBytes' : ''
        throw new InputError(`${path}: ${cause.message}${wayOut}`, [], { cause })
      } finally {
        text.destroy()
      }
    },
  }
}

async function* textsOf(path: string, maxRowBytes: number): AsyncGenerator<string, void> {
  for await (const { text } of linesOf(path, maxRowBytes)) yield text
}
