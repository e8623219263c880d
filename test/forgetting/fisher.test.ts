import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach, detach, type Adapter } from '../../src/base/attach.ts'
import { valueAndGrads } from '../../src/base/grads.ts'
import { loadModel } from '../../src/base/load.ts'
import type { Model } from '../../src/base/model.ts'
import { diagonalFisher, type FisherOptions } from '../../src/forgetting/fisher.ts'
import type { Tensors } from '../../src/forgetting/records.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
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

it('takes the gradient of a whole row’s log-probability where a row has many labels', async () => {
  const decoder = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  const attached = attach(decoder, lora({ rank: 2, init: 'gaussian' }))
  const row = [3, 5, 7, 9]
  const fisher = numbers(await diagonalFisher(decoder, attached.trainable, { ids: [row] }, { kind: 'empirical' }))
  const ids = Int32Array.from(row)
  const { value, grads } = valueAndGrads(() => decoder.loss({ ids, labels: ids, batch: 1, length: 4 }), attached.trainable)
  for (const [name, values] of Object.entries(numbers(grads))) {
    expect(largestDifference(fisher[name] ?? [], values.map((g) => (3 * g) ** 2)), name).toBeLessThan(1e-5)
  }
  value.dispose()
  await expect(diagonalFisher(decoder, attached.trainable, { ids: [row] })).rejects.toThrow("kind: 'exact' is for sequence classification")
  detach(attached)
  decoder.dispose()
})
