import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { csvReader, type CsvDialect, type CsvRow } from '../../src/data/csv-rows.ts'
import { goldenPath } from '../golden.ts'

const PLAIN: CsvDialect = { separator: ',', quote: '"', escape: false, doubleQuote: true, skipInitialSpace: false }
const golden = JSON.parse(readFileSync(goldenPath('data/csv.json'), 'utf8')) as
  { options: Partial<CsvDialect>; texts: (readonly [string, readonly (readonly string[])[] | null])[] }[]

/** The rows of a text that comes in pieces of so many characters; null where a quote is open at the end. */
function read(text: string, dialect: CsvDialect, size: number): readonly CsvRow[] | null {
  const reader = csvReader(dialect)
  const rows = Array.from({ length: Math.ceil(text.length / size) }, (_, i) => reader.read(text.slice(i * size, (i + 1) * size))).flat()
  return reader.rest().inQuotes ? null : [...rows, ...reader.end()]
}

describe('the rows of a CSV file', () => {
  it.each(golden)("are those of Python's csv.reader with $options, whatever pieces it comes in", ({ options, texts }) => {
    for (const [text, expected] of texts) {
      for (const size of [1, 3, 1000]) expect([text, read(text, { ...PLAIN, ...options }, size)?.map(({ fields }) => fields) ?? null]).toEqual([text, expected])
    }
  })

  it('know the line that each begins in, line breaks in quotes and of every kind counted', () => {
    for (const size of [1, 2, 1000]) {
      expect(read('a\r\n\r\n"b\nc\r\nd\re",f\rg\n\nh', PLAIN, size)?.map(({ line }) => line)).toEqual([1, 3, 7, 9])
    }
  })
})
