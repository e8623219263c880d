import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel, type LoadOptions } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { diagonalFisher, type FisherOptions } from '../../src/forgetting/fisher.ts'
import type { Tensors } from '../../src/forgetting/records.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import type { Examples } from '../../src/training/examples.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../golden.ts'

const IDS = [[1, 5, 9, 3], [1, 7, 2], [1, 11, 12, 13, 14]]

let model: Model
let adapter: Adapter

beforeEach(async () => {
  model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  adapter = await loadAdapter(model, goldenPath('lora/query_value/adapter'))
})

afterEach(() => {
  detach(adapter)
  model.dispose()
})

/** PEFT's key of a tensor that LoRA trains. */
function wireKey(name: string): string {
  return `base_model.model.${name.replace(/\.([AB])$/, '.lora_$1.weight')}`
}

/** The information of the adapter as plain numbers. */
async function fisherOf(ids: number[][], options: FisherOptions, labels?: readonly number[]): Promise<Record<string, Float32Array>> {
  const fisher = await diagonalFisher(model, adapter.trainable, { ids, ...(labels === undefined ? {} : { labels }) }, options)
  return numbers(fisher)
}

function numbers(record: Tensors): Record<string, Float32Array> {
  const plain = Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, valuesOf(tensor).slice()]))
  tf.dispose(Object.values(record))
  return plain
}

describe('diagonalFisher', () => {
  it.each(['exact', 'predicted', 'empirical'] as const)('gives the numbers of torch: %s', async (kind) => {
    const rows = (await readGolden('lora/query_value/golden.safetensors')).batch('input_ids', 'attention_mask', undefined, 'labels')
    const ids = Array.from({ length: rows.batch }, (_, row) => {
      const [begin, end] = [row * rows.length, (row + 1) * rows.length]
      return [...rows.ids.slice(begin, end)].slice(0, rows.mask?.slice(begin, end).reduce((sum, bit) => sum + bit, 0))
    })
    const golden = await readGolden('forgetting.safetensors')
    const fisher = await fisherOf(ids, { kind }, [...rows.labels ?? []])
    expect(Object.keys(fisher).map((name) => `${kind}/${wireKey(name)}`).sort())
      .toEqual(golden.names.filter((name) => name.startsWith(`${kind}/`)).sort())
    for (const [name, values] of Object.entries(fisher)) {
      const expected = golden.numbers(`${kind}/${wireKey(name)}`)
      expect(largestDifference(values, expected), name).toBeLessThan(1e-4 * Math.max(...expected)) // squares: some are below 1e-4
    }
  })

  it('squares the gradient of a class that was drawn: that of one class for one row, each class now and then', async () => {
    const [row] = IDS as [number[], ...number[][]]
    const ofClass = await Promise.all([0, 1, 2].map((label) => fisherOf([row], { kind: 'empirical' }, [label])))
    const seen = new Set<number>()
    for (let seed = 0; seed < 20; seed++) {
      const sampled = await fisherOf([row], { kind: 'sampled', seed })
      const label = ofClass.findIndex((one) => JSON.stringify(one) === JSON.stringify(sampled))
      expect(label).toBeGreaterThanOrEqual(0)
      seen.add(label)
    }
    expect(seen.size).toBeGreaterThan(1)
    expect(await fisherOf([row], { kind: 'sampled', seed: 3 })).toEqual(await fisherOf([row], { kind: 'sampled', seed: 3 }))
  })

  it('takes so many examples, by the seed', async () => {
    const each = await Promise.all(IDS.map((row) => fisherOf([row], {})))
    const one = await fisherOf(IDS, { size: 1, seed: 4 })
    expect(each.filter((other) => JSON.stringify(other) === JSON.stringify(one))).toHaveLength(1)
  })

  it.each(['exact', 'predicted', 'empirical'] as const)('gives of rows of different lengths what each gives by itself: %s', async (kind) => {
    const rows = Array.from({ length: 37 }, (_, i) => Array.from({ length: 1 + (i % 9) }, (_, t) => 1 + ((7 * i + 5 * t) % 30)))
    const before = tf.memory().numTensors
    const together = await fisherOf(rows, { kind }, rows.map((_, i) => i % 3))
    expect(tf.memory().numTensors).toBe(before)
    const each: Record<string, Float32Array>[] = []
    for (const [i, row] of rows.entries()) each.push(await fisherOf([row], { kind }, [i % 3]))
    for (const [name, values] of Object.entries(together)) {
      const expected = values.map((_, k) => each.reduce((sum, one) => sum + (one[name]?.[k] ?? NaN), 0) / rows.length)
      expect(largestDifference(values, expected), name).toBeLessThan(1e-5 * Math.max(...expected))
    }
  })

  it('keeps nothing but what it returns', async () => {
    const before = tf.memory().numTensors
    const fisher = await diagonalFisher(model, adapter.trainable, { ids: IDS })
    expect(tf.memory().numTensors - before).toBe(Object.keys(adapter.trainable).length)
    tf.dispose(Object.values(fisher))
    expect(tf.memory().numTensors).toBe(before)
  })

  it('refuses what has no information, all at once', async () => {
    const before = tf.memory().numTensors
    await expect(diagonalFisher(model, adapter.trainable, { ids: [] })).rejects.toThrow('expected at least one example, got none')
    const wrong = diagonalFisher(model, adapter.trainable, { ids: IDS }, { kind: 'empirical', size: 4 })
    await expect(wrong).rejects.toThrow(/size: expected an integer from 1 to 3, got 4\n.*expected labels, one for each row/)
    const [name, variable] = Object.entries(adapter.trainable)[0] as [string, tf.Variable]
    tf.tidy(() => { variable.assign(tf.fill(variable.shape, NaN)) })
    await expect(diagonalFisher(model, adapter.trainable, { ids: IDS })).rejects.toThrow(`the information: ${name} has numbers that are not finite`)
    expect(tf.memory().numTensors).toBe(before)
  })
})

it.each([
  ['gpt2/causal_lm', 'causal-lm', {}, [3, 5, 7, 9], 3],
  ['roberta/base', 'question-answering', { spans: [[1, 3]] }, [1, 3], 2],
  ['roberta/base', 'question-answering', { spans: [[-100, 3]] }, [-100, 3], 2], // the loss is half of that of one side
] as const)('takes the gradient of a whole row’s log-probability where a row has many labels: %s, %s, %j', async (folder, task, beside, labels, times) => {
  const loaded = await loadModel(goldenPath(folder), { task })
  const attached = attach(loaded, lora({ rank: 2, init: 'gaussian' }), { train: [] })
  const row = [3, 5, 7, 9]
  const fisher = numbers(await diagonalFisher(loaded, attached.trainable, { ids: [row], ...beside }, { kind: 'empirical' }))
  const batch = { ids: Int32Array.from(row), labels: Int32Array.from(labels), batch: 1, length: 4 }
  const { value, grads } = valueAndGrads(() => loaded.loss(batch), attached.trainable)
  for (const [name, values] of Object.entries(numbers(grads))) {
    const expected = values.map((g) => (times * g) ** 2)
    expect(largestDifference(fisher[name] ?? [], expected), name).toBeLessThanOrEqual(1e-5 * Math.max(...expected))
  }
  value.dispose()
  await expect(diagonalFisher(loaded, attached.trainable, { ids: [row] })).rejects.toThrow("kind: 'exact' is for sequence and image classification")
  detach(attached)
  loaded.dispose()
})

it.each<[string, NonNullable<LoadOptions['task']>, Partial<Examples>[]]>([
  ['gpt2/causal_lm', 'causal-lm', [{}, {}, {}]],
  ['roberta/base', 'question-answering', [{ spans: [[0, 2]] }, { spans: [[-100, 3]] }, { spans: [[1, -100]] }]],
])('gives of rows with different numbers of labels what each gives by itself: %s, %s', async (folder, task, beside) => {
  const loaded = await loadModel(goldenPath(folder), { task })
  const attached = attach(loaded, lora({ rank: 2, init: 'gaussian' }), { train: [] })
  const fisher = async (examples: Examples): Promise<Record<string, Float32Array>> =>
    numbers(await diagonalFisher(loaded, attached.trainable, examples, { kind: 'empirical' }))
  const ids = [4, 7, 5].map((length) => Array.from({ length }, (_, i) => 1 + ((3 * i + length) % 30)))
  const spans = beside.flatMap((one) => one.spans ?? [])
  const together = await fisher({ ids, ...(spans.length === 0 ? {} : { spans }) })
  const each: Record<string, Float32Array>[] = []
  for (const [i, row] of ids.entries()) each.push(await fisher({ ids: [row], ...beside[i] }))
  for (const [name, values] of Object.entries(together)) {
    const expected = values.map((_, k) => each.reduce((sum, one) => sum + (one[name]?.[k] ?? NaN), 0) / ids.length)
    expect(largestDifference(values, expected), name).toBeLessThanOrEqual(1e-5 * Math.max(...expected))
  }
  detach(attached)
  loaded.dispose()
})
