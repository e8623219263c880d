// Labels of a causal LM's own, -100 on a prompt. Against transformers: golden/make_labels.py.

import { cp, readFile, writeFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import { lora } from '../../src/lora/lora.ts'
import { accumulatedGrads } from '../../src/training/accumulate.ts'
import { prepareBatches, type Examples } from '../../src/training/batches.ts'
import { nextTokenLabels } from '../../src/base/tasks/next-token.ts'
import { maskTokens } from '../../src/training/mask-tokens.ts'
import { perplexity } from '../../src/training/measure.ts'
import { trainTasks } from '../../src/training/multi-task.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, numberOf, valuesOf } from '../golden.ts'

interface Case {
  readonly model: string
  readonly ids: readonly (readonly number[])[]
  readonly labels: readonly (readonly number[])[]
  readonly loss: number
  readonly alone: readonly number[]
}

const temporary = temporaryFolder()
let cases: readonly Case[]
beforeAll(async () => {
  cases = (JSON.parse(await readFile(goldenPath('labels.json'), 'utf8')) as { readonly cases: readonly Case[] }).cases
})

const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

/** Without dropout, a LoRA attached. */
async function load(path: string): Promise<{ readonly model: Model; readonly adapter: Adapter }> {
  await cp(goldenPath(path), temporary(), { recursive: true })
  const config = JSON.parse(await readFile(temporary('config.json'), 'utf8')) as object
  await writeFile(temporary('config.json'), JSON.stringify({ ...config, attn_pdrop: 0, embd_pdrop: 0, resid_pdrop: 0 }))
  const model = await loadModel(temporary(), { task: 'causal-lm' })
  open.push(model)
  return { model, adapter: attach(model, lora({ rank: 2 }), { seed: 1, name: 'one' }) } // starts equal to the base
}

const rowsOf = ({ ids, labels }: Case): Examples => ({ ids, tokenLabels: labels })

describe.each([['gpt2', 0], ['llama', 1]])('tokenLabels of a causal LM, %s', (_, index) => {
  it('are what the Trainer learns from and evaluates on, and what perplexity counts', async () => {
    const one = cases[index] as Case
    const { model } = await load(one.model)
    const train = rowsOf(one)
    for (const options of [{ batchSize: 4 }, { batchSize: 1, accumulate: 4 }, { batchSize: 3, accumulate: 2, bucketWindow: 2 }]) {
      const losses: number[] = []
      await new Trainer({ model, train, evaluate: train, learningRate: 0, ...options }).fit({
        onEvent: (event) => (event.type === 'step' || event.type === 'evaluate') && losses.push(event.loss ?? NaN),
      })
      expect(largestDifference(losses, [one.loss, one.loss])).toBeLessThan(3e-6)
    }
    expect(Math.abs(Math.log(await perplexity(model, train, { batchSize: 3 })) - one.loss)).toBeLessThan(3e-6)
    for (const [i, ids] of one.ids.entries()) {
      expect(Math.abs(Math.log(await perplexity(model, { ids: [ids], tokenLabels: [one.labels[i] ?? []] })) - (one.alone[i] ?? NaN))).toBeLessThan(3e-6)
    }
  })

  it('count in batches padded on either side, in one of several tasks and in accumulated gradients', async () => {
    const one = cases[index] as Case
    const { model, adapter } = await load(one.model)
    for (const paddingSide of ['left', 'right'] as const) {
      const train = prepareBatches(rowsOf(one), { batchSize: 4, paddingSide, transform: nextTokenLabels })
      const [batch] = train.epoch(0)
      const { value, grads } = accumulatedGrads(model, [batch ?? expect.fail()], adapter.trainable, () => ({}))
      tf.dispose(grads)
      expect(Math.abs(numberOf(value) - one.loss)).toBeLessThan(3e-6)
      for await (const { losses } of trainTasks({ model, tasks: [{ name: 'it', adapters: ['one'], train }], steps: 1, learningRate: 0 })) {
        expect(Math.abs((losses['it'] ?? NaN) - one.loss)).toBeLessThan(3e-6)
      }
    }
  })

  it('are what the Fisher information is of', async () => {
    const one = cases[index] as Case
    const { model, adapter } = await load(one.model)
    for (const [name, variable] of Object.entries(adapter.trainable)) if (name.endsWith('.B')) variable.assign(tf.fill(variable.shape, 0.1))
    const fisher = await diagonalFisher(model, adapter.trainable, rowsOf(one), { kind: 'empirical' })
    const sums = Object.fromEntries(Object.entries(adapter.trainable).map(([name, { size }]) => [name, new Float32Array(size)]))
    one.ids.forEach((row, i) => {
      const [ids, labels] = [Int32Array.from(row), Int32Array.from(one.labels[i] ?? [])]
      const counted = labels.filter((label, t) => t > 0 && label !== -100).length
      const { value, grads } = valueAndGrads(() => model.loss({ ids, labels, batch: 1, length: row.length }), adapter.trainable)
      for (const [name, grad] of Object.entries(grads)) valuesOf(grad).forEach((g, j) => { (sums[name] as Float32Array)[j] = (sums[name]?.[j] ?? NaN) + (g * counted) ** 2 / 4 })
      tf.dispose([value, ...Object.values(grads)])
    })
    for (const [name, sum] of Object.entries(sums)) {
      const largest = Math.max(...sum)
      expect(largestDifference(valuesOf(fisher[name] as tf.Tensor), sum) / largest).toBeLessThan(1e-4)
    }
    tf.dispose(fisher)
  })
})

it('labels of another kind are refused by a causal LM, and labels by maskTokens', async () => {
  const { model } = await load('gpt2/causal_lm')
  const ids = [[5, 6], [7]]
  expect(() => new Trainer({ model, train: { ids, labels: [1, 0] } })).toThrow(
    new InputError('Trainer: the options cannot be used:', ["train: a model for 'causal-lm' learns from the ids themselves, or from tokenLabels; rows with labels are for a model for 'sequence-classification' or 'image-classification'"]))
  await expect(perplexity(model, { ids, spans: [[0, 1], [0, 0]] })).rejects.toThrow(
    new InputError('perplexity: the rows cannot be measured:', ["a model for 'causal-lm' learns from the ids themselves, or from tokenLabels; rows with spans are for a model for 'question-answering'"]))
  const classes = prepareBatches({ ids, labels: [1, 0] }, { batchSize: 2, transform: nextTokenLabels })
  expect(() => [...classes.epoch(0)]).toThrow(
    new InputError('nextTokenLabels: expected 4 labels, one for each token, or none; the batch has 2. Give a causal LM tokenLabels.'))
  const tokenizer = { maskId: 3, specialIds: [0, 1, 2, 3], vocabSize: 37, idToToken: (id: number) => `t${id}` }
  const labelled = prepareBatches({ ids, tokenLabels: ids }, { batchSize: 2, transform: maskTokens({ tokenizer }) })
  expect(() => [...labelled.epoch(0)]).toThrow(
    new InputError('maskTokens: expected a batch without labels, which it makes itself; leave them out of the examples.'))
})
