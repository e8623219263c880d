// What the characters of a CSV file mean: the rules of Python's csv.reader, which is lenient about quotes (strict=False).

/** Which characters do what; false: none does. */
export interface CsvDialect {
  readonly separator: string
  readonly quote: string | false
  readonly escape: string | false
  readonly doubleQuote: boolean
  readonly skipInitialSpace: boolean
}

/** A row, and the line that it begins in. */
export interface CsvRow {
  readonly fields: readonly string[]
  readonly line: number
}

/** Takes a file piece by piece. */
export interface CsvReader {
  /** The rows that end in this piece. A line without anything is none. */
  read(text: string): readonly CsvRow[]
  /** The last row, where no line break ends it. */
  end(): readonly CsvRow[]
  /** The row that has not ended: the line that it begins in, its characters so far, and whether a quote is open in it. */
  rest(): { readonly line: number; readonly length: number; readonly inQuotes: boolean }
}

type State = 'start of row' | 'start of field' | 'in field' | 'in quotes' | 'behind quote' | 'escaped' | 'escaped in quotes'

export function csvReader({ separator, quote, escape, doubleQuote, skipInitialSpace }: CsvDialect): CsvReader {
  /** What ends a run of characters that stand for themselves. */
  const stops: Readonly<Partial<Record<State, ReadonlySet<string | false>>>> = {
    'in field': new Set(['\n', '\r', separator, escape]),
    'in quotes': new Set(['\n', '\r', quote, escape]), // line breaks are counted
  }
  let state: State = 'start of row'
  let fields: string[] = []
  let field = ''
  let rows: CsvRow[] = []
  let line = 1
  let behindReturn = false // a line feed is then no line break of its own
  let row = { line: 1, begin: 0 }
  let read = 0 // characters

  const endField = (): void => {
    fields.push(field)
    field = ''
    state = 'start of field'
  }
  const endRow = (): void => {
    endField()
    rows.push({ fields, line: row.line })
    fields = []
    state = 'start of row'
  }
  const unquoted = (char: string): void => {
    if (char === '\n' || char === '\r') endRow()
    else if (char === separator) endField()
    else if (char === escape && state !== 'behind quote') state = 'escaped'
    else {
      field += char
      state = 'in field'
    }
  }
  const take = (char: string, at: number): void => {
    if (state === 'start of row') {
      if (char === '\n' || char === '\r') return
      row = { line, begin: at }
      state = 'start of field'
    }
    if (state === 'escaped' || state === 'escaped in quotes') {
      field += char
      state = state === 'escaped' ? 'in field' : 'in quotes'
    } else if (state === 'in quotes') {
      if (char === escape) state = 'escaped in quotes'
      else if (char === quote) state = doubleQuote ? 'behind quote' : 'in field'
      else field += char
    } else if (char === quote && state !== 'in field') {
      if (state === 'behind quote') field += char
      state = 'in quotes'
    } else if (!(char === ' ' && skipInitialSpace && state === 'start of field')) unquoted(char)
  }
  return {
    read(text) {
      rows = []
      for (let i = 0; i < text.length; i++) {
        const stop = stops[state]
        if (stop !== undefined) {
          const begin = i
          while (i < text.length && !stop.has(text[i] as string)) i++ // below the length
          field += text.slice(begin, i)
          if (i > begin) behindReturn = false
        }
        const char = text[i]
        if (char === undefined) break
        take(char, read + i)
        if (char === '\r' || (char === '\n' && !behindReturn)) line++
        behindReturn = char === '\r'
      }
      read += text.length
      return rows
    },
    end() {
      rows = []
      if (state === 'escaped') field += '\n' // as in Python, where each line has an end
      if (state !== 'start of row') endRow()
      return rows
    },
    rest: () => ({ line: row.line, length: state === 'start of row' ? 0 : read - row.begin, inQuotes: state === 'in quotes' || state === 'escaped in quotes' }),
  }
}
