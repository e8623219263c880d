import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { csv } from '../../src/data/csv.ts'
import { jsonLines } from '../../src/data/json-lines.ts'
import { parquet } from '../../src/data/parquet.ts'
import { temporaryFolder } from '../base/io/temporary-folder.ts'
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
    await expect(allRows(jsonLines(await file('array.json', '[{"a": 1}]')))).rejects.toThrow(/line 1: .* one JSON array is not JSON Lines/)
    await expect(allRows(jsonLines(temporary('none.jsonl')))).rejects.toThrow('ENOENT')
    await expect(allRows(jsonLines(await file('bad.jsonl.gz', 'no gzip')))).rejects.toThrow('incorrect header check')
  })

  it('may be left in the middle', async () => {
    for await (const row of jsonLines(await file('long.jsonl', '{"a": 1}\n'.repeat(100_000))).rows()) {
      expect(row).toEqual({ a: 1 })
      break
    }
  })
})

describe('CSV', () => {
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
    await expect(allRows(csv(await file('short.csv', 'a,b\n1,2\n3\n')))).rejects.toThrow(/short\.csv: .*line 3/)
    await expect(allRows(csv(await file('open.csv', 'a,b\n"1,2\n')))).rejects.toThrow(/open\.csv: .*[Qq]uote/)
    await expect(allRows(csv(temporary('none.csv')))).rejects.toThrow('ENOENT')
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

  it('that is none, or a part of one, is an error with the name', async () => {
    await expect(allRows(parquet(await file('no.parquet', 'text')))).rejects.toThrow(/no\.parquet: expected a Parquet file/)
    const whole = readFileSync(goldenPath('data/snappy.parquet'))
    await expect(allRows(parquet(await file('cut.parquet', whole.subarray(0, 500))))).rejects.toThrow(/cut\.parquet: expected a Parquet file/)
  })
})
