// GGUF files in llama.cpp itself: what it computes with them, and how it splits texts. That it loads them proves nothing.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, it } from 'vitest'
import { createModel, exportGguf, generate, loadModel, loadTokenizer, lora, type Model } from '../../src/index.ts'
import { attachTrained, closeModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { askLlamaCpp, type Answer, type Asked } from './llama-cpp.ts'
import { pieces, splitBy, SPLITS } from './tokenizers.ts'

const folderFor = temporaryFolder()
const COUNT = 12
const IDS = [3, 5, 110, 7, 200, 9, 14, 31, 255, 17]

/** Widths are whole blocks; numbers large enough that a wrong row shows. */
const SIZES = { vocab_size: 420, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 96, max_position_embeddings: 512, initializer_range: 0.3 }
const LLAMA3 = { rope_type: 'llama3', rope_theta: 10_000, factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 }
const LONGROPE = {
  rope_type: 'longrope', rope_theta: 10_000, partial_rotary_factor: 0.5, short_factor: [1, 1.2, 1.5, 2], long_factor: [1.5, 2.5, 4.5, 8], original_max_position_embeddings: 256,
}
const FAMILIES: Readonly<Record<string, object>> = {
  LLaMA: { ...SIZES, model_type: 'llama' },
  'LLaMA with biases, heads of another size and a tied head': { ...SIZES, model_type: 'llama', attention_bias: true, mlp_bias: true, head_dim: 24, tie_word_embeddings: true },
  'LLaMA stretched as LLaMA 3 is': { ...SIZES, model_type: 'llama', rope_parameters: LLAMA3 },
  'LLaMA stretched evenly': { ...SIZES, model_type: 'llama', rope_parameters: { rope_type: 'linear', rope_theta: 10_000, factor: 4 } },
  'Mistral with a window': { ...SIZES, model_type: 'mistral', sliding_window: 32 },
  Qwen2: { ...SIZES, model_type: 'qwen2' },
  Qwen3: { ...SIZES, model_type: 'qwen3', head_dim: 24 },
  Gemma: { ...SIZES, model_type: 'gemma', head_dim: 24 },
  'Gemma 2': { ...SIZES, initializer_range: 0.1, model_type: 'gemma2', head_dim: 24, query_pre_attn_scalar: 24, sliding_window: 4 },
  'Gemma 3': { ...SIZES, model_type: 'gemma3_text', num_hidden_layers: 7, head_dim: 24, query_pre_attn_scalar: 24, sliding_window: 4, rope_local_base_freq: 10_000 },
  'GPT-2': { model_type: 'gpt2', vocab_size: 420, n_embd: 64, n_layer: 2, n_head: 4, n_positions: 512, initializer_range: 0.3 },
  'Phi-3': { ...SIZES, model_type: 'phi3', original_max_position_embeddings: 512, pad_token_id: 0 },
  'Phi-3 with LongRoPE': { ...SIZES, model_type: 'phi3', original_max_position_embeddings: 256, rope_parameters: LONGROPE, pad_token_id: 0 },
}

/** A model with numbers of its own in each tensor, and with a tokenizer beside it. */
async function open(config: object): Promise<Model> {
  const folder = folderFor(`model-${Math.random()}`)
  const made = await createModel({ ...config }, { seed: 3 })
  await made.save(folder)
  made.dispose()
  await splitBy('gpt-2', folder)
  return await loadModel(folder, { task: 'causal-lm' })
}

function probabilitiesOf(model: Model): readonly number[] {
  return Array.from(tf.tidy(() => {
    const logits = model.forward({ ids: Int32Array.from(IDS), batch: 1, length: IDS.length })
    return tf.softmax(tf.slice(logits, [0, IDS.length - 1, 0], [1, 1, -1]))
  }).dataSync())
}

function farthest(theirs: readonly number[], own: readonly number[]): number {
  expect(theirs.length).toBe(own.length)
  return Math.max(...own.map((value, i) => Math.abs(value - (theirs[i] ?? NaN))))
}

/** The likeliest tokens behind the prompt. */
async function writtenBy(model: Model): Promise<number[]> {
  const tokens: number[] = []
  for await (const [token] of generate(model, IDS, { maxNewTokens: COUNT, stop: [] })) if (token !== undefined) tokens.push(token)
  return tokens
}

interface Case {
  readonly base: readonly number[]
  readonly tuned: readonly number[]
  readonly written: readonly number[]
  readonly answers: readonly [alone: Answer, folded: Answer, beside: Answer, off: Answer]
}
const cases = new Map<string, Case>()

beforeAll(async () => {
  const own = new Map<string, Omit<Case, 'answers'>>()
  const asked: Asked[] = []
  for (const [name, config] of Object.entries(FAMILIES)) {
    const model = await open(config)
    const [plain, merged, beside] = ['plain', 'merged', 'adapter'].map((file) => folderFor(`${file}-${own.size}.gguf`)) as [string, string, string]
    await exportGguf(model, plain, { dtype: 'F32' })
    const base = probabilitiesOf(model)
    const adapter = attachTrained(model, 'tuned', lora({ rank: 4, alpha: 6, targets: 'all-linear', rankPattern: { '.*1.*': 2 } }), { enabled: true })
    own.set(name, { base, tuned: probabilitiesOf(model), written: await writtenBy(model) })
    await exportGguf(model, merged, { dtype: 'F32' })
    await exportGguf(adapter, beside)
    asked.push(
      { model: plain, ids: IDS },
      { model: merged, ids: IDS, count: COUNT },
      { model: plain, lora: [{ file: beside, scale: 1 }], ids: IDS, count: COUNT },
      { model: plain, lora: [{ file: beside, scale: 0 }], ids: IDS },
    )
    closeModel(model)
  }
  const answers = await askLlamaCpp(asked)
  for (const [i, [name, numbers]] of [...own].entries()) cases.set(name, { ...numbers, answers: answers.slice(4 * i, 4 * i + 4) as unknown as Case['answers'] })
})

it.each(Object.keys(FAMILIES))('%s: probabilities and tokens in llama.cpp are those here, folded and with the adapter beside', (name) => {
  const { base, tuned, written, answers: [alone, folded, beside, off] } = cases.get(name) as Case
  expect(farthest(tuned, base)).toBeGreaterThan(0.02)
  const limit = name.startsWith('Gemma') || name === 'GPT-2' ? 5e-4 : 2e-6 // GELU is looked up in a table of float16 there
  expect(farthest(alone.probabilities, base)).toBeLessThan(limit)
  expect(farthest(folded.probabilities, tuned)).toBeLessThan(limit)
  expect(farthest(beside.probabilities, tuned)).toBeLessThan(limit)
  expect(farthest(off.probabilities, base)).toBeLessThan(limit)
  expect(folded.written).toEqual(written)
  expect(beside.written).toEqual(written)
})

const TEXTS = [
  'Subject: free offers! You\'ve won 12345 dollars, haven\'t you?', '  two  blanks,\ttabs\nand lines \n\n', 'Élan naïve — 日本語 и привет 🎉 ½ x²', 'CamelCaseWords ISN\'T we\'LL\r\n42 4 2',
]

it.each(SPLITS)('texts split by %s come to the same tokens', async (split) => {
  const folder = folderFor(`split-${split}`)
  await mkdir(folder)
  await (await createModel({ ...SIZES, model_type: 'qwen2' })).save(folder)
  await splitBy(split, folder)
  await sameTokens(folder)
})

it.each([true, false])('texts in pieces come to the same tokens, with a blank before the first word: %s', async (prefix) => {
  const folder = folderFor(`pieces-${String(prefix)}`)
  await (await createModel({ ...SIZES, model_type: 'llama', vocab_size: 600 })).save(folder)
  await pieces('the offer of the winner is free and you have won the other one more often than others', folder, { prefix })
  await sameTokens(folder)
})

async function sameTokens(folder: string): Promise<void> {
  const [model, tokenizer] = [await loadModel(folder, { task: 'causal-lm' }), await loadTokenizer(folder)]
  await exportGguf(model, join(folder, 'model.gguf'), { dtype: 'F16' })
  model.dispose()
  const [answer] = await askLlamaCpp([{ model: join(folder, 'model.gguf'), ids: IDS, texts: TEXTS }])
  expect(answer?.tokens).toEqual(TEXTS.map((text) => Array.from(tokenizer.encode([text], { specialTokens: false }).ids[0] ?? [])))
}

it('fewer bits move probabilities less than a hundredth, but for 4', async () => {
  const model = await open({ ...SIZES, model_type: 'qwen3', initializer_range: 0.1 })
  const own = probabilitiesOf(model)
  const dtypes = ['F16', 'BF16', 'Q8_0', 'Q4_0'] as const
  for (const dtype of dtypes) await exportGguf(model, folderFor(`${dtype}.gguf`), { dtype })
  const answers = await askLlamaCpp(dtypes.map((dtype) => ({ model: folderFor(`${dtype}.gguf`), ids: IDS })))
  const [half = NaN, brain = NaN, bytes = NaN, nibbles = NaN] = answers.map(({ probabilities }) => farthest(probabilities, own))
  expect(half).toBeLessThan(1e-4)
  expect(brain).toBeLessThan(1e-2)
  expect(bytes).toBeLessThan(1e-2)
  expect(nibbles).toBeLessThan(0.1)
  expect(nibbles).toBeGreaterThan(bytes)
  closeModel(model)
})
