import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { csv } from '../../src/data/csv.ts'
import type { Dataset } from '../../src/data/dataset.ts'
import { json } from '../../src/data/json.ts'
import { jsonLines } from '../../src/data/json-lines.ts'
import { InputError } from '../../src/errors.ts'
import { parquet } from '../../src/data/parquet.ts'
import { whereOf } from '../../src/data/where.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath } from '../golden.ts'
import { allRows } from './rows.ts'

const temporary = temporaryFolder()

async function file(name: string, content: string | Buffer): Promise<string> {
  await writeFile(temporary(name), content)
  return temporary(name)
}

describe('JSON Lines', () => {
  const rows = [{ text: 'a\nb', label: 0 }, { text: 'ü' }, { nested: { x: [1] } }]
  const text = `\uFEFF${rows.map((row) => JSON.stringify(row)).join('\r\n\r\n')}`

  it('are read with empty lines passed over, packed or not, from any row on', async () => {
    for (const path of [await file('rows.jsonl', text), await file('rows.jsonl.gz', gzipSync(text))]) {
      expect(await allRows(jsonLines(path))).toEqual(rows)
      expect(await allRows(jsonLines(path), 2)).toEqual(rows.slice(2))
    }
  })

  it('that are none are named by file and line', async () => {
    await expect(allRows(jsonLines(await file('cut.jsonl', '{"a": 1}\n\n{"a": ')))).rejects.toThrow(/cut\.jsonl: line 3: expected a JSON object, got "{\\"a\\": "/)
    const array = await file('array.json', '[{"a": 1}]')
    await expect(allRows(jsonLines(array))).rejects.toThrow(
      new InputError(`${array}: line 1: expected a JSON object, got "[{\\"a\\": 1}]". A file that is one JSON array is read by json(path).`))
  })

  it('keep the line breaks of Unicode within their texts', async () => {
    const row = { text: 'a\u2028b\u2029c\u0085d\uFEFFe' }
    expect(await allRows(jsonLines(await file('unicode.jsonl', `${JSON.stringify(row)}\n\uFEFF`.slice(0, -1))))).toEqual([row])
  })

  it('may be long, over many blocks of the file', async () => {
    const long = Array.from({ length: 5 }, (_, i) => ({ text: 'ü漢'.repeat(50_000 * i), i }))
    const content = long.map((row) => `${JSON.stringify(row)}\n`).join('')
    expect(await allRows(jsonLines(await file('large.jsonl', content)))).toEqual(long)
    expect(await allRows(jsonLines(await file('large.jsonl.gz', gzipSync(content)), { maxRowBytes: Buffer.byteLength(JSON.stringify(long[4])) }))).toEqual(long)
  })

  it('may be left in the middle', async () => {
    for await (const row of jsonLines(await file('long.jsonl', '{"a": 1}\n'.repeat(100_000))).rows()) {
      expect(row).toEqual({ a: 1 })
      break
    }
  })
})

describe.each<[string, (path: string) => Dataset]>([['csv', csv], ['jsonLines', jsonLines], ['json', json], ['parquet', parquet]])('%s of what is no file', (name, read) => {
  it('names the folder that was looked in, and names that are near or what is there', async () => {
    await mkdir(temporary(name, 'mails'), { recursive: true })
    const folder = temporary(name)
    for (const other of ['train.csv', 'trains.csv']) await writeFile(temporary(name, other), '')
    const said = (path: string): Promise<string> => allRows(read(path)).then(() => 'nothing', (error: unknown) => (error as Error).message)
    expect(await said(`${folder}/tran.csv`)).toBe(`${folder}/tran.csv: there is no such file in ${folder}; did you mean "train.csv" or "trains.csv"?`)
    expect(await said(`${folder}/x`)).toBe(`${folder}/x: there is no such file in ${folder}; it has mails, train.csv, trains.csv.`)
    expect(await said(`${folder}/mials/a/x.csv`)).toBe(`${folder}/mials/a/x.csv: there is no folder "mials" in ${folder}; did you mean "mails"?`)
    expect(await said(`${folder}/mails/x.csv.gz`)).toBe(`${folder}/mails/x.csv.gz: there is no such file in ${folder}/mails; it has nothing in it.`)
    expect(() => read(undefined as never)).toThrow(new InputError(`${name}: expected the path of a file, got undefined.`))
  })
})

describe('CSV', () => {
  it('of another separator is told with the one that it seems to have', async () => {
    const semicolons = await file('semicolons.csv', 'date;text;label\n1;"a, b";ham\n')
    await expect(allRows(csv(semicolons))).rejects.toThrow(new InputError(
      `${semicolons}: line 1: one column, called "date;text;label". Is ";" its separator? csv(path, { separator: ";" }) reads it so. Where it is one column, give { separator: ',' }.`))
    await expect(allRows(csv(semicolons, { columns: ['date', 'text', 'label'] }))).rejects.toThrow(new InputError(
      `${semicolons}: line 1: expected 3 fields (date, text, label), got 1. Is ";" its separator? csv(path, { separator: ";" }) reads it so.`))
    const commas = await file('commas.csv', 'text,label\na;b,ham\n')
    await expect(allRows(csv(commas, { separator: ';' }))).rejects.toThrow(new InputError(
      `${commas}: line 2: expected 1 fields (text,label), got 2. Is "," its separator? csv(path, { separator: "," }) reads it so.`))
    expect(await allRows(csv(await file('one.csv', 'this; or that\na; b\n'), { separator: ',' }))).toEqual([{ 'this; or that': 'a; b' }])
    expect(() => csv(commas, { delimiter: ';', sep: ';' } as never)).toThrow(new InputError('csv: options that it does not have:', [
      "'delimiter': did you mean separator?", "'sep': did you mean separator?"]))
  })

  it('is expected to be a file', async () => {
    await expect(allRows(csv(temporary()))).rejects.toThrow(`${temporary()}: expected a file, got a folder; it has `)
  })

  it('is read with quotes, line breaks and separators in fields, from any row on', async () => {
    const path = await file('rows.csv', '\uFEFFtext,label\r\n"a, ""b""\nc",1\r\n\r\nd,0\r\n')
    expect(await allRows(csv(path))).toEqual([{ text: 'a, "b"\nc', label: '1' }, { text: 'd', label: '0' }])
    expect(await allRows(csv(path), 1)).toEqual([{ text: 'd', label: '0' }])
  })

  it('takes other separators, names for columns without any, and gzip', async () => {
    const path = await file('rows.tsv.gz', gzipSync('a\t1\nb\t2\n'))
    expect(await allRows(csv(path, { separator: '\t', columns: ['text', 'label'] }))).toEqual([{ text: 'a', label: '1' }, { text: 'b', label: '2' }])
  })

  it('that is broken is named by file and line', async () => {
    const short = await file('short.csv', 'a,b\n1,2\n3\n')
    await expect(allRows(csv(short))).rejects.toThrow(
      new InputError(`${short}: line 3: expected 2 fields (a, b), got 1. Quote fields that hold a separator; name another one with separator.`))
    const quote = await file('open.csv', 'a,b\n1,2\n"1,2\n')
    await expect(allRows(csv(quote))).rejects.toThrow(
      new InputError(`${quote}: line 3: a quote is not closed in the row that begins here. Close it, or give quote: false where quotes are characters like others.`))
    const open = await file('many.csv', `a,b\n"${'x,y\n'.repeat(1000)}`)
    await expect(allRows(csv(open, { maxRowBytes: 100 }))).rejects.toThrow(
      new InputError(`${open}: line 2: a row has more than 100 bytes. Is a quote not closed? If none is, raise maxRowBytes.`))
  })

  it('has quotes as its writer had them', async () => {
    const path = await file('inches.tsv', 'size\ttext\n5" x 7"\t"so\n')
    expect(await allRows(csv(path, { separator: '\t', quote: false }))).toEqual([{ size: '5" x 7"', text: '"so' }])
    const escaped = await file('escaped.csv', `text;label\n'it\\'s; here'; ham\n`)
    expect(await allRows(csv(escaped, { separator: ';', quote: "'", escape: '\\', skipInitialSpace: true }))).toEqual([{ text: "it's; here", label: 'ham' }])
    expect(() => csv(path, { separator: '||', quote: '\n', escape: '' })).toThrow(new InputError('csv: the options cannot be used:', [
      'separator: expected one character that is no line break, got "||"', 'quote: expected one character that is no line break, got "\\n"',
      'escape: expected one character that is no line break, got ""',
    ]))
    expect(() => csv(path, { separator: '"' })).toThrow(new InputError('csv: the options cannot be used:', ['separator, quote: expected characters that differ, got "\\"", "\\""']))
  })

  it('with two columns of one name is refused, whoever names them', async () => {
    const path = await file('twice.csv', 'text,label,text,,\na,b,c,d,e\n')
    await expect(allRows(csv(path))).rejects.toThrow(new InputError(`${path}: expected columns of different names, got "text", "" more than once. Rename them in the file's first line.`))
    await expect(allRows(csv(path, { columns: ['a', 'b', 'a', 'c', 'd'] }))).rejects.toThrow('got "a" more than once')
  })
})

describe('a JSON array', () => {
  const rows = [{ text: 'a]},"{[\\', label: 0 }, { text: 'ü', nested: { x: [1, {}] } }, {}]

  it('is read row by row, however it is laid out, packed or not, from any row on', async () => {
    for (const text of [JSON.stringify(rows), JSON.stringify(rows, undefined, 2), `\uFEFF \r\n${JSON.stringify(rows, undefined, '\t')}\n\n`]) {
      for (const path of [await file('rows.json', text), await file('rows.json.gz', gzipSync(text))]) {
        expect(await allRows(json(path))).toEqual(rows)
        expect(await allRows(json(path), 2)).toEqual(rows.slice(2))
      }
    }
    for (const empty of ['[]', ' [\n] ']) expect(await allRows(json(await file('empty.json', empty)))).toEqual([])
  })

  it('may be larger than a block of the file, on one line', async () => {
    const long = Array.from({ length: 9 }, (_, i) => ({ text: '"ü\\漢'.repeat(20_000 * i), i }))
    expect(await allRows(json(await file('large.json', JSON.stringify(long))))).toEqual(long)
  })

  it.each<[content: string, problem: string]>([
    ['{"a": 1}\n{"a": 2}', 'line 1: expected one JSON array of objects, got an object. A file with an object on each line is read by jsonLines(path). An array that the object holds: datasetOf(JSON.parse(text).name).'],
    ['[{"a": 1},\n\n', 'line 3: expected one whole JSON array of objects, got the end of the file. A file with an object on each line is read by jsonLines(path).'],
    ['[{"a": 1},\n]', 'line 2: expected an object, got "]". A file with an object on each line is read by jsonLines(path).'],
    ['[{"a": 1}}', 'line 1: expected the end of the array, got "}". A file with an object on each line is read by jsonLines(path).'],
    ['[{}]\n[{}]', 'line 2: expected nothing behind the array, got "[". A file with an object on each line is read by jsonLines(path).'],
    ['[{},\n\n [1] ]', 'line 3: expected a JSON object, got "[1] ". A file with an object on each line is read by jsonLines(path).'],
    ['[{},\n{"a": 1, "b": {"a": 2}, "a" : 3}]', 'line 2: expected a JSON object, got "{\\"a\\": 1, \\"b\\": {\\"a\\": 2}, \\"a\\" : 3}" (the name "a" is given twice).'],
  ])('%j is named by file and line', async (content, problem) => {
    const path = await file('wrong.json', content)
    await expect(allRows(json(path))).rejects.toThrow(new InputError(`${path}: ${problem}`))
  })

  it('whose row is broken, too long or not UTF-8 is named by file and line', async () => {
    await expect(allRows(json(await file('broken.json', '[{},\n{"a": tru}]')))).rejects.toThrow(/broken\.json: line 2: expected a JSON object, got "\{\\"a\\": tru\}" \(/)
    const long = await file('long.json', `[{},\n{"a": "${'x'.repeat(200_000)}"}]`)
    await expect(allRows(json(long, { maxRowBytes: 1000 }))).rejects.toThrow(
      new InputError(`${long}: line 2: a row has more than 1000 bytes. Is a quote or a bracket not closed? If none is, raise maxRowBytes.`))
    const latin = await file('latin.json', Buffer.from('[{},\n{"a":\n"ü"}]', 'latin1'))
    await expect(allRows(json(latin))).rejects.toThrow(new InputError(`${latin}: line 3 is not UTF-8. Save the file as UTF-8.`))
    await expect(allRows(json(await file('no.json.gz', 'no gzip')))).rejects.toThrow(/line 1: the packed data is damaged or cut/)
  })
})

describe('rows of a file', () => {
  it('know the line that they begin in, of Parquet their number', async () => {
    const places = async (rows: Promise<readonly unknown[]>): Promise<unknown[]> => (await rows).map(whereOf)
    const table = await file('lines.csv', 'a,b\n\n1,"x\ny"\n2,z\n')
    expect(await places(allRows(csv(table)))).toEqual([`${table}: line 3`, `${table}: line 5`])
    const lines = await file('lines.jsonl', '{"a": 1}\n\n{"a": 2}\n')
    expect(await places(allRows(jsonLines(lines)))).toEqual([`${lines}: line 1`, `${lines}: line 3`])
    const array = await file('lines.json', '[{"a":\n1}, {"a": 2},\n{"a": 3}]')
    expect(await places(allRows(json(array)))).toEqual([`${array}: line 1`, `${array}: line 2`, `${array}: line 3`])
    const columns = goldenPath('data/snappy.parquet')
    expect(await places(allRows(parquet(columns), 8))).toEqual([`${columns}: row 8`, `${columns}: row 9`])
  })

  it('are refused where JSON has a name twice, at any depth', async () => {
    const refused = async (text: string, name: string): Promise<void> => {
      const path = await file('twice.jsonl', `{"a": 1}\n${text}\n`)
      await expect(allRows(jsonLines(path))).rejects.toThrow(
        new InputError(`${path}: line 2: expected a JSON object, got ${JSON.stringify(text)} (the name ${name} is given twice).`))
    }
    await refused('{"a": 1, "b": "a", "a": 2}', '"a"')
    await refused('{"x": [{"q\\"": {}, "q\\u0022" : 1}]}', '"q\\""')
    const sound = { a: { a: ['a', 'a', { a: '\\' }] }, b: ['"a":', '\\"a":1'] }
    expect(await allRows(jsonLines(await file('sound.jsonl', JSON.stringify(sound))))).toEqual([sound])
  })
})

describe.each([['jsonl', jsonLines, '{"a": "x"}\n'], ['csv', csv, '"x",y\n']] as const)('a file of text (%s)', (kind, read, line) => {
  const text = `${kind === 'csv' ? 'a,b\n' : ''}${line.repeat(9)}`
  const total = kind === 'csv' ? 10 : 9

  it('that is packed and damaged is named with the line', async () => {
    const none = await file(`none.${kind}.gz`, 'no gzip')
    await expect(allRows(read(none))).rejects.toThrow(new InputError(`${none}: line 1: the packed data is damaged or cut (incorrect header check). Download or pack the file again.`))
    const noise = Array.from({ length: 20_000 }, (_, i) => line.replace('x', String(Math.sin(i)))).join('')
    const packed = gzipSync(text + noise)
    const cut = await file(`cut.${kind}.gz`, packed.subarray(0, packed.length / 2))
    await expect(allRows(read(cut))).rejects.toThrow(/^.*cut\.\w+\.gz: line \d{4,5}: the packed data is damaged or cut \(unexpected end of file\)\. Download or pack the file again\.$/)
    packed[packed.length - 8] = (packed[packed.length - 8] ?? 0) ^ 1
    await expect(allRows(read(await file(`sum.${kind}.gz`, packed)))).rejects.toThrow(/sum\.\w+\.gz: line \d+: the packed data is damaged or cut \(incorrect data check\)/)
  })

  it('that is not UTF-8 is named with the line', async () => {
    const path = await file(`latin.${kind}`, Buffer.concat([Buffer.from(text), Buffer.from(line.replace('x', 'ü'), 'latin1'), Buffer.from(text)]))
    await expect(allRows(read(path))).rejects.toThrow(new InputError(`${path}: line ${total + 1} is not UTF-8. Save the file as UTF-8.`))
    await expect(allRows(read(await file(`wide.${kind}`, Buffer.from(`\uFEFF${text}`, 'utf16le'))))).rejects.toThrow(/line 1 is not UTF-8/)
  })

  it('with a row that is too long is named with the line, packed or not, before the row is in memory', async () => {
    const endless = `${text}${line.replace('x', 'x'.repeat(3_000_000))}`
    for (const path of [await file(`long.${kind}`, endless), await file(`long.${kind}.gz`, gzipSync(endless))]) {
      await expect(allRows(read(path, { maxRowBytes: 1_000_000 }))).rejects.toThrow(
        new InputError(`${path}: line ${total + 1} has more than 1000000 bytes. Is it a file with a row on each line? Where it is, raise maxRowBytes.`))
      expect(await allRows(read(path))).toHaveLength(10)
    }
    await expect(allRows(read(await file(`option.${kind}`, text), { maxRowBytes: 0 }))).rejects.toThrow('maxRowBytes: expected an integer of at least 1, got 0.')
  })
})

describe('Parquet', () => {
  const { rows } = JSON.parse(readFileSync(goldenPath('data/rows.json'), 'utf8')) as { rows: { large: string }[] }
  const expected = rows.map((row) => ({ ...row, large: BigInt(row.large) }))

  it.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4'])('as pyarrow writes it (%s) is read from any row on', async (compression) => {
    const path = goldenPath(`data/${compression}.parquet`)
    expect(await allRows(parquet(path))).toEqual(expected)
    for (const from of [1, 4, 9, 10]) expect(await allRows(parquet(path), from)).toEqual(expected.slice(from))
  })

  it('is read by column', async () => {
    expect(await allRows(parquet(goldenPath('data/snappy.parquet'), ['label']), 8)).toEqual([{ label: 2 }, { label: 0 }])
    await expect(allRows(parquet(goldenPath('data/snappy.parquet'), ['labels']))).rejects.toThrow('no column labels. It has text, label, large')
  })

  it('has bytes where a column is binary, as those of pictures, and text where it is text', async () => {
    const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
    expect(await allRows(parquet(goldenPath('data/kinds.parquet')))).toEqual([
      {
        image: { bytes: bytes(0x89, 0x50, 0x4e, 0x47, 0xff, 0x00, 0x80), path: 'a.png' }, raw: bytes(0xff, 0xfe), fixed: bytes(0, 0x80, 0xff),
        label: 'ham', price: 12.3, day: new Date('2026-01-02'), many: [bytes(0x80), bytes()],
      },
      { image: { bytes: null, path: null }, raw: null, fixed: null, label: 'spam', price: null, day: null, many: [] },
    ])
  })

  it('that is damaged anywhere is an error with its name, or has all its rows: never another error', async () => {
    const whole = readFileSync(goldenPath('data/snappy.parquet'))
    for (let i = 0; i < 40; i++) {
      const damaged = Buffer.from(whole)
      for (let j = 0; j < 3; j++) damaged[(i * 7919 + j * 104_729 + i * j * 31) % whole.length] = (i * 37 + j * 101) % 256
      const path = await file('damaged.parquet', damaged)
      const read = await allRows(parquet(path)).catch((error: unknown) => error)
      if (Array.isArray(read)) expect(read).toHaveLength(10)
      else {
        expect(read).toBeInstanceOf(InputError)
        expect((read as InputError).message.startsWith(`${path}: `)).toBe(true)
      }
    }
  })

  it('with two columns of one name is refused', async () => {
    const bytes = readFileSync(goldenPath('data/none.parquet'))
    const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8)
    const renamed = Buffer.concat([bytes.subarray(0, footer), Buffer.from(bytes.subarray(footer).toString('latin1').replaceAll('large', 'label'), 'latin1')])
    const path = await file('twice.parquet', renamed)
    await expect(allRows(parquet(path))).rejects.toThrow(new InputError(`${path}: expected columns of different names, got "label" more than once.`))
  })

  it('that takes too long is given up, and the next one is read', async () => {
    const path = goldenPath('data/brotli.parquet')
    await expect(allRows(parquet(path, undefined, { timeout: 1 }))).rejects.toThrow(new InputError(
      `${path}: a row group was not read within 0.001 s: the file is damaged, or larger than this machine can read in time. Where it is sound, raise timeout.`))
    expect(await allRows(parquet(path))).toEqual(expected)
  })

  it('may be left in the middle, and read by several at once', async () => {
    const path = goldenPath('data/snappy.parquet')
    for await (const row of parquet(path).rows()) {
      expect(row).toEqual(expected[0])
      break
    }
    expect(await Promise.all(Array.from({ length: 3 }, () => allRows(parquet(path))))).toEqual([expected, expected, expected])
  })

  it('that is none, or a part of one, is an error with the name', async () => {
    await expect(allRows(parquet(await file('no.parquet', 'text')))).rejects.toThrow(/no\.parquet: expected a Parquet file/)
    await expect(allRows(parquet(await file('empty.parquet', '')))).rejects.toThrow(/empty\.parquet: expected a Parquet file/)
    await expect(allRows(parquet(temporary()))).rejects.toThrow('expected a Parquet file, got a folder')
    const whole = readFileSync(goldenPath('data/snappy.parquet'))
    await expect(allRows(parquet(await file('cut.parquet', whole.subarray(0, 500))))).rejects.toThrow(/cut\.parquet: expected a Parquet file/)
  })
})
