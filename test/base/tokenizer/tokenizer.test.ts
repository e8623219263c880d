/**
 * Against Python's tokenizers: golden/make_tokenizer.py. MiniLM's tokenizer is not kept in this repository; it comes
 * from the Hugging Face cache, where `npm run setup` puts it. The tiny tokenizers of other kinds are.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../../src/base/tokenizer/tokenizer.ts'

interface Row {
  readonly ids: number[]
  readonly typeIds: number[]
  readonly special: number[]
  readonly offsets?: [number, number][]
}

interface Golden {
  readonly texts: (Row & { text: string })[]
  readonly pairs: (Row & { pair: [string, string] })[]
  readonly decoded: { ids: number[]; text: string; withSpecial: string }[]
  readonly truncatedTexts?: { text: number; maxLength: number; ids: number[] | null }[]
  readonly truncatedPairs?: { pair: number; maxLength: number; truncation: 'longest_first' | 'only_first'; ids: number[] | null }[]
}

const golden = 'test/golden/tokenizer'
const readGolden = async (path: string): Promise<Golden> => JSON.parse(await readFile(path, 'utf8')) as Golden

/** What the golden rows hold, of what we make of the same texts. */
function rows(tokenizer: Tokenizer, cases: readonly (string | [string, string])[], offsets: boolean): Row[] {
  const encoded = tokenizer.encode(cases, { offsets })
  return cases.map((_, i) => ({
    ids: Array.from(encoded.ids[i] ?? []),
    typeIds: Array.from(encoded.typeIds[i] ?? []),
    special: Array.from(encoded.specialTokensMask[i] ?? []),
    ...(offsets ? { offsets: (encoded.offsets?.[i] ?? []) as [number, number][] } : {}),
  }))
}

const row = ({ ids, typeIds, special, offsets }: Row): Row => ({ ids, typeIds, special, ...(offsets === undefined ? {} : { offsets }) })

describe('MiniLM', () => {
  let tokenizer: Tokenizer
  let expected: Golden
  beforeAll(async () => {
    tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2', { offline: true })
    expected = await readGolden(`${golden}/minilm.json`)
  })

  it('gives the ids, type ids, special tokens and offsets of Python, for texts and pairs', () => {
    for (const [i, each] of rows(tokenizer, expected.texts.map(({ text }) => text), true).entries()) {
      expect({ text: expected.texts[i]?.text, ...each }).toEqual({ text: expected.texts[i]?.text, ...row(expected.texts[i] as Row) })
    }
    expect(rows(tokenizer, expected.pairs.map(({ pair }) => pair), true)).toEqual(expected.pairs.map(row))
  })

  it('cuts texts and pairs as Python does, and says when the first text alone cannot make the room', () => {
    for (const { text, maxLength, ids } of expected.truncatedTexts ?? []) {
      const given = [expected.texts[text]?.text ?? '']
      expect(Array.from(tokenizer.encode(given, { maxLength }).ids[0] ?? [])).toEqual(ids)
      if (ids !== null) expect(tokenizer.encode(given, { maxLength }).truncated).toEqual([(tokenizer.encode(given).ids[0]?.length ?? 0) > maxLength])
    }
    for (const { pair: at, maxLength, truncation, ids } of expected.truncatedPairs ?? []) {
      const pair = expected.pairs[at]?.pair ?? ['', '']
      const encode = (): Int32Array | undefined => tokenizer.encode([pair], { maxLength, truncation }).ids[0]
      if (ids === null) expect(encode).toThrow(`text 0: the second text alone fills the ${maxLength - 3} tokens that maxLength ${maxLength} leaves`)
      else expect({ pair, maxLength, truncation, ids: Array.from(encode() ?? []) }).toEqual({ pair, maxLength, truncation, ids })
      if (ids !== null) expect(tokenizer.encode([pair], { maxLength, truncation }).truncated).toEqual([(tokenizer.encode([pair]).ids[0]?.length ?? 0) > maxLength])
    }
  })

  it('decodes as Python does', () => {
    for (const { ids, text, withSpecial } of expected.decoded) {
      expect(tokenizer.decode(ids)).toBe(text)
      expect(tokenizer.decode(Int32Array.from(ids), { skipSpecialTokens: false })).toBe(withSpecial)
    }
    expect(tokenizer.decode([])).toBe('')
    expect(tokenizer.decode([7592, 999999])).toBe('hello')
  })

  it('knows its special tokens', () => {
    const { padId, maskId, clsId, sepId, vocabSize } = tokenizer
    expect({ padId, maskId, clsId, sepId, vocabSize }).toEqual({ padId: 0, maskId: 103, clsId: 101, sepId: 102, vocabSize: 30522 })
    expect([tokenizer.tokenToId('hello'), tokenizer.tokenToId('no such token')]).toEqual([7592, undefined])
    expect([tokenizer.idToToken(7592), tokenizer.idToToken(999999)]).toEqual(['hello', undefined])
    expect([...tokenizer.specialIds].sort((a, b) => a - b)).toEqual([0, 100, 101, 102, 103])
  })

  it('pads to the longest row or to maxLength', () => {
    const longest = tokenizer.encode(['Hello', 'Hello, world!', ''], { padding: 'longest', offsets: true })
    expect(longest.ids.map((each) => Array.from(each))).toEqual([[101, 7592, 102, 0, 0, 0], [101, 7592, 1010, 2088, 999, 102], [101, 102, 0, 0, 0, 0]])
    expect(longest.attentionMask.map((each) => Array.from(each))).toEqual([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    expect(Array.from(longest.specialTokensMask[0] ?? [])).toEqual([1, 0, 1, 1, 1, 1])
    expect(longest.offsets?.[0]).toEqual([[0, 0], [0, 5], [0, 0], [0, 0], [0, 0], [0, 0]])
    expect(tokenizer.encode(['Hello'], { padding: 'max', maxLength: 5 }).ids).toEqual([Int32Array.of(101, 7592, 102, 0, 0)])
    expect(tokenizer.encode([], { padding: 'longest' }).ids).toEqual([])
  })

  it('gives offsets that cut the tokens out of the text', () => {
    const text = 'A 😀 naïve\tCafé, 日本'
    const { offsets } = tokenizer.encode([text], { offsets: true })
    expect(offsets?.[0]?.map(([begin, end]) => text.slice(begin, end))).toEqual(['', 'A', '😀', 'naïve', 'Café', ',', '日', '本', ''])
  })

  it('finds the same first tokens whether it reads a long text to the end or not', () => {
    const texts = expected.texts.slice(-43).map(({ text }) => text)
    // Few tokens for many characters: long unknown words, runs of blanks, characters that are dropped.
    const sparse = [...texts, 'x'.repeat(150) + ' ', ' '.repeat(300), '\u200b'.repeat(200), 'ab cd ', '日本 ', 'ü ', 'a\u0301 1 ']
    for (const [i, text] of sparse.entries()) {
      const long = `${text} mid 7 ${sparse[(i * 7) % sparse.length] ?? ''} [SEP] `.repeat(40)
      const whole = tokenizer.encode([long]).ids[0] ?? new Int32Array()
      for (const maxLength of [3, 8, 33, 128]) {
        expect(tokenizer.encode([long], { maxLength }).ids[0]?.subarray(0, -1)).toEqual(whole.subarray(0, -1).subarray(0, maxLength - 1))
      }
    }
  })

  it('reads of a long text only what the cut leaves', () => {
    const text = 'the quick brown fox jumps over the lazy dog '.repeat(200_000) // 9 MB
    const start = performance.now()
    tokenizer.encode(Array<string>(100).fill(text), { maxLength: 128 })
    expect(performance.now() - start).toBeLessThan(5000) // 0.02 s here; reading all of it takes minutes
  })

  it('lists what is wrong with the options', () => {
    expect(() => tokenizer.encode(['a'], { maxLength: 1 })).toThrow(new InputError('The texts cannot be encoded', ['text 0: the special tokens alone are more than maxLength 1']))
    expect(() => tokenizer.encode(['a'], { maxLength: 1.5 })).toThrow('maxLength: expected a natural number, got 1.5')
    expect(() => tokenizer.encode(['a'], { padding: 'max' })).toThrow('padding "max" needs a maxLength')
    expect(() => tokenizer.encode('a text' as never)).toThrow(new InputError('The texts cannot be encoded', ['expected a list of texts, got "a text"']))
    expect(() => tokenizer.encode(['a', 5, ['a', 'b', 'c']] as never)).toThrow(new InputError('The texts cannot be encoded', [
      'text 1: expected a text or a pair of texts, got 5', 'text 2: expected a text or a pair of texts, got ["a","b","c"]',
    ]))
  })
})

describe.each(['bytes', 'unigram', 'words'])('a tokenizer of the kind %s', (kind) => {
  it('gives the ids, type ids, special tokens and texts of Python', async () => {
    const tokenizer = await loadTokenizer(`${golden}/${kind}`)
    const expected = await readGolden(`${golden}/${kind}/golden.json`)
    for (const [i, each] of rows(tokenizer, expected.texts.map(({ text }) => text), false).entries()) {
      expect({ text: expected.texts[i]?.text, ...each }).toEqual({ text: expected.texts[i]?.text, ...row(expected.texts[i] as Row) })
    }
    expect(rows(tokenizer, expected.pairs.map(({ pair }) => pair), false)).toEqual(expected.pairs.map(row))
    for (const { ids, text, withSpecial } of expected.decoded) {
      expect([tokenizer.decode(ids), tokenizer.decode(ids, { skipSpecialTokens: false })]).toEqual([text, withSpecial])
    }
  })
})

describe('a tokenizer folder', () => {
  let folder: string
  let count = 0
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function make(files: Record<string, unknown>): Promise<string> {
    const path = join(folder, String(count++))
    await mkdir(path)
    for (const [name, value] of Object.entries(files)) await writeFile(join(path, name), typeof value === 'string' ? value : JSON.stringify(value))
    return path
  }
  const words = (more: object = {}): object => ({
    added_tokens: [], normalizer: null, pre_tokenizer: { type: 'WhitespaceSplit' }, post_processor: null, decoder: null,
    model: { type: 'WordLevel', vocab: { a: 0, b: 1 } }, ...more,
  })

  it('pads and cuts on the side it says', async () => {
    const left = await make({ 'tokenizer.json': words(), 'tokenizer_config.json': { pad_token: 'b', padding_side: 'left', truncation_side: 'left' } })
    const tokenizer = await loadTokenizer(left)
    expect(tokenizer.encode(['b a a', 'a'], { maxLength: 2, padding: 'longest' }).ids).toEqual([Int32Array.of(0, 0), Int32Array.of(1, 0)])
  })

  it('says so when a word has no id and nothing stands for the unknown', async () => {
    const tokenizer = await loadTokenizer(await make({ 'tokenizer.json': words() }))
    expect(() => tokenizer.encode(['a c'])).toThrow(new InputError('the tokenizer has no id for "c" and no token for the unknown. Add an unk_token to tokenizer.json'))
  })

  it('says so when padding is asked of a tokenizer that has none', async () => {
    const tokenizer = await loadTokenizer(await make({ 'tokenizer.json': words() }))
    expect(() => tokenizer.encode(['a'], { padding: 'longest' })).toThrow('padding: the tokenizer has no padding token. Name one as "pad_token" in tokenizer_config.json')
  })

  it('is refused without a tokenizer.json, or with one that cannot be used', async () => {
    const without = await make({ 'vocab.txt': 'a' })
    await expect(loadTokenizer(without)).rejects.toThrow(new CheckpointError(`${without} has no tokenizer.json. Make it once in Python: AutoTokenizer.from_pretrained("${without}").save_pretrained(folder)`))
    await expect(loadTokenizer(await make({ 'tokenizer.json': '{' }))).rejects.toThrow('tokenizer.json is not valid JSON: ')
    await expect(loadTokenizer(await make({ 'tokenizer.json': '5' }))).rejects.toThrow('tokenizer.json is not valid JSON: expected an object')
    await expect(loadTokenizer(await make({ 'tokenizer.json': { model: {} } }))).rejects.toThrow('tokenizer.json cannot be used as a tokenizer:\n  - model (WordLevel).vocab: expected ids of tokens, got nothing')
    await expect(loadTokenizer(await make({ 'tokenizer.json': words({ post_processor: { type: 'New' } }) }))).rejects.toThrow('post_processor.type: "New" is not supported; known are BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing')
  })
})
