import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../../src/base/architecture.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { generate } from '../../../src/base/generate/generate.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { joinBatches, type Batch } from '../../../src/base/batch.ts'
import { diagonalFisher } from '../../../src/forgetting/fisher.ts'
import { lora } from '../../../src/lora/lora.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { prepareBatches, type Examples } from '../../../src/training/batches.ts'
import { evaluate, perplexity } from '../../../src/training/measure.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../../golden.ts'

const CASES = [['base', 'feature-extraction'], ['tied', 'seq2seq-lm'], ['untied', 'seq2seq-lm'], ['mt5', 'seq2seq-lm']] as const satisfies readonly (readonly [string, Task])[]

function batchOf(golden: Golden, mask: boolean): Batch {
  const decoderIds = Int32Array.from(golden.numbers('decoder_input_ids'))
  return { ...(mask ? golden.batch('input_ids', 'attention_mask') : golden.batch('input_ids')), decoderIds }
}

it.each(CASES)('%s gives the numbers of transformers for %s, with padding left and right', async (name, task) => {
  const golden = await readGolden(`t5/${name}/golden.safetensors`)
  const model = await loadModel(goldenPath(`t5/${name}`), { task })
  const output = task === 'feature-extraction' ? 'last_hidden_state' : 'logits'
  for (const call of ['full', 'ids_only']) {
    const expected = golden.numbers(`${call}/${output}`)
    const actual = tf.tidy(() => valuesOf(model.forward(batchOf(golden, call === 'full'))))
    expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), call).toBeLessThan(1e-5)
  }
  model.dispose()
})

describe.each([['lora', 'tied'], ['lora_untied', 'untied']] as const)('%s on %s', (lora, base) => {
  it('gives the logits, the loss and the gradients of HF PEFT', async () => {
    const golden = await readGolden(`t5/${lora}/golden.safetensors`)
    const model = await loadModel(goldenPath(`t5/${base}`), { task: 'seq2seq-lm' })
    const adapter = await loadAdapter(model, goldenPath(`t5/${lora}/adapter`))
    const batch = { ...batchOf(golden, true), labels: Int32Array.from(golden.numbers('labels')) }
    const near = (actual: Float32Array, key: string, tolerance: number): void => {
      const expected = golden.numbers(key)
      expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), key).toBeLessThan(tolerance)
    }
    near(tf.tidy(() => valuesOf(model.forward(batch))), 'logits', 1e-5)
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    near(valuesOf(value), 'loss', 1e-5)
    const keyOf = (name: string): string => `grad/base_model.model.${name.replace(/\.([AB])$/, '.lora_$1.weight')}`
    expect(Object.keys(grads).map(keyOf).sort()).toEqual(golden.names.filter((key) => key.startsWith('grad/')).sort())
    for (const [name, grad] of Object.entries(grads)) near(valuesOf(grad), keyOf(name), 1e-4)
    tf.dispose([value, grads])
    detach(adapter)
    model.dispose()
  })
})

it('writes the 64 tokens of transformers, with an adapter and without, and keeps no tensor', async () => {
  const golden = await readGolden('t5/generation/golden.safetensors')
  const prompt = golden.batch('input_ids', 'attention_mask')
  const model = await loadModel(goldenPath('t5/untied'), { task: 'seq2seq-lm' })
  const written = async (): Promise<number[]> => {
    const rows: number[][] = [[], [], []]
    for await (const tokens of generate(model, prompt, { maxNewTokens: 64, stop: [] })) tokens.forEach((token, row) => rows[row]?.push(token ?? -1))
    return rows.flat()
  }
  expect(await written()).toEqual([...golden.numbers('base/tokens')])
  const adapter = await loadAdapter(model, goldenPath('t5/lora_untied/adapter'))
  const tensors = tf.memory().numTensors
  expect(await written()).toEqual([...golden.numbers('adapted/tokens')])
  expect(tf.memory().numTensors).toBe(tensors)
  detach(adapter)
  model.dispose()
})

it.each([
  ['in full', fullFineTuning()], ['of distances alone', lora({ targets: ['relative_attention_bias'], init: 'gaussian', rank: 2 })],
])('has the Fisher information of each row by itself, though no row has a distance alone: %s', async (_, method) => {
  const model = await loadModel(goldenPath('t5/untied'), { task: 'seq2seq-lm' })
  const { trainable } = attach(model, method)
  const rows = { ids: [[5, 9, 3, 4], [4, 8, 2, 6], [7, 7, 1, 3], [2, 6, 6, 1]], targets: [[7, 6, 1, 2], [11, 12, 13, 1], [3, 4, 5, 1], [8, 8, 9, 1]] }
  const informationOf = async (...which: number[]): Promise<Record<string, Float32Array>> => {
    const pick = (all: readonly number[][]): number[][] => which.map((row) => all[row] ?? [])
    const found = await diagonalFisher(model, trainable, { ids: pick(rows.ids), targets: pick(rows.targets) }, { kind: 'empirical' })
    const values = Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, Float32Array.from(valuesOf(tensor))]))
    tf.dispose(found)
    return values
  }
  const together = await informationOf(0, 1, 2, 3)
  const alone = [await informationOf(0), await informationOf(1), await informationOf(2), await informationOf(3)]
  expect(Object.keys(together).filter((name) => name.includes('relative_attention_bias')).length).toBeGreaterThan(1)
  for (const [name, values] of Object.entries(together)) {
    const mean = values.map((_, i) => alone.reduce((sum, each) => sum + (each[name]?.[i] ?? NaN), 0) / 4)
    expect(largestDifference(values, mean) / Math.max(1e-6, ...mean), name).toBeLessThan(1e-4)
  }
  model.dispose()
})

describe('learns texts from texts', () => {
  const load = (): ReturnType<typeof loadModel> => loadModel(goldenPath('t5/untied'), { task: 'seq2seq-lm' })
  const rows = { ids: [[5, 9, 3], [4, 8]], targets: [[7, 6, 1], [11, 12, 13, 14, 1]] }

  it('with the loss of transformers: what is to be written, held against what the decoder gives one token earlier', async () => {
    const model = await load()
    const [batch] = prepareBatches(rows, { batchSize: 2, decoderStart: 0, paddingSide: 'left' }).epoch(0)
    expect(batch).toMatchObject({
      ids: Int32Array.of(5, 9, 3, 0, 4, 8), mask: Int32Array.of(1, 1, 1, 0, 1, 1), length: 3,
      decoderIds: Int32Array.of(0, 7, 6, 0, 0, 0, 11, 12, 13, 14), decoderMask: Int32Array.of(1, 1, 1, 0, 0, 1, 1, 1, 1, 1),
      labels: Int32Array.of(7, 6, 1, -100, -100, 11, 12, 13, 14, 1),
    })
    const { loss } = await evaluate(model, rows, { batchSize: 2 })
    expect(await perplexity(model, rows, { batchSize: 1 })).toBeCloseTo(Math.exp(loss ?? NaN), 2)
    expect(loss).toBeCloseTo(tf.tidy(() => valuesOf(model.loss(batch as Batch))[0] ?? NaN), 5)
    model.dispose()
  })

  it('until it writes them', async () => {
    const model = await load()
    const adapter = attach(model, lora({ rank: 8, targets: 'all-linear' }))
    await new Trainer({ model, train: rows, batchSize: 2, epochs: 150, learningRate: 1e-2 }).fit()
    const written: number[][] = [[], []]
    const prompt = joinBatches(rows.ids.map((ids) => ({ ids: Int32Array.from(ids), batch: 1, length: ids.length })))
    for await (const tokens of generate(model, prompt, { maxNewTokens: 8 })) tokens.forEach((token, row) => token !== undefined && written[row]?.push(token))
    expect(written).toEqual(rows.targets)
    detach(adapter)
    model.dispose()
  })

  it('in one of the two towers, where one is asked for', async () => {
    const model = await load()
    const { trainable } = attach(model, lora({ tower: 'decoder' }))
    expect(Object.keys(trainable).length).toBeGreaterThan(1)
    expect(Object.keys(trainable).filter((name) => !name.startsWith('decoder.'))).toEqual([])
    model.dispose()
  })

  it('and refuses rows that are none', async () => {
    const model = await load()
    attach(model, lora({ rank: 2 }))
    const problems = (train: Examples): string => {
      try {
        new Trainer({ model, train })
        return ''
      } catch (error) {
        return (error as Error).message
      }
    }
    expect(problems({ ids: [[5]] })).toBe('Trainer: the options cannot be used:\n  - train: expected targets, the token ids of the text to write for each row')
    expect(problems({ ids: [[5], [6]], targets: [[7]] })).toContain('targets: expected 2, one per row, got 1')
    expect(problems({ ids: [[5]], targets: [[29]] })).toContain("targets outside the vocabulary of 29; are they this model's tokenizer's: 29 at token 0 of row 0")
    expect(() => prepareBatches(rows, { batchSize: 2 })).toThrow('decoderStart: expected the token that the decoder is given before its targets: model.parts.architecture.decoderStart')
    model.dispose()
  })

  it('and is told where a task is asked for that it has not', async () => {
    await expect(loadModel(goldenPath('t5/untied'), { task: 'causal-lm' })).rejects.toThrow('seq2seq-lm')
    const model = await loadModel(goldenPath('t5/base'))
    expect(() => generate(model, [5], { maxNewTokens: 1 })).toThrow("generate: the model was loaded for 'feature-extraction'; load it with { task: 'seq2seq-lm' }.")
    model.dispose()
  })
})
