// Against Python's tokenizers: golden/make_tokenizer_steps.py.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { otherOptions, stepOptions } from '../../../src/base/tokenizer/schema.ts'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

interface Golden {
  readonly steps: Readonly<Record<string, Readonly<Record<string, readonly string[]>> | readonly string[]>>
  readonly cases: readonly { readonly name: string; readonly json: object; readonly rows: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }[] }[]
}

const temporary = temporaryFolder()
let made = 0
const { steps, cases } = JSON.parse(await readFile(goldenPath('tokenizer/steps.json'), 'utf8')) as Golden

async function folderOf(json: object): Promise<string> {
  const folder = temporary(String(made++))
  await mkdir(folder)
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json))
  return folder
}

const load = async (json: object): Promise<Tokenizer> => loadTokenizer(await folderOf(json))

const plain = { version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, model: { type: 'WordLevel', vocab: { a: 0, u: 1 }, unk_token: 'u' } }

describe('the lists of options', () => {
  it.each(Object.entries(stepOptions))('hold every %s of the reference with every option of it', (kind, known) => {
    const real = steps[kind] as Readonly<Record<string, readonly string[]>>
    // Of old files, or of the reference's Python alone.
    const more: Readonly<Record<string, readonly string[]>> = { Metaspace: ['add_prefix_space', 'str_rep'], Unigram: ['alpha', 'nbest_size'], Punctuation: [] }
    const own = Object.entries(known).map(([type, options]) => [type, Object.keys(options).filter((name) => !(more[type]?.includes(name) ?? false)).sort()])
    const refused = { pre_tokenizer: ['UnicodeScripts'] }[kind] ?? []
    expect(Object.fromEntries(own)).toEqual(Object.fromEntries(Object.entries(real).filter(([type]) => !refused.includes(type))))
    expect(Object.keys(real)).toEqual(expect.arrayContaining(refused))
  })

  it.each(Object.entries(otherOptions))('hold every field of %s', (name, known) => {
    expect(Object.keys(known).sort()).toEqual(steps[name])
  })
})

describe('the steps of tokenizer.json', () => {
  it.each(cases.map((each) => [each.name, each] as const))('do as the reference: %s', async (_, { json, rows }) => {
    const tokenizer = await load(json)
    for (const { text, ids, decoded } of rows) {
      const own = [...(tokenizer.encode([text]).ids[0] ?? [])]
      expect([text, own.map((id) => tokenizer.idToToken(id))]).toEqual([text, ids.map((id) => tokenizer.idToToken(id))])
      expect(tokenizer.decode(own)).toBe(decoded)
    }
  })

  it('are refused with everything in them that is not done', async () => {
    const folder = await folderOf({
      ...plain,
      added_tokens: [{ id: -1, content: 'x' }, { id: 2 ** 31, content: 'y', colour: 'red' }],
      normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC', form: 'D' }, { type: 'Strip', strip_left: 'yes', strip_right: true }] },
      pre_tokenizer: { type: 'UnicodeScripts' },
      post_processor: { type: 'New' },
      padding: { pad_id: -1 },
      model: { type: 'BPE', vocab: { a: 0 }, merges: [], dropout: 0.1 },
    })
    const known = (kind: keyof typeof stepOptions): string => Object.keys(stepOptions[kind]).sort().join(', ')
    await expect(loadTokenizer(folder)).rejects.toThrow(new CheckpointError(`${join(folder, 'tokenizer.json')} cannot be used as a tokenizer:`, [
      'normalizer[0] (NFC).form: this option is not known, its value is "D"',
      'normalizer[1] (Strip).strip_left: expected true or false, got "yes"',
      `pre_tokenizer.type: "UnicodeScripts" is not supported; known are ${known('pre_tokenizer')}`,
      `post_processor.type: "New" is not supported; known are ${known('post_processor')}`,
      'model (BPE).dropout: 0.1 is not supported, only null or 0',
      'padding.pad_id: expected an id between 0 and 2147483647, got -1',
      'added_tokens[0].id: expected an id between 0 and 2147483647, got -1',
      'added_tokens[1].colour: this option is not known, its value is "red"',
      'added_tokens[1].id: expected an id between 0 and 2147483647, got 2147483648',
    ]))
  })

  it('know every special token of their template', async () => {
    const template = [{ SpecialToken: { id: 'b', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }]
    await expect(load({ ...plain, post_processor: { type: 'TemplateProcessing', single: template, pair: [], special_tokens: {} } }))
      .rejects.toThrow('post_processor (TemplateProcessing).special_tokens: expected the ids of "b", each an id between 0 and 2147483647')
  })

  it('have ids that a row of an embedding can have', async () => {
    const folder = await folderOf({ ...plain, model: { type: 'WordLevel', vocab: { a: 2 ** 31 }, unk_token: 'a' } })
    await expect(loadTokenizer(folder)).rejects.toThrow(new CheckpointError(`${join(folder, 'tokenizer.json')} cannot be used as a tokenizer:`, ['model (WordLevel).vocab: expected ids of tokens, got an object']))
  })
})

describe('patterns', () => {
  const split = (Regex: string): object => ({ ...plain, pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false } })

  it('are refused with words that are not done', async () => {
    await expect(load(split('\\Ra'))).rejects.toThrow('the pattern "\\\\Ra" is not supported: \\R at character 2')
    await expect(load(split('(a'))).rejects.toThrow('the pattern "(a" is not supported: ')
  })

  it('are given a limited time', async () => {
    // Harmless for short texts: twice the work for each letter more.
    const tokenizer = await load(split('(?:a|a)+b'))
    expect([...(tokenizer.encode(['aaab']).ids[0] ?? [])]).toEqual([1])
    expect(() => tokenizer.encode(['a'.repeat(40)])).toThrow(new InputError(
      'the pattern "(?:a|a)+b" of tokenizer.json takes more than 1.001 seconds for a text of 40 characters: it is given up. A pattern without repetitions inside repetitions does not do so'))
    expect([...(tokenizer.encode(['a']).ids[0] ?? [])]).toEqual([0]) // the next text is read as ever
  })
})

describe('long texts', () => {
  const scores = [['<unk>', 0], ['▁', -1], ['a', -1], ['aa', -9]]
  const unigram = { ...plain, pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true }, model: { type: 'Unigram', unk_id: 0, vocab: scores } }

  it('of one word are split by Unigram', async () => {
    const tokenizer = await load(unigram)
    expect([...(tokenizer.encode(['a'.repeat(200_000)], { maxLength: 4 }).ids[0] ?? [])]).toEqual([1, 2, 2, 2])
  })

  it('of one word are split by BPE in a time in proportion to them', async () => {
    const bpe = { type: 'BPE', vocab: { '▁': 0, a: 1, b: 2, '▁a': 3, ab: 4, '▁ab': 5 }, merges: [['▁', 'a'], ['a', 'b'], ['▁', 'ab']] }
    const tokenizer = await load({ ...plain, pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false }, model: bpe })
    const start = performance.now()
    expect(tokenizer.encode(['ab '.repeat(400_000)]).ids[0]).toHaveLength(800_001)
    expect(performance.now() - start).toBeLessThan(20_000) // 2 s here
  })

  it.each([
    ['LLaMA', { pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false } }],
    ['older files of LLaMA', { normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, { type: 'Replace', pattern: { String: ' ' }, content: '▁' }] } }],
  ])('are read by the BPE of %s, which does not split them, only as far as the cut leaves them', async (_, steps) => {
    const vocab = { u: 0, '▁': 1, a: 2, b: 3, '▁▁': 4, '▁a': 5, ab: 6, '▁ab': 7, '▁▁a': 8 }
    const merges = [['▁', '▁'], ['▁', 'a'], ['a', 'b'], ['▁', 'ab'], ['▁▁', 'a']]
    const json = { ...plain, ...steps, model: { type: 'BPE', unk_token: 'u', fuse_unk: true, vocab, merges } }
    const tokenizer = await load(json)
    for (const text of ['a b ab  a', 'abab xx a', 'x  b', 'a a a 日本 b']) {
      const [whole = []] = tokenizer.encode([`${text} `.repeat(30)]).ids
      for (const maxLength of [1, 2, 3, 5, 8]) expect(tokenizer.encode([`${text} `.repeat(30)], { maxLength }).ids[0]).toEqual(whole.slice(0, maxLength))
    }
    const tooLong = 'ab b '.repeat(14_000_000) // for BPE as one stretch
    expect([...(tokenizer.encode([tooLong], { maxLength: 3 }).ids[0] ?? [])]).toEqual([5, 3, 1])
    // With a token that reaches from a letter to a blank the first tokens depend on what follows.
    const joined = await load({ ...json, model: { ...json.model, vocab: { ...vocab, 'b▁': 9 }, merges: [['b', '▁'], ...merges] } })
    const [whole = []] = joined.encode(['ab b '.repeat(30)]).ids
    expect(joined.encode(['ab b '.repeat(30)], { maxLength: 20 }).ids[0]).toEqual(whole.slice(0, 20))
  })

  it('are read by Metaspace only as far as the cut leaves them', async () => {
    const tokenizer = await load(unigram)
    const text = 'aa a '.repeat(2_000_000)
    const start = performance.now()
    expect(tokenizer.encode([text], { maxLength: 4 }).ids).toEqual(tokenizer.encode([text.slice(0, 500)], { maxLength: 4 }).ids)
    expect(performance.now() - start).toBeLessThan(1000)
  })
})
