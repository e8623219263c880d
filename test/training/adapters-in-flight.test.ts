// Requests with different adapters that are under way on one model at once.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { adaptersOf } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { generate, type NewTokens } from '../../src/base/generate/generate.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import { setActive, withAdapters } from '../../src/manage/active.ts'
import { embed } from '../../src/training/embed.ts'
import { perplexity } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { predictSpans } from '../../src/training/predict-spans.ts'
import { predictTokens } from '../../src/training/predict-tokens.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained, closeModel, tinyModel } from '../manage/models.ts'

const open: Model[] = []
beforeEach(() => { open.length = 0 })
afterEach(() => { open.forEach(closeModel) })

/** With the adapters a and b, of which a is enabled. */
function adapted(model: Model): Model {
  open.push(model)
  for (const name of ['a', 'b']) attachTrained(model, name, lora({ rank: 4 }))
  setActive(model, 'a')
  return model
}

const enabled = (model: Model): string[] => adaptersOf(model).filter((adapter) => adapter.enabled).map(({ name }) => name)
const rowsOf = (i: number): { readonly ids: number[][] } => ({ ids: [[1 + (i % 7), 2, 3], [4, 5 + (i % 5)], [6, 7, 8, 9]] })

it('a hundred predictions with two adapters in flight are each what its adapter gives alone, and nothing is switched', async () => {
  const model = adapted(await tinyModel())
  const names = Array.from({ length: 100 }, (_, i) => (['a', 'b', ['a', 'b'], []] as const)[i % 4] as string | string[])
  const alone: Float32Array[] = []
  for (const [i, name] of names.entries()) alone.push((await predict(withAdapters(model, name), rowsOf(i))).logits)
  const count = tf.memory().numTensors
  const together = await Promise.all(names.map((adapter, i) => predict(model, rowsOf(i), { batchSize: 1, adapter })))
  for (const [i, { logits }] of together.entries()) expect(Math.max(...logits.map((value, j) => Math.abs(value - (alone[i]?.[j] ?? NaN))))).toBeLessThan(1e-6)
  expect(alone[0]).not.toEqual((await predict(model, rowsOf(0), { adapter: 'b' })).logits)
  expect([enabled(model), tf.memory().numTensors]).toEqual([['a'], count])
})

it('a prediction keeps the adapters that were enabled when it was asked for', async () => {
  const model = adapted(await tinyModel())
  const rows = { ids: [[1, 2], [3, 4, 5], [6]] }
  const expected = await predict(model, rows, { batchSize: 1 })
  const asked = predict(model, rows, { batchSize: 1 })
  setActive(model, 'b')
  expect(await asked).toEqual(expected)
})

it.each([
  ['predictTokens', 'bert/token_classification', 'token-classification', predictTokens],
  ['predictSpans', 'bert/question_answering', 'question-answering', predictSpans],
  ['embed', 'bert/base', 'sentence-embedding', embed],
  ['perplexity', 'gpt2/causal_lm', 'causal-lm', perplexity],
] as const)('%s takes the adapters by name too', async (_, path, task, run) => {
  const model = adapted(await loadModel(goldenPath(path), { task }))
  const rows = rowsOf(1)
  const found = []
  for (const adapter of ['a', 'b', []]) {
    found.push(await run(model, rows, { adapter }))
    expect(found.at(-1)).toEqual(await run(withAdapters(model, adapter), rows))
  }
  expect(found[0]).toEqual(await run(model, rows))
  expect(found[1]).not.toEqual(found[0])
  expect(found[2]).not.toEqual(found[0])
  expect(enabled(model)).toEqual(['a'])
})

it('generate writes with the adapters that it is given, or that were enabled at its start, to its end', async () => {
  const model = adapted(await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' }))
  const options = { maxNewTokens: 12, stop: [] }
  const write = async (tokens: AsyncIterable<NewTokens>): Promise<(number | undefined)[]> => {
    const ids: (number | undefined)[] = []
    for await (const [id] of tokens) ids.push(id)
    return ids
  }
  const [a, b] = [await write(generate(withAdapters(model, 'a'), [1, 2, 3], options)), await write(generate(withAdapters(model, 'b'), [1, 2, 3], options))]
  expect(a).not.toEqual(b)
  expect(await Promise.all(['a', 'b', 'a'].map((adapter) => write(generate(model, [1, 2, 3], { ...options, adapter }))))).toEqual([a, b, a])
  const begun = generate(model, [1, 2, 3], options)
  const first = (await begun.next()).value as NewTokens
  setActive(model, 'b')
  expect([...first, ...await write(begun)]).toEqual(a)
})

it('a name that the model does not have, and a number in place of options, are refused in words', async () => {
  const model = adapted(await tinyModel())
  await expect(predict(model, rowsOf(0), { adapter: 'c' })).rejects.toThrow("The model has no adapter 'c'; it has 'a', 'b'.")
  await expect(predict(model, rowsOf(0), 32 as never)).rejects.toThrow(/^predict: expected an object of options, as in \{ batchSize: 32 \}, got 32\.$/)
  expect(() => lora(8 as never)).toThrow(/^lora: expected an object of options, got 8\.$/)
})
