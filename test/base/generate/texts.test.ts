import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createModel, generateText, generateTexts, loadTokenizer, type Model } from '../../../src/index.ts'
import type { GeneratedText, GenerateTextsOptions } from '../../../src/base/generate/texts.ts'
import type { Tokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { goldenPath } from '../../golden.ts'

const PROMPTS = ['a cat', 'dogs and cats', 'x', 'one more text that is longer than the others', 'b', 'what', 'a cat sat', 'the end', 'no']

const CONFIGS = {
  gpt2: { model_type: 'gpt2', vocab_size: 512, n_positions: 128, n_embd: 32, n_layer: 2, n_head: 4, initializer_range: 0.5 },
  llama: {
    model_type: 'llama', vocab_size: 512, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2,
    max_position_embeddings: 128, initializer_range: 0.5,
  },
}

async function createFor(name: string): Promise<Model> {
  return createModel(CONFIGS[name as keyof typeof CONFIGS], { task: 'causal-lm', seed: 1 })
}

let tokenizer: Tokenizer
beforeAll(async () => {
  tokenizer = await loadTokenizer(goldenPath('tokenizer/bytes'))
})

async function written(model: Model, prompts: Parameters<typeof generateTexts>[2], options: GenerateTextsOptions): Promise<GeneratedText[]> {
  const texts: GeneratedText[] = []
  for await (const text of generateTexts(model, tokenizer, prompts, options)) texts.push(text)
  return texts
}

function inOrder(texts: readonly GeneratedText[]): string[] {
  return [...texts].sort((a, b) => a.index - b.index).map(({ text }) => text)
}

async function alone(model: Model, prompt: string, { maxNewTokens, stop = [] }: GenerateTextsOptions): Promise<string> {
  let text = ''
  for await (const piece of generateText(model, tokenizer, prompt, { maxNewTokens, stop })) text += piece
  return text
}

async function* overTime<T>(list: readonly T[], milliseconds: number): AsyncGenerator<T, void> {
  for (const each of list) {
    await new Promise((resolve) => { setTimeout(resolve, milliseconds) })
    yield each
  }
}

describe.each(Object.keys(CONFIGS))('many texts of a %s', (name) => {
  let model: Model
  let stop: readonly number[]
  beforeAll(async () => {
    model = await createFor(name)
    const counts = new Map<number, number>()
    for (const text of inOrder(await written(model, PROMPTS, { maxNewTokens: 20, stop: [], temperature: 1.2 }))) for (const id of tokenizer.encode([text]).ids[0] ?? []) counts.set(id, (counts.get(id) ?? 0) + 1)
    stop = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([id]) => id)
  })
  afterAll(() => { model.dispose() })

  it.each([1, 3, 32])('are what each is alone, %i rows at a time, and end at different times', async (rows) => {
    const options: GenerateTextsOptions = { maxNewTokens: 20, stop, rows }
    const before = tf.memory().numTensors
    const texts = await written(model, PROMPTS, options)
    expect(tf.memory().numTensors).toBe(before)
    const expected = []
    for (const prompt of PROMPTS) expected.push(await alone(model, prompt, options))
    expect(inOrder(texts)).toEqual(expected)
    expect(new Set(texts.map(({ text }) => text.length)).size).toBeGreaterThan(2)
    if (rows > 1) expect(texts.map(({ index }) => index)).not.toEqual([...PROMPTS.keys()])
  })

  it('that are drawn depend on seed and place, not on what is continued beside them', async () => {
    const of = async (rows: number): Promise<string[]> => inOrder(await written(model, PROMPTS, { maxNewTokens: 12, stop, rows, temperature: 1, seed: 4 }))
    expect(await of(2)).toEqual(await of(32))
  })

  it.each([0, 3])('that come over time are the same, %i ms apart', async (milliseconds) => {
    const options: GenerateTextsOptions = { maxNewTokens: 20, stop, rows: 3 }
    const before = tf.memory().numTensors
    expect(inOrder(await written(model, overTime(PROMPTS, milliseconds), options))).toEqual(inOrder(await written(model, PROMPTS, options)))
    expect(tf.memory().numTensors).toBe(before)
  })

  it('that begin with the same tokens read these once, and are what each is alone', async () => {
    const prompts = PROMPTS.map((prompt) => `You are a helpful cat, and say so. ${prompt}`)
    const options: GenerateTextsOptions = { maxNewTokens: 10, stop, rows: 4 }
    const before = tf.memory().numTensors
    const texts = await written(model, prompts, options)
    expect(tf.memory().numTensors).toBe(before)
    const expected = []
    for (const prompt of prompts) expected.push(await alone(model, prompt, options))
    expect(inOrder(texts)).toEqual(expected)
  })

  it('leave nothing behind where the loop ends early or a prompt is wrong', async () => {
    const before = tf.memory().numTensors
    const texts = generateTexts(model, tokenizer, PROMPTS, { maxNewTokens: 20, stop, rows: 2 })
    await texts.next()
    await texts.return()
    await expect(written(model, overTime(['a', 7 as unknown as string], 0), { maxNewTokens: 20, stop: [], rows: 2 })).rejects.toThrow()
    expect(tf.memory().numTensors).toBe(before)
  })
})

it('what cannot be continued is said before anything is', async () => {
  const model = await createFor('gpt2')
  const most = model.limits?.maxLength ?? 0
  expect(() => generateTexts(model, tokenizer, 'a text', { maxNewTokens: 2 })).toThrow('generateTexts: expected prompts, a list of texts or conversations, got')
  expect(() => generateTexts(model, tokenizer, ['a'], { maxNewTokens: 2, rows: 0 })).toThrow('generateTexts: rows: expected an integer of at least 1, got 0.')
  expect(() => generateTexts(model, tokenizer, ['a', 'b'], { maxNewTokens: most + 1 })).toThrow(`more than the ${most} positions of the model`)
  model.dispose()
})
