import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { Batch } from '../../src/base/batch.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { AdamW } from '../../src/training/adamw.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'
import { shownByGolden, type Capability, type Shown } from '../parity.ts'

/** What PEFT computed of the LoRA family: make_lora.py and make_lora_family.py. */
const CASES = [
  'lora/query_value', 'lora/all_linear', 'lora/patterns_rslora', 'lora/exclude_layers', 'lora/regex',
  'lora_family/dora', 'lora_family/dora_rslora_embedding', 'lora_family/embedding', 'lora_family/gaussian', 'lora_family/pissa',
  'lora_family/olora', 'lora_family/adalora', 'lora_family/ia3', 'lora_family/ia3_regex', 'lora_family/layer_norm', 'lora_family/layer_norm_chosen',
  'lora_family/bias_all', 'lora_family/bias_lora_only', 'lora_family/modules_to_save',
]

/** PEFT's key of a trained tensor. */
function wireKey({ sites, context, method }: Adapter, name: string): string {
  const cut = name.lastIndexOf('.')
  const [module, local] = [name.slice(0, cut), name.slice(cut + 1)]
  const site = sites.find((other) => other.name === module)
  const key = (): string => {
    if (context.copies.includes(name)) return method.format.type === 'LN_TUNING' ? `ln_tuning_layers.${local}` : site === undefined ? local : `base_layer.${local}`
    if (method.format.type === 'ADALORA' && ['A', 'E', 'B'].includes(local)) return `lora_${local}`
    if (local === 'A' || local === 'B') return site?.kind === 'embedding' ? `lora_embedding_${local}` : `lora_${local}.weight`
    return ({ magnitude: 'lora_magnitude_vector', l: 'ia3_l' } as Record<string, string>)[local] ?? local
  }
  return `base_model.model.${module}.${key()}`
}

const open: { model: Model; adapter: Adapter }[] = []

async function loadCase(name: string): Promise<{ model: Model; adapter: Adapter; golden: Golden; batch: Batch }> {
  const golden = await readGolden(`${name}/golden.safetensors`)
  const model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  const adapter = await loadAdapter(model, goldenPath(`${name}/adapter`))
  open.push({ model, adapter })
  return { model, adapter, golden, batch: golden.batch('input_ids', 'attention_mask', undefined, 'labels') }
}

afterEach(() => {
  for (const { model, adapter } of open.splice(0)) {
    detach(adapter)
    model.dispose()
  }
})

describe.each(CASES)('gives the numbers of HF PEFT: %s', (name) => {
  const shows = (what: Capability, tolerance: number): Shown => shownByGolden(name, 'lora/base', [what], tolerance)

  it('logits with the adapter PEFT saved, and without it', shows('load', 1e-5), async () => {
    const { model, adapter, golden, batch } = await loadCase(name)
    expect(largestDifference(tf.tidy(() => valuesOf(model.forward(batch))), golden.numbers('logits'))).toBeLessThan(1e-5)
    detach(adapter)
    expect(largestDifference(tf.tidy(() => valuesOf(model.forward(batch))), golden.numbers('base_logits'))).toBeLessThan(1e-5)
  })

  it('loss and every gradient', shows('train', 1e-4), async () => {
    const { model, adapter, golden, batch } = await loadCase(name)
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    expect(largestDifference(valuesOf(value), golden.numbers('loss'))).toBeLessThan(1e-5)
    const expected = golden.names.filter((key) => key.startsWith('grad/')).map((key) => key.slice('grad/'.length))
    expect(Object.keys(grads).map((key) => wireKey(adapter, key)).sort()).toEqual(expected.sort())
    for (const [key, grad] of Object.entries(grads)) {
      expect(largestDifference(valuesOf(grad), golden.numbers(`grad/${wireKey(adapter, key)}`)), key).toBeLessThan(1e-4)
    }
    tf.dispose([value, ...Object.values(grads)])
  })

  it.each(['train', 'cycle'])('the loss curve and weights of 20 AdamW steps: %s', shows('train', 1e-4), async (run) => {
    const { model, adapter, golden, batch } = await loadCase(name)
    const batches = run === 'train' ? [batch] : splitBatches(golden)
    const optimizer = new AdamW(adapter.trainable, { learningRate: 0.01, weightDecay: 0.01 })
    const losses: number[] = []
    for (let step = 0; step < 20; step++) {
      const current = batches[step % batches.length] as Batch
      const { value, grads } = valueAndGrads(() => model.loss(current), adapter.trainable)
      losses.push(valuesOf(value)[0] ?? NaN)
      optimizer.step(grads)
      tf.dispose([value, ...Object.values(grads)])
    }
    optimizer.dispose()
    expect(largestDifference(losses, golden.numbers(`${run}/loss`))).toBeLessThan(1e-4)
    for (const [key, variable] of Object.entries(adapter.trainable)) {
      // Softmax takes no notice of the key's bias: its gradient is rounding alone, which AdamW turns into full steps.
      if (key.endsWith('key.bias')) continue
      expect(largestDifference(valuesOf(variable), golden.numbers(`${run}/final/${wireKey(adapter, key)}`)), key).toBeLessThan(1e-4)
    }
  })

  it('logits of the merged model', shows('merge', 1e-5), async () => {
    const { model, adapter, golden, batch } = await loadCase(name)
    const merged = merge(model, adapter)
    expect(largestDifference(tf.tidy(() => valuesOf(merged.forward(batch))), golden.numbers('merged_logits'))).toBeLessThan(1e-5)
    merged.dispose()
  })
})

/** cycle/…: [batches, rows, tokens]. */
function splitBatches(golden: Golden): Batch[] {
  const [count = 0, batch = 0, length = 0] = golden.shape('cycle/input_ids')
  const part = (name: string, i: number, size: number): Int32Array =>
    Int32Array.from(golden.numbers(`cycle/${name}`).subarray(i * size, (i + 1) * size))
  return Array.from({ length: count }, (_, i) => ({
    ids: part('input_ids', i, batch * length),
    mask: part('attention_mask', i, batch * length),
    labels: part('labels', i, batch),
    batch,
    length,
  }))
}
