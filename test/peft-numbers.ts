// An adapter that HF PEFT made, held against what PEFT computed with it.

import * as tf from '@tensorflow/tfjs-core'
import { expect } from 'vitest'
import type { Task } from '../src/base/architecture.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { valueAndGrads } from '../src/base/autodiff/grads.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from './golden.ts'

/** Logits (of real tokens) within 1e-5 of their size, loss within 1e-5, gradients within 1e-4 of theirs. */
export async function expectPeftNumbers(family: string, lora: string, base: string, task: Task): Promise<void> {
  const golden = await readGolden(`${family}/${lora}/golden.safetensors`)
  const model = await loadModel(goldenPath(`${family}/${base}`), { task })
  const adapter = await loadAdapter(model, goldenPath(`${family}/${lora}/adapter`))
  const batch = golden.has('pixel_values') ? golden.pictures('pixel_values', 'labels')
    : golden.batch('input_ids', 'attention_mask', golden.has('token_type_ids') ? 'token_type_ids' : undefined, 'labels')
  const mask = task === 'causal-lm' ? golden.numbers('attention_mask') : undefined
  const logits = tf.tidy(() => valuesOf(model.forward(batch)))
  const expected = golden.numbers('logits')
  expect(largestDifference(logits, expected, mask) / sizeOf(expected)).toBeLessThan(1e-5)
  const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
  expect(largestDifference(valuesOf(value), golden.numbers('loss'))).toBeLessThan(1e-5)
  const named = Object.entries(grads).map(([name, grad]) => [name, { shape: grad.shape, values: valuesOf(grad) }] as const)
  const ours = await adapter.method.format.toFile(new Map(named), adapter.context, [])
  const keys = golden.names.filter((key) => key.startsWith('grad/')).map((key) => key.slice('grad/'.length))
  expect([...ours.keys()].sort()).toEqual(keys.sort())
  for (const [key, { values }] of ours) {
    const theirs = golden.numbers(`grad/${key}`)
    expect(largestDifference(values, theirs) / sizeOf(theirs), key).toBeLessThan(1e-4)
  }
  tf.dispose([value, ...Object.values(grads)])
  detach(adapter)
  model.dispose()
}

function sizeOf(numbers: ArrayLike<number>): number {
  return Math.max(1, ...Array.from(numbers, Math.abs))
}
