// Bottleneck adapters, prefixes and prompts of this library, read and run by AdapterHub's `adapters` and by HF PEFT.
//
// Two of them need a second environment, which bench/peers/setup.mjs makes too: `adapters` pins an older transformers,
// and PEFT puts a prefix on BERT only with one. test/golden/make_adapters.py says what is in it.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { bottleneck } from '../../src/adapters/bottleneck.ts'
import { houlsby, parallel, pfeiffer, scaledParallel } from '../../src/adapters/presets.ts'
import type { Task } from '../../src/base/architecture.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import { openSafetensors, writeSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { prefixFromText } from '../../src/prefix/from-text.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { pTuning } from '../../src/prompt/p-tuning.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../golden.ts'
import { show, shownByPeer } from '../parity.ts'
import { peerScript } from './python.ts'

const older = inject('olderPython')
const temporary = temporaryFolder()
const models: Model[] = []

afterEach(() => {
  for (const model of models.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

interface Outputs {
  readonly ours: Float32Array
  readonly theirs: Float32Array
}

/** What a disturbed adapter gives here, and after saving it, in Python. */
async function both(python: string, script: string, name: string, task: Task, make: (model: Model) => Method | Promise<Method>): Promise<Outputs> {
  const model = await loadModel(goldenPath('lora/base'), { task })
  models.push(model)
  const golden = await readGolden('lora/query_value/golden.safetensors')
  const batch = golden.batch('input_ids', 'attention_mask')
  const adapter = attach(model, await make(model))
  Object.values(adapter.trainable).forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.1, 'float32', i + 1))))
  })
  const ours = tf.tidy(() => valuesOf(model.forward(batch)))
  await adapter.save(temporary(name))
  const shape = [batch.batch, batch.length]
  await writeSafetensors(temporary(`${name}-in`), [
    { name: 'input_ids', dtype: 'I32', shape, data: batch.ids },
    { name: 'attention_mask', dtype: 'I32', shape, data: batch.mask as Int32Array },
  ])
  const folders = ['--model', goldenPath('lora/base'), '--adapter', temporary(name), '--inputs', temporary(`${name}-in`)]
  await promisify(execFile)(python, [script, ...folders, '--out', temporary(`${name}-out`)])
  const file = await openSafetensors(temporary(`${name}-out`))
  const output = [...file.entries.keys()][0] as string // logits or last_hidden_state
  const theirs = (await file.read(output)).data as Float32Array
  await file.close()
  return { ours, theirs }
}

describe('AdapterHub reads the bottleneck adapters this library saves, key for key, and computes the same', () => {
  it.for<[string, Task, () => Method]>([
    ['houlsby', 'sequence-classification', () => houlsby({ reductionFactor: 8 })],
    ['pfeiffer', 'token-classification', () => pfeiffer()],
    ['parallel', 'sequence-classification', () => parallel({ dropout: 0.1 })],
    ['scaled parallel', 'sequence-classification', () => scaledParallel({ skipLayers: [1] })],
    ['encoder', 'feature-extraction', () => bottleneck({ input: 'sum', parts: ['attention'], scaling: 'channel', reductionFactor: { 0: 4, default: 8 } })],
  ])('%s', async ([name, task, make], { task: test }) => {
    show(test, shownByPeer('AdapterHub', name, 'lora/base', 1e-5))
    const script = goldenPath('check_adapter_hub.py')
    const { ours, theirs } = await both(older, script, name, task, make)
    expect(largestDifference(theirs, ours)).toBeLessThan(1e-5)
  })
})

describe('HF PEFT reads the prefixes this library saves, key for key, and computes the same', () => {
  it.for<[string, Task, (model: Model) => Method | Promise<Method>]>([
    ['plain', 'sequence-classification', () => prefix({ virtualTokens: 4 })],
    ['through a network', 'token-classification', () => prefix({ virtualTokens: 3, reparametrization: { hiddenSize: 7 } })],
    ['of a text', 'sequence-classification', async (model) => prefix({ init: await prefixFromText(model, [3, 9, 27]) })],
  ])('%s', async ([name, task, make], { task: test }) => {
    show(test, shownByPeer('HF PEFT with an older transformers', `prefix, ${name}`, 'lora/base', 1e-5))
    const { ours, theirs } = await both(older, peerScript('check_adapter.py'), name, task, make)
    expect(largestDifference(theirs, ours)).toBeLessThan(1e-5)
  })
})

describe('HF PEFT reads the prompts this library saves, key for key, and computes the same for the tokens of the text', () => {
  it.for<[string, () => Method]>([
    ['prompt tuning', () => prompt({ virtualTokens: 4 })],
    ['P-tuning', () => pTuning({ virtualTokens: 4, hiddenSize: 9 })],
    ['P-tuning with an LSTM', () => pTuning({ virtualTokens: 4, encoder: 'lstm', hiddenSize: 5, layers: 1 })],
  ])('%s', async ([name, make], { task: test }) => {
    show(test, shownByPeer('HF PEFT', name, 'lora/base', 1e-5))
    const { ours, theirs } = await both(inject('python'), peerScript('check_adapter.py'), name, 'token-classification', make)
    const row = (theirs.length - ours.length) / 6 // what PEFT has for the four virtual tokens of each of the six rows
    const tokens = ours.length / 6
    const real = Float32Array.from(ours, (_, i) => theirs[Math.floor(i / tokens) * (row + tokens) + row + (i % tokens)] ?? NaN)
    expect(row).toBe(4 * 3)
    expect(largestDifference(real, ours)).toBeLessThan(1e-5)
  })
})
