// Places of tokens and rows of words, against Python's tokenizers and transformers: golden/make_tokenizer_offsets.py.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { alignLabels } from '../../../src/base/tokenizer/align-labels.ts'
import type { EncodeOptions } from '../../../src/base/tokenizer/encode.ts'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { InputError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

interface Row {
  readonly ids: readonly number[]
  readonly offsets: readonly (readonly [number, number])[]
  readonly wordIds: readonly number[]
}

interface Golden {
  readonly files: Readonly<Record<string, {
    readonly texts: readonly Row[]
    readonly pairs: readonly Row[]
    readonly cut: readonly { readonly side: string; readonly maxLength: number; readonly texts: readonly number[]; readonly rows: readonly Row[]; readonly pairs: readonly Row[] }[]
  }>>
  readonly steps: Readonly<Record<string, readonly Row[]>>
  readonly configured: readonly (readonly Row[])[]
  readonly made: readonly { readonly name: string; readonly json: object; readonly rows: readonly (Row & { readonly text: string })[] }[]
  readonly words: readonly { readonly name: string; readonly config: object | null; readonly rows: readonly WordRow[] }[]
}

interface WordRow extends Row {
  readonly words: readonly string[]
  readonly labels: readonly number[]
  readonly maxLength: number | null
  readonly typeIds: readonly number[]
  readonly special: readonly number[]
  readonly first: readonly number[]
  readonly same: readonly number[]
}

const read = async <T>(name: string): Promise<T> => JSON.parse(await readFile(goldenPath(`tokenizer/${name}`), 'utf8')) as T
const golden = await read<Golden>('offsets.json')
const temporary = temporaryFolder()
let made = 0

async function load(files: Readonly<Record<string, unknown>>): Promise<Tokenizer> {
  const folder = temporary(String(made++))
  await mkdir(folder)
  for (const [name, value] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(value))
  return loadTokenizer(folder)
}

type Text = string | readonly [string, string]

function rowsOf(tokenizer: Tokenizer, texts: readonly Text[], options: EncodeOptions = {}): object[] {
  const { ids, offsets, wordIds } = tokenizer.encode(texts, { ...options, offsets: true })
  return texts.map((text, i) => ({ text, ids: [...(ids[i] ?? [])], offsets: offsets?.[i], wordIds: [...(wordIds?.[i] ?? [])] }))
}

const expected = (texts: readonly Text[], rows: readonly Row[]): object[] => rows.map(({ ids, offsets, wordIds }, i) => ({ text: texts[i], ids, offsets, wordIds }))

describe.each(Object.entries(golden.files))('the places of the tokens of a tokenizer of the kind %s', (kind, { texts, pairs, cut }) => {
  it('are those of Python, in texts, in pairs and in what is left of them', async () => {
    const given = await read<{ texts: { text: string }[]; pairs: { pair: [string, string] }[] }>(`${kind}/golden.json`)
    const [ownTexts, ownPairs] = [given.texts.map(({ text }) => text), given.pairs.map(({ pair }) => pair)]
    const json = await read<object>(`${kind}/tokenizer.json`)
    const tokenizer = await load({ 'tokenizer.json': json })
    expect(rowsOf(tokenizer, ownTexts)).toEqual(expected(ownTexts, texts))
    expect(rowsOf(tokenizer, ownPairs)).toEqual(expected(ownPairs, pairs))
    for (const { side, maxLength, texts: which, rows, pairs: cutPairs } of cut) {
      const cutter = await load({ 'tokenizer.json': json, 'tokenizer_config.json': { truncation_side: side } })
      const some = which.map((i) => ownTexts[i] ?? '')
      expect(rowsOf(cutter, some, { maxLength })).toEqual(expected(some, rows))
      expect(rowsOf(cutter, ownPairs, { maxLength })).toEqual(expected(ownPairs, cutPairs))
    }
  })
})

describe('the places of tokens', () => {
  it.each(golden.made)('are those of Python: $name', async ({ json, rows }) => {
    const tokenizer = await load({ 'tokenizer.json': json })
    const texts = rows.map(({ text }) => text)
    expect(rowsOf(tokenizer, texts)).toEqual(expected(texts, rows))
  })

  it('are those of Python for every step of tokenizer.json', async () => {
    const { cases } = await read<{ cases: { name: string; json: object; rows: { text: string }[] }[] }>('steps.json')
    for (const { name, json, rows } of cases) {
      const texts = rows.map(({ text }) => text)
      expect([name, rowsOf(await load({ 'tokenizer.json': json }), texts)]).toEqual([name, expected(texts, golden.steps[name] ?? [])])
    }
  })

  it('are those of transformers with every tokenizer_config.json', async () => {
    const { bases, cases } = await read<{ bases: Record<string, object>; cases: { files: Record<string, unknown>; rows: { text: string }[] }[] }>('configured.json')
    const bytes = await read<object>('bytes/tokenizer.json')
    for (const [i, { files, rows }] of cases.entries()) {
      const base = files['tokenizer.json']
      const tokenizer = await load({ ...files, 'tokenizer.json': typeof base === 'string' ? { ...bytes, ...bases[base] } : base })
      const texts = rows.map(({ text }) => text)
      expect([files, rowsOf(tokenizer, texts)]).toEqual([files, expected(texts, golden.configured[i] ?? [])])
    }
  })

  it('cut the names out of a text', async () => {
    const tokenizer = await load({ 'tokenizer.json': await read('unigram/tokenizer.json') })
    const text = 'ＮＡＭＥ: 😀 José'
    const { offsets } = tokenizer.encode([text], { offsets: true })
    expect(offsets?.[0]?.map(([begin, end]) => text.slice(begin, end)).join('|')).toMatch(/😀.*J.*o.*s.*é\|$/)
  })
})

describe.each(golden.words)('rows of words, for $name', ({ name, config, rows }) => {
  const tokenizerOf = async (): Promise<Tokenizer> => config === null
    ? loadTokenizer('sentence-transformers/all-MiniLM-L6-v2', { offline: true })
    : load({ 'tokenizer.json': await read(`${name}/tokenizer.json`), 'tokenizer_config.json': config })

  it('become the tokens of transformers, with the word of each and its place in that', async () => {
    const tokenizer = await tokenizerOf()
    for (const { words, maxLength, ids, typeIds, special, offsets, wordIds } of rows) {
      const own = tokenizer.encodeWords([words], { maxLength: maxLength ?? undefined, offsets: true })
      expect({ words, ids: own.ids[0], typeIds: own.typeIds[0], special: own.specialTokensMask[0], offsets: own.offsets?.[0], wordIds: own.wordIds[0] }).toEqual({
        words, ids: Int32Array.from(ids), typeIds: Int32Array.from(typeIds), special: Int32Array.from(special), offsets, wordIds: Int32Array.from(wordIds),
      })
    }
  })

  it('give their labels to tokens as the guide of transformers does', () => {
    for (const { wordIds, labels, first, same } of rows) {
      expect([...alignLabels(wordIds, labels)]).toEqual(first)
      expect([...alignLabels(wordIds, labels, { rest: 'same' })]).toEqual(same)
    }
  })
})

describe('rows of words', () => {
  it('are filled like texts, with words and labels that nothing looks at', async () => {
    const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2', { offline: true })
    const { ids, wordIds } = tokenizer.encodeWords([['embeddings'], ['a', 'b', 'c', 'd', 'e']], { padding: 'longest' })
    expect(ids.map(({ length }) => length)).toEqual([7, 7])
    expect([...(wordIds[0] ?? [])]).toEqual([-1, 0, 0, 0, 0, -1, -1])
    expect([...alignLabels(wordIds[0] ?? [], [3])]).toEqual([-100, 3, -100, -100, -100, -100, -100])
  })

  it('are refused where they are texts, all at once', async () => {
    const tokenizer = await load({ 'tokenizer.json': await read('words/tokenizer.json') })
    expect(() => tokenizer.encodeWords(['a text', ['a', 'word'], ['a', 5]] as never)).toThrow(new InputError('The words cannot be encoded', [
      'row 0: expected a list of words, got "a text"', 'row 2: expected a list of words, got ["a",5]',
    ]))
  })

  it('give names of labels too', () => {
    expect(alignLabels([-1, 0, 0, 1, -1], ['B-PER', 'O'])).toEqual([-100, 'B-PER', -100, 'O', -100])
  })

  it('need a label for each word', () => {
    expect(() => alignLabels([-1, 0, 1, -1], [2])).toThrow('alignLabels: expected a label for each of 2 words, got 1. Are the words and the labels of the same row?')
  })
})
