// What PEFT's LoftQ makes of the same weights: test/golden/make_loftq.py.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, expect, it } from 'vitest'
import type { Adapter } from '../src/base/adapter/adapter.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { withoutRounding } from '../src/base/engine/rounded-rows.ts'
import type { Model } from '../src/base/model.ts'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { ia3 } from '../src/lora/ia3.ts'
import { lora, type LoraOptions } from '../src/lora/lora.ts'
import { startFromLoftQ } from '../src/loftq.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const BASE = goldenPath('loftq/base')
const temporary = temporaryFolder()
const open: Model[] = []
afterEach(() => { for (const model of open.splice(0)) model.dispose() })

async function adapted(options: Parameters<typeof loadModel>[1], of: LoraOptions = {}, source = BASE): Promise<Adapter> {
  const model = await loadModel(source, { task: 'causal-lm', ...options })
  open.push(model)
  return attach(model, lora({ rank: 4, alpha: 4, targets: 'all-linear', ...of }))
}

/** What a LoRA adds to each module's weight. */
function updates({ sites, trainable, method }: Adapter): (readonly [module: string, update: Float32Array])[] {
  return sites.map((site) => [site.name, tf.tidy(() => {
    const own = { A: trainable[`${site.name}.A`] as unknown as Tensor2D, B: trainable[`${site.name}.B`] as unknown as Tensor2D }
    return valuesOf(tf.mul(tf.matMul(own.B, own.A), method.lowRank?.(site as Parameters<NonNullable<typeof method.lowRank>>[0], own).scale ?? NaN))
  })])
}

it.each(['nf4', 'int8'] as const)('LoftQ on %s adds what PEFT\'s adds, whatever the scale, and leaves no tensor', async (dtype) => {
  const golden = await readGolden('loftq/golden.safetensors')
  for (const alpha of [4, 16, -4]) {
    const adapter = await adapted({ dtype, doubleQuantization: false }, { alpha })
    const count = tf.memory().numTensors
    const starts = await startFromLoftQ(adapter)
    expect(tf.memory().numTensors).toBe(count)
    expect(starts).toHaveLength(7)
    for (const { before, after } of starts) expect(after).toBeLessThan(0.95 * before)
    for (const [module, update] of updates(adapter)) {
      expect(largestDifference(update, Float32Array.from(golden.numbers(`${dtype}/${module}`))), module).toBeLessThan(1e-5)
    }
  }
})

it('the adapted model gives the logits of PEFT and bitsandbytes, nearer to the model in full precision than its base', async () => {
  const golden = await readGolden('loftq/golden.safetensors')
  const numbers = (name: string): Float32Array => Float32Array.from(golden.numbers(name))
  const adapter = await adapted({ dtype: 'nf4', doubleQuantization: false })
  const [rows = 0, length = 0] = golden.shape('input_ids')
  const batch = { ids: Int32Array.from(golden.numbers('input_ids')), mask: Int32Array.from(golden.numbers('attention_mask')), batch: rows, length }
  await startFromLoftQ(adapter)
  const logits = withoutRounding(() => tf.tidy(() => valuesOf(adapter.model.forward(batch))))
  const real = (values: Float32Array): Float32Array => values.map((value, i) => (batch.mask[Math.floor(i / 37)] === 1 ? value : 0))
  expect(largestDifference(real(logits), real(numbers('logits')))).toBeLessThan(1e-4)
  const [base, plain] = [numbers('base/logits'), numbers('plain/logits')]
  const distance = (a: Float32Array): number => Math.sqrt(real(a).reduce((sum, value, i) => sum + (value - (real(plain)[i] ?? NaN)) ** 2, 0))
  expect(distance(logits)).toBeLessThan(distance(base))
})

it('a base whose files are quantised themselves needs the model that it was made from', async () => {
  const first = await adapted({ dtype: 'nf4' })
  await first.model.save(temporary('four'))
  const adapter = await adapted({}, {}, temporary('four'))
  await expect(startFromLoftQ(adapter)).rejects.toThrow(`${temporary('four')}/model.safetensors: expected the model in its own numbers, model.layers.0.mlp.down_proj.weight is quantised. Name the model that it was made from: { source }`)
  const [given, own] = [await startFromLoftQ(adapter, { source: BASE }), await startFromLoftQ(first)]
  expect(given).toEqual(own)
})

it('modules that are not quantised keep their start; where none is, and where it is no plain LoRA, it says so', async () => {
  const some = await adapted({ dtype: 'nf4', skip: ['down_proj'] })
  expect((await startFromLoftQ(some)).map(({ module }) => module)).not.toContain('model.layers.0.mlp.down_proj')
  await expect(startFromLoftQ(some)).rejects.toThrow("startFromLoftQ: it would write over what 'default' has learned: expected an adapter that nobody has trained. Call it once, right after attach(…).")
  await expect(startFromLoftQ(some.model as never)).rejects.toThrow('Expected an adapter, as')
  await expect(startFromLoftQ(await adapted({}))).rejects.toThrow("startFromLoftQ: expected an adapter with modules whose weights are quantised, it has none. Load the model with dtype 'nf4' or 'int8'.")
  await expect(startFromLoftQ(await adapted({ dtype: 'nf4' }, { init: 'pissa' }))).rejects.toThrow("startFromLoftQ: expected a LoRA that starts plainly, init 'kaiming' or 'gaussian', got one that starts from the weight.")
  await expect(startFromLoftQ(attach(some.model, ia3(), { name: 'other' }))).rejects.toThrow("startFromLoftQ: expected a LoRA that starts plainly, init 'kaiming' or 'gaussian', got ia3.")
})
