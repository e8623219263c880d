import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../../src/base/adapter/attached.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { KvCache } from '../../../src/base/generate/cache.ts'
import { generate } from '../../../src/base/generate/generate.ts'
import type { GenerateOptions } from '../../../src/base/generate/settings.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Method } from '../../../src/base/method.ts'
import type { Model } from '../../../src/base/model.ts'
import { InputError } from '../../../src/errors.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { lora } from '../../../src/lora/lora.ts'
import { prefix } from '../../../src/prefix/prefix.ts'
import { prompt } from '../../../src/prompt/prompt.ts'
import { goldenPath, readGolden, valuesOf } from '../../golden.ts'

const open: Model[] = []

async function load(path: string): Promise<Model> {
  const model = await loadModel(goldenPath(path), { task: 'causal-lm' })
  open.push(model)
  return model
}

afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

/** The new tokens of each row. */
async function collect(model: Model, from: Batch | readonly number[], options: GenerateOptions): Promise<number[][]> {
  const rows: number[][] = []
  for await (const tokens of generate(model, from, options)) {
    tokens.forEach((token, i) => {
      const row = (rows[i] ??= [])
      if (token !== undefined) row.push(token)
    })
  }
  return rows
}

/** The same for one row by whole passes over the text, without a cache. */
function greedyWithoutCache(model: Model, text: readonly number[], count: number, penalty = 1): number[] {
  const row = [...text]
  for (let i = 0; i < count; i++) {
    const logits = tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.from(row), batch: 1, length: row.length })))
    const last = [...logits.slice(-(model.parts.architecture.text?.vocabSize ?? 0))].map((score, id) =>
      row.includes(id) ? (score > 0 ? score / penalty : score * penalty) : score,
    )
    row.push(last.indexOf(Math.max(...last)))
  }
  return row.slice(text.length)
}

const RELATIVES = [
  'granite', 'smollm3', 'olmo2', 'olmo3', 'gemma', 'gemma2', 'gemma3_text', 'gemma4_text', 'gemma4_experts', 'phi3', 'ministral3', 'qwen3_5_text', 'qwen3_moe', 'mixtral', 'gpt_oss',
]

describe.each([
  ['gpt2/', 'lora_causal'],
  ['llama/', 'lora'],
  ...RELATIVES.map((type): [string, string] => [`relatives/${type}_`, 'lora']),
])('%s', (family, adapter) => {
  it('continues texts as transformers does, 64 tokens, with padding, with and without a LoRA', async () => {
    const golden = await readGolden(`${family}generation/golden.safetensors`)
    const model = await load(`${family}causal_lm`)
    const batch = golden.batch('input_ids', 'attention_mask')
    const options = { maxNewTokens: 64, stop: [] }
    expect((await collect(model, batch, options)).flat()).toEqual([...golden.numbers('base/tokens')])
    await loadAdapter(model, goldenPath(`${family}${adapter}/adapter`))
    expect((await collect(model, batch, options)).flat()).toEqual([...golden.numbers('adapted/tokens')])
  })
})

const METHODS: Readonly<Record<string, () => Method>> = {
  'nothing': () => lora({ rank: 1 }), // starts equal to the base
  'a prefix': () => prefix({ virtualTokens: 3 }),
  'a prompt': () => prompt({ virtualTokens: 3 }),
}

describe.each(['gpt2/causal_lm', 'llama/tied', 'mistral/window', 'qwen2/window', 'qwen3/causal_lm', ...RELATIVES.map((type) => `relatives/${type}_causal_lm`)])('%s', (path) => {
  it.each(Object.keys(METHODS))('gives with a cache, in a padded batch, what it gives without, with %s attached', async (name) => {
    const model = await load(path)
    attach(model, (METHODS[name] as () => Method)(), { seed: 3, train: [] })
    const texts = [[5, 9, 11, 2], [7, 3, 8, 28, 21, 14, 6], [4]]
    const ids = Int32Array.from(texts.flatMap((text) => [...text, ...new Array<number>(7 - text.length).fill(0)]))
    const mask = Int32Array.from(texts.flatMap((text) => Array.from({ length: 7 }, (_, i) => (i < text.length ? 1 : 0))))
    const together = await collect(model, { ids, mask, batch: 3, length: 7 }, { maxNewTokens: 12, stop: [] })
    expect(together).toEqual(texts.map((text) => greedyWithoutCache(model, text, 12)))
  })
})

it('keeps no tensor, also where the loop is left early', async () => {
  const model = await load('llama/causal_lm')
  const before = tf.memory().numTensors
  await collect(model, [1, 2, 3], { maxNewTokens: 5, stop: [] })
  expect(tf.memory().numTensors).toBe(before)
  const during: number[] = []
  for await (const tokens of generate(model, [1, 2, 3], { maxNewTokens: 9, stop: [] })) {
    expect(tokens).toHaveLength(1)
    during.push(tf.memory().numTensors)
    if (during.length === 4) break
  }
  expect(new Set(during.slice(1)).size).toBe(1) // a pass over a prompt needs less
  expect(tf.memory().numTensors).toBe(before)
})

it('ends each row behind a stop token, and the whole when every row has ended', async () => {
  const model = await load('gpt2/causal_lm')
  const [first = []] = await collect(model, [5, 6], { maxNewTokens: 20, stop: [] })
  const stop = [first[3] ?? 0]
  const rows = await collect(model, { ids: Int32Array.of(5, 6, 9, 2), batch: 2, length: 2 }, { maxNewTokens: 20, stop })
  expect(rows[0]).toEqual(first.slice(0, first.indexOf(stop[0] ?? 0) + 1))
  for (const row of rows) expect(row.length === 20 || row.indexOf(stop[0] ?? 0) === row.length - 1).toBe(true)
})

it('draws what the seed decides, each row by itself', async () => {
  const model = await load('gpt2/causal_lm')
  const options = { maxNewTokens: 24, temperature: 1, stop: [] }
  const one = await collect(model, [5, 6], { ...options, seed: 1 })
  expect(await collect(model, [5, 6], { ...options, seed: 1 })).toEqual(one)
  expect(await collect(model, [5, 6], { ...options, seed: 2 })).not.toEqual(one)
  const both = await collect(model, { ids: Int32Array.of(5, 6, 5, 6), batch: 2, length: 2 }, { ...options, seed: 1 })
  expect(both[0]).toEqual(one[0])
  expect(both[1]).not.toEqual(one[0])
})

it('draws as often as the probabilities say, among the tokens that topK and topP leave', async () => {
  const model = await load('gpt2/causal_lm')
  const batch = { ids: new Int32Array(600).fill(5), batch: 600, length: 1 }
  const logits = tf.tidy(() => [...valuesOf(model.forward({ ids: Int32Array.of(5), batch: 1, length: 1 }))])
  const weights = logits.map((score) => Math.exp(score / 2))
  const order = [...weights.keys()].sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0))
  const shares = async (options: Partial<GenerateOptions>): Promise<Map<number, number>> => {
    const counts = new Map<number, number>()
    const rows = await collect(model, batch, { maxNewTokens: 1, temperature: 2, seed: 4, stop: [], ...options })
    for (const [id = 0] of rows) counts.set(id, (counts.get(id) ?? 0) + 1 / 600)
    return counts
  }
  const check = (counts: Map<number, number>, ids: readonly number[]): void => {
    expect([...counts.keys()].every((id) => ids.includes(id))).toBe(true)
    const total = ids.reduce((sum, id) => sum + (weights[id] ?? 0), 0)
    for (const id of ids) expect(Math.abs((counts.get(id) ?? 0) - (weights[id] ?? 0) / total)).toBeLessThan(0.08) // 4 σ
  }
  check(await shares({}), order)
  check(await shares({ topK: 3 }), order.slice(0, 3))
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  const half = order.filter((_, i) => order.slice(0, i).reduce((sum, id) => sum + (weights[id] ?? 0), 0) < all / 2)
  check(await shares({ topP: 0.5 }), half)
})

it('makes tokens that were there less likely with a repetition penalty', async () => {
  const model = await load('gpt2/causal_lm')
  const [row = []] = await collect(model, [5, 6], { maxNewTokens: 20, repetitionPenalty: 1.5, stop: [] })
  expect(row).toEqual(greedyWithoutCache(model, [5, 6], 20, 1.5))
  expect(row).not.toEqual(greedyWithoutCache(model, [5, 6], 20))
})

it('says what it was given in place of the ids of one row', async () => {
  const model = await load('gpt2/causal_lm')
  for (const [prompt, got] of [
    ['Hi', 'the text "Hi"; of texts: generateText(model, tokenizer, text, …)'], [{ ids: [[1]] }, 'what tokenizer.encode gives; one row of it: ids[0]'],
    [[[1, 2]], 'a list of rows; one row: ids[0]'], [undefined, 'undefined'], [null, 'null'], [{}, '{}'],
  ] as const) expect(() => generate(model, prompt as never, { maxNewTokens: 1 })).toThrow(new InputError(`generate: expected the token ids of one row, or a batch, got ${got}.`))
})

it('says all that is wrong with the options', async () => {
  const model = await load('gpt2/causal_lm')
  expect(() => generate(model, [1], { maxNewTokens: 0, topP: 2, repetitionPenalty: 0, seed: 0.5, stop: [5, 37], stopStrings: [''] })).toThrow(
    new InputError('generate: the options cannot be used:', [
      'maxNewTokens: expected an integer of at least 1, got 0',
      'seed: expected an integer, got 0.5',
      'topP: expected a number of at least 0 and of at most 1, got 2',
      'repetitionPenalty: expected a number above 0, got 0',
      'stop: expected a list of integers of at least 0 and below 37, got [5,37]',
      'stopStrings: expected texts of at least one character, got an empty one',
      'stopStrings: they need the model\'s tokenizer, as in { tokenizer }',
      'topP: what is drawn from, and with temperature 0 nothing is; give a temperature',
    ]),
  )
  expect(() => generate(model, [1, 2], { maxNewTokens: 96 })).toThrow(/prompt of 2 tokens and 96 new ones are more than the 96 positions.*at most 95/)
  const rows = { ids: Int32Array.of(1, 1, 1, 1, 1, 1), mask: Int32Array.of(0, 0, 0, 1, 0, 1), batch: 2, length: 3 }
  expect(() => generate(model, rows, { maxNewTokens: 99 })).toThrow(
    new InputError('generate: the prompt cannot be continued:', [
      'row 0 has no token: start it with the tokenizer\'s first token',
      'row 1: expected padding at its ends alone, the mask has a 0 between two tokens',
      'a prompt of 2 tokens and 99 new ones are more than the 96 positions of the model; ask for at most 95, or shorten the prompt',
    ]),
  )
  expect(() => generate(model, [1], { maxNewTokens: 1, temperature: -1 })).toThrow('temperature: expected a number of at least 0, got -1')
  const encoder = await loadModel(goldenPath('gpt2/base'))
  expect(() => generate(encoder, [1], { maxNewTokens: 1 })).toThrow(/loaded for 'feature-extraction'; load it with \{ task: 'causal-lm' \}/)
  encoder.dispose()
})

it('says that a recurrence takes no padding in a later pass over its text', async () => {
  const [model, cache] = [await load('relatives/qwen3_5_text_causal_lm'), new KvCache()]
  const pass = (mask: readonly number[]): void => tf.tidy(() => {
    model.forward({ ids: Int32Array.of(5, 6), mask: Int32Array.from(mask), batch: 1, length: 2 }, { cache })
  })
  pass([0, 1])
  expect(() => { pass([0, 1]) }).toThrow(InputError)
  pass([1, 1])
  cache.dispose()
})
