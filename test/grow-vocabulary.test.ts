// A vocabulary that grows: the rows of old words stay, new ones start from old ones, and files keep all of it together.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { merge } from '../src/base/adapter/merge.ts'
import { loadEngine } from '../src/base/engine/engine.ts'
import type { Model } from '../src/base/model.ts'
import { paramOf } from '../src/base/parameters.ts'
import { vocabularyParams, vocabSizeOf } from '../src/base/adapter/vocabulary.ts'
import { loadTokenizer } from '../src/base/tokenizer/tokenizer.ts'
import { bottleneck } from '../src/adapters/bottleneck.ts'
import { growVocabulary } from '../src/grow-vocabulary.ts'
import { loadAdapted } from '../src/load-adapted.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { withAdapters } from '../src/manage/active.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { prefix } from '../src/prefix/prefix.ts'
import { bitFit } from '../src/selective/bitfit.ts'
import { goldenPath, largestDifference, valuesOf } from './golden.ts'
import { withWords, writeTokenizer } from './grown.ts'
import { attachTrained, closeModel } from './manage/models.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { FAMILIES } from './ties.ts'

const temporary = temporaryFolder()
const open: Model[] = []
let tensors = 0
let folders = 0

beforeEach(async () => {
  await loadEngine()
  tensors = tf.memory().numTensors
})

afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
  expect(tf.memory().numTensors).toBe(tensors)
})

const keep = (model: Model): Model => {
  open.push(model)
  return model
}
const fresh = (): string => temporary(`folder ${folders++}`)
const worded = async (family: string, options: Parameters<typeof withWords>[2] = {}): Promise<Awaited<ReturnType<typeof withWords>>> => {
  const made = await withWords(family, fresh(), options)
  keep(made.model)
  return made
}
const logits = (model: Model, ids: readonly number[]): Float32Array =>
  tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.from(ids), batch: 1, length: ids.length })))
const param = (model: Model, name: string): Float32Array => tf.tidy(() => valuesOf(paramOf(model, name)))
/** The columns of old words. */
const cut = (values: Float32Array, words: number, before: number): Float32Array => values.filter((_, i) => i % words < before)

describe.each(Object.keys(FAMILIES).flatMap((family) => [false, true].map((head) => ({ family, head }))))('$family, with a head of its own: $head', ({ family, head }) => {
  it('computes as before on old words, and starts new ones as the mean of all rows, bias included', async () => {
    const { model, tokenizer } = await worded(family, { head })
    const before = vocabSizeOf(model.parts)
    const grown = growVocabulary(model, tokenizer, ['<a>', '<b>', '<a>', 'w3'])
    keep(grown.model)
    expect(grown.ids).toEqual([before, before + 1, before, 3])
    expect(grown.model.limits?.vocabSize).toBe(before + 2)
    expect(grown.model.parts.ties).toEqual(model.parts.ties)
    expect(cut(logits(grown.model, [1, 2, 3, 4]), before + 2, before)).toEqual(logits(model, [1, 2, 3, 4]))
    for (const name of vocabularyParams(model.parts)) {
      const [old, now] = [param(model, name), param(grown.model, name)]
      const width = old.length / before
      const mean = Float32Array.from({ length: width }, (_, column) => old.filter((_, i) => i % width === column).reduce((sum, value) => sum + value, 0) / before)
      expect(now.slice(0, old.length)).toEqual(old)
      for (const row of [0, 1]) expect(largestDifference(now.slice(old.length + row * width, old.length + (row + 1) * width), mean)).toBeLessThan(1e-6)
    }
  })

  it('is saved with its tokenizer, and an adapter of it with both, for the old base', async () => {
    const { folder, model, tokenizer } = await worded(family, { head })
    const { model: grown, tokenizer: words, ids: [id = 0] } = growVocabulary(model, tokenizer, ['<a>'], { from: 'pieces' })
    keep(grown)
    const row = [1, id, 2]
    expect(words.encode(['w1<a>w2'], { specialTokens: false }).ids).toEqual([Int32Array.from(row)])
    const saved = fresh()
    await grown.save(saved)
    const { task } = model.parts
    expect(logits(keep(await loadModel(saved, { task })), row)).toEqual(logits(grown, row))
    expect((await loadTokenizer(saved)).encode(['w1<a>w2'], { specialTokens: false }).ids).toEqual([Int32Array.from(row)])

    const adapter = attachTrained(grown, 'default', lora({ rank: 2 }), { enabled: true })
    await adapter.save(fresh())
    const again = temporary(`folder ${folders - 1}`)
    await loadAdapter(model, again)
    expect(logits(model, row)).toEqual(logits(grown, row))
    const adapted = await loadAdapted(again, { base: folder })
    keep(adapted.model)
    expect(adapted.tokenizer.tokenToId('<a>')).toBe(id)
    expect(logits(adapted.model, row)).toEqual(logits(grown, row))
    const merged = keep(merge(grown, adapter))
    await merged.save(saved)
    expect(logits(keep(await loadModel(saved, { task })), row)).toEqual(logits(merged, row))
    expect((await loadTokenizer(saved)).tokenToId('<a>')).toBe(id)
  })
})

it.each<[string, () => ReturnType<typeof lora>]>([
  ['a prompt', () => prompt({ virtualTokens: 2 })], ['a prefix', () => prefix({ virtualTokens: 2 })], ['BitFit', () => bitFit()],
  ['a bottleneck adapter', () => bottleneck()], ['LoRA on the table', () => lora({ targets: ['wte'], rank: 2 })],
  ['LoRA on table and head, tied', () => lora({ targets: ['wte'], rank: 2, ensureWeightTying: true })],
])('%s comes back with the larger tables on the old base, and is written once more', async (_, method) => {
  const { model, tokenizer } = await worded('gpt2')
  const { model: grown, ids: [id = 0] } = growVocabulary(model, tokenizer, ['<a>'])
  keep(grown)
  const folder = fresh()
  await attachTrained(grown, 'default', method(), { enabled: true }).save(folder)
  for (const name of ['default', 'again']) {
    const adapter = await loadAdapter(model, folder, { name, enabled: false })
    expect(logits(withAdapters(model, name), [1, id, 2])).toEqual(logits(grown, [1, id, 2]))
    await adapter.save(folder)
  }
})

it.each(['bart/seq2seq', 't5/tied', 't5/untied'])('an encoder-decoder grows, %s: it computes as before on old words, is saved, and an adapter brings its tables to the old base', async (source) => {
  const model = keep(await loadModel(goldenPath(source), { task: 'seq2seq-lm' }))
  const before = vocabSizeOf(model.parts)
  const folder = fresh()
  await writeTokenizer(folder, before)
  const grown = growVocabulary(model, await loadTokenizer(folder), ['<a>', '<b>'])
  keep(grown.model)
  const said = (of: Model, ids: readonly number[]): Float32Array =>
    tf.tidy(() => valuesOf(of.forward({ ids: Int32Array.from(ids), decoderIds: Int32Array.of(2, 3, ids.at(-1) ?? 0), batch: 1, length: ids.length })))
  const [old, row] = [[4, 5, 2], [4, before, 2, before + 1]]
  expect(largestDifference(cut(said(grown.model, old), before + 2, before), said(model, old))).toBeLessThan(1e-5)
  if (source.startsWith('bart')) expect(cut(param(grown.model, 'final_logits_bias').reverse(), 2 + before, 2)).toEqual(Float32Array.of(0, 0)) // as transformers has it
  const saved = fresh()
  await grown.model.save(saved)
  expect(largestDifference(said(keep(await loadModel(saved, { task: 'seq2seq-lm' })), row), said(grown.model, row))).toBeLessThan(1e-6)
  const adapter = attachTrained(grown.model, 'default', lora({ rank: 2 }), { enabled: true })
  await adapter.save(saved)
  await loadAdapter(model, saved)
  expect(largestDifference(said(model, row), said(grown.model, row))).toBeLessThan(1e-5)
  const merged = keep(merge(grown.model, adapter))
  expect(largestDifference(said(merged, row), said(grown.model, row))).toBeLessThan(1e-4)
})

it('rows start from the pieces that the old tokenizer cut a token into', async () => {
  const { model, tokenizer } = await worded('llama')
  const { model: grown, ids: [id = 0] } = growVocabulary(model, tokenizer, ['w1-w4-w4'], { from: 'pieces' })
  keep(grown)
  const rows = param(grown, 'model.embed_tokens.weight')
  const width = rows.length / (id + 1)
  const row = (i: number): Float32Array => rows.slice(i * width, (i + 1) * width)
  const expected = row(1).map((value, i) => (value + 2 * (row(4)[i] ?? 0)) / 3)
  expect(largestDifference(row(id), expected)).toBeLessThan(1e-6)
})

it('rows beyond the tokens are taken first, and start anew; an adapter brings them', async () => {
  const { model, tokenizer } = await worded('gpt2', { spare: 1 })
  const before = vocabSizeOf(model.parts)
  const { model: grown, ids } = growVocabulary(model, tokenizer, ['<a>'])
  keep(grown)
  expect(ids).toEqual([before - 1])
  expect(grown.parts.config).toEqual(model.parts.config)
  expect(logits(grown, [1, before - 1])).not.toEqual(logits(model, [1, before - 1]))
  const [folder, saved] = [fresh(), fresh()]
  await attachTrained(grown, 'default', prompt({ virtualTokens: 2 }), { enabled: true }).save(folder)
  await loadAdapter(model, folder)
  expect(logits(model, [1, before - 1])).toEqual(logits(grown, [1, before - 1]))
  await grown.save(saved)
  const two = growVocabulary(grown, (await loadTokenizer(saved)), ['<b>'])
  expect(two.ids).toEqual([before])
  keep(two.model)
})

it('a bfloat16 model stays one, its old rows bit for bit', async () => {
  const { folder, tokenizer } = await worded('llama')
  const model = keep(await loadModel(folder, { task: 'causal-lm', dtype: 'bfloat16' }))
  const { model: grown } = growVocabulary(model, tokenizer, ['<a>'])
  keep(grown)
  const [old, now] = [param(model, 'model.embed_tokens.weight'), param(grown, 'model.embed_tokens.weight')]
  expect(now.slice(0, old.length)).toEqual(old)
  expect(grown.parts.params.get('model.embed_tokens.weight')?.kind).toBe(model.parts.params.get('model.embed_tokens.weight')?.kind)
})

it('says what does not fit', async () => {
  const { model, tokenizer } = await worded('gpt2')
  const larger = growVocabulary(model, tokenizer, ['<a>'])
  keep(larger.model)
  expect(() => growVocabulary(model, larger.tokenizer, ['<b>'])).toThrow("rows; expected the model's own tokenizer.")
  expect(() => growVocabulary(model, tokenizer, ['', 3 as never])).toThrow('withTokens: the tokens cannot be added:\n  - token 0: expected a text, got ""\n  - token 1: expected a text, got 3')
  expect(() => growVocabulary(model, tokenizer, [])).toThrow('expected at least one token, got none')
  expect(() => growVocabulary(model, tokenizer, ['<a>'], { from: 'zeros' as never })).toThrow("from: expected 'mean' or 'pieces', got \"zeros\".")
})
