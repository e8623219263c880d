import { InputError, shown } from '../errors.ts'
import { csvReader, type CsvDialect, type CsvRow } from './csv-rows.ts'
import type { Dataset, Row } from './dataset.ts'
import { checkPath } from './no-file.ts'
import { linesOf, MAX_ROW_BYTES, type TextFileOptions } from './text-file.ts'
import { placed } from './where.ts'
import { checkNames } from '../base/options.ts'

/** How a CSV file is written. */
export interface CsvOptions extends TextFileOptions {
  /** @default ',' */
  readonly separator?: string
  /** Names of the columns where the first line is a row already. @default the first line has them */
  readonly columns?: readonly string[]
  /** Stands around fields with separators, quotes or line breaks; false where it is a character like others. @default '"' */
  readonly quote?: string | false
  /** Before a character that stands for itself: '\\'. @default none */
  readonly escape?: string
  /** A quote in a quoted field is written twice. @default true */
  readonly doubleQuote?: boolean
  /** Blanks behind a separator do not belong to the field. @default false */
  readonly skipInitialSpace?: boolean
}

/**
 * Rows of a CSV file: quoted fields may hold separators, line breaks and doubled quotes, and a quote within a field that does not begin
 * with one is a character of it, as Python's csv reads it. Every value is text: a file does not say what is a number. Lines without
 * anything are passed over; a name that ends in `.gz` is unpacked.
 *
 * @throws InputError, with file and line, at a row of another number of fields, an open quote, two columns of one name, text that is
 *   not UTF-8, a row that is too long, and where packed data is damaged; where there is no such file, with what is there; where the
 *   first line is one column that has another separator in its name
 * @example
 * for await (const { text, label } of csv('mails.csv').rows()) console.log(text, label)
 */
export function csv(path: string, options: CsvOptions = {}): Dataset {
  checkPath('csv', path)
  checkNames('csv', options, { separator: true, columns: true, maxRowBytes: true, quote: true, escape: true, doubleQuote: true, skipInitialSpace: true })
  const { separator = ',', columns, maxRowBytes = MAX_ROW_BYTES, quote = '"', escape = false, doubleQuote = true, skipInitialSpace = false } = options
  const isUsual = options.separator === undefined
  const dialect: CsvDialect = { separator, quote, escape, doubleQuote, skipInitialSpace }
  checkDialect(dialect)
  return {
    async *rows(from = 0) {
      let names = columns === undefined ? undefined : distinct(path, columns)
      let index = 0
      for await (const { fields, line } of rowsOf(path, dialect, maxRowBytes)) {
        if (names === undefined) {
          names = distinct(path, fields)
          const other = isUsual ? separatorIn(fields, separator) : undefined
          if (other !== undefined) throw new InputError(`${path}: line ${line}: one column, called ${shown(names[0])}. ${advice(other)} Where it is one column, give { separator: ',' }.`)
          continue
        }
        if (fields.length !== names.length) throw wrongCount(`${path}: line ${line}`, names, fields, separator)
        if (index++ >= from) yield placed<Row>(Object.fromEntries(names.map((name, i) => [name, fields[i]])), `${path}: line ${line}`)
      }
    },
  }
}

async function* rowsOf(path: string, dialect: CsvDialect, maxRowBytes: number): AsyncGenerator<CsvRow, void> {
  const reader = csvReader(dialect)
  for await (const { text } of linesOf(path, maxRowBytes)) {
    yield* reader.read(text)
    const { line, length } = reader.rest()
    if (length > maxRowBytes) throw new InputError(`${path}: line ${line}: a row has more than ${maxRowBytes} bytes. Is a quote not closed? If none is, raise maxRowBytes.`)
  }
  const { line, inQuotes } = reader.rest()
  if (inQuotes) throw new InputError(`${path}: line ${line}: a quote is not closed in the row that begins here. Close it, or give quote: false where quotes are characters like others.`)
  yield* reader.end()
}

function checkDialect({ separator, quote, escape }: CsvDialect): void {
  const given = Object.entries({ separator, quote, escape }).filter(([name, value]) => name === 'separator' || value !== false)
  const problems = given
    .filter(([, value]) => typeof value !== 'string' || value.length !== 1 || /[\r\n]/.test(value))
    .map(([name, value]) => `${name}: expected one character that is no line break, got ${shown(value)}`)
  const values = given.map(([, value]) => value)
  if (new Set(values).size < values.length) problems.push(`${given.map(([name]) => name).join(', ')}: expected characters that differ, got ${values.map(shown).join(', ')}`)
  if (problems.length > 0) throw new InputError('csv: the options cannot be used:', problems)
}

function distinct(path: string, names: readonly string[]): readonly string[] {
  const twice = new Set(names.filter((name, i) => names.indexOf(name) !== i))
  if (twice.size === 0) return names
  throw new InputError(`${path}: expected columns of different names, got ${[...twice].map(shown).join(', ')} more than once. Rename them in the file's first line.`)
}

/** Of a line that is one field: the character in it that may be the separator, the most frequent. */
function separatorIn(fields: readonly string[], separator: string): string | undefined {
  const [only = ''] = fields
  if (fields.length !== 1) return undefined
  const counts = [';', '\t', '|', ','].filter((char) => char !== separator && only.includes(char)).map((char) => [char, only.split(char).length] as const)
  return counts.sort(([, a], [, b]) => b - a)[0]?.[0]
}

function advice(separator: string): string {
  return `Is ${shown(separator)} its separator? csv(path, { separator: ${shown(separator)} }) reads it so.`
}

function wrongCount(where: string, names: readonly string[], fields: readonly string[], separator: string): InputError {
  const columns = names.length > 12 ? `${names.slice(0, 12).join(', ')} …` : names.join(', ')
  const other = separatorIn(names, separator) ?? separatorIn(fields, separator)
  return new InputError(
    `${where}: expected ${names.length} fields (${columns}), got ${fields.length}. ${other === undefined ? 'Quote fields that hold a separator; name another one with separator.' : advice(other)}`)
}
