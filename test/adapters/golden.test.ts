import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { adaptersOf, detach, skipLayers } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { Task } from '../../src/base/architecture.ts'
import type { Batch } from '../../src/base/batch.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { AdamW } from '../../src/training/adamw.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'
import { shownByGolden, type Capability, type Shown } from '../parity.ts'

interface Case {
  readonly name: string
  readonly base: string
  readonly task: Task
  /** Of logits and loss. */
  readonly tolerance: number
}

const bert = (name: string): Case => ({ name, base: 'lora/base', task: 'sequence-classification', tolerance: 1e-5 })

// The logits of these are ten times as large: float32 itself moved theirs by up to 1.4e-5 (float32_error).
const lm = (name: string, base: string, task: Task): Case => ({ name, base, task, tolerance: 5e-5 })

const CASES: readonly Case[] = [
  ...['double_seq_bn', 'seq_bn', 'par_bn', 'scaled_par_bn', 'mixed'].map(bert),
  lm('gpt2', 'gpt2/causal_lm', 'causal-lm'),
  lm('gpt2_sum', 'gpt2/causal_lm', 'causal-lm'),
  lm('llama', 'llama/causal_lm', 'causal-lm'),
  lm('distilbert', 'distilbert/masked_lm', 'masked-lm'),
  lm('roberta', 'roberta/masked_lm', 'masked-lm'),
]

const SUFFIXES: Readonly<Record<string, string>> = {
  down: 'adapter_down.0.weight',
  downBias: 'adapter_down.0.bias',
  up: 'adapter_up.weight',
  upBias: 'adapter_up.bias',
  scaling: 'scaling',
}

/** The key `adapters` has for a trained tensor. */
function wireKey(name: string): string {
  const [, site = '', local = ''] = /^(.*)\.(.*)$/.exec(name) ?? []
  const suffix = SUFFIXES[local]
  if (suffix === undefined) return name
  const module = site // BERT has modules for the two sums; other models get two modules more
    .replace(/(\.\d+)\.(attn|self_attn|attention)$/, '$1.attention_adapters')
    .replace(/(\.\d+)\.(mlp|ffn)$/, '$1.output_adapters')
  return `${module}.adapters.golden.${suffix}`
}

const models: Model[] = []

async function loadCase({ name, base, task }: Case): Promise<{ model: Model; adapter: Adapter; golden: Golden; batch: Batch }> {
  const golden = await readGolden(`adapters/${name}/golden.safetensors`)
  const model = await loadModel(goldenPath(base), { task })
  models.push(model)
  const adapter = await loadAdapter(model, goldenPath(`adapters/${name}/adapter`))
  return { model, adapter, golden, batch: golden.batch('input_ids', 'attention_mask', undefined, 'labels') }
}

/** How far logits are from theirs; of a language model's, at tokens that are no padding. */
function distance(model: Model, batch: Batch, golden: Golden, key: string): number {
  const counts = model.parts.task === 'sequence-classification' ? undefined : golden.numbers('attention_mask')
  return largestDifference(forward(model, batch), golden.numbers(key), counts)
}

const forward = (model: Model, batch: Batch): Float32Array => tf.tidy(() => valuesOf(model.forward(batch)))

afterEach(() => {
  for (const model of models.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

describe.each(CASES)('a bottleneck adapter gives the numbers of AdapterHub: $name', (row) => {
  const { tolerance } = row
  const shows = (what: Capability, within: number): Shown => shownByGolden(`adapters/${row.name}`, row.base, [what], within)

  it('logits with the adapter they saved, and without it', shows('load', tolerance), async () => {
    const { model, adapter, golden, batch } = await loadCase(row)
    expect(distance(model, batch, golden, 'logits')).toBeLessThan(tolerance)
    detach(adapter)
    expect(distance(model, batch, golden, 'base_logits')).toBeLessThan(tolerance)
  })

  it('logits with the adapter left out of a layer while it runs, and in all of them again', shows('load', tolerance), async () => {
    const { model, adapter, golden, batch } = await loadCase(row)
    skipLayers(adapter, [0])
    expect(distance(model, batch, golden, 'skip0_logits')).toBeLessThan(tolerance)
    skipLayers(adapter, [])
    expect(distance(model, batch, golden, 'logits')).toBeLessThan(tolerance)
  })

  it('loss and every gradient', shows('train', 1e-4), async () => {
    const { model, adapter, golden, batch } = await loadCase(row)
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    expect(largestDifference(valuesOf(value), golden.numbers('loss'))).toBeLessThan(tolerance)
    const expected = golden.names.filter((key) => key.startsWith('grad/')).map((key) => key.slice('grad/'.length))
    expect(Object.keys(grads).map(wireKey).sort()).toEqual(expected.sort())
    for (const [key, grad] of Object.entries(grads)) {
      expect(largestDifference(valuesOf(grad), golden.numbers(`grad/${wireKey(key)}`)), key).toBeLessThan(1e-4)
    }
    tf.dispose([value, ...Object.values(grads)])
  })

  it('the loss curve and weights of 20 AdamW steps', shows('train', 1e-4), async () => {
    const { model, adapter, golden, batch } = await loadCase(row)
    const optimizer = new AdamW(adapter.trainable, { learningRate: 0.01, weightDecay: 0.01 })
    const losses: number[] = []
    for (let step = 0; step < 20; step++) {
      const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
      losses.push(valuesOf(value)[0] ?? NaN)
      optimizer.step(grads)
      tf.dispose([value, ...Object.values(grads)])
    }
    optimizer.dispose()
    expect(largestDifference(losses, golden.numbers('train/loss'))).toBeLessThan(1e-4)
    for (const [key, variable] of Object.entries(adapter.trainable)) {
      expect(largestDifference(valuesOf(variable), golden.numbers(`train/final/${wireKey(key)}`)), key).toBeLessThan(1e-4)
    }
  })
})

it('an adapter of the bare encoder gives its numbers there, and fits the encoder of a model with a head', shownByGolden('adapters/encoder', 'lora/base', ['load'], 1e-5), async () => {
  const golden = await readGolden('adapters/encoder/golden.safetensors')
  const batch = golden.batch('input_ids', 'attention_mask')
  const encoder = await loadModel(goldenPath('lora/base'))
  models.push(encoder)
  await loadAdapter(encoder, goldenPath('adapters/encoder/adapter'))
  const hidden = golden.numbers('last_hidden_state')
  expect(largestDifference(forward(encoder, batch), hidden)).toBeLessThan(1e-5)

  const classifier = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  models.push(classifier)
  const adapter = await loadAdapter(classifier, goldenPath('adapters/encoder/adapter'))
  expect(Object.keys(adapter.trainable)).toContain('bert.encoder.layer.0.output.down')
  expect(adapter.copies).toEqual([])
})
