// LoRA's relatives of this library, and combinations of them, read and run by HF PEFT.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, inject, it } from 'vitest'
import type { Task } from '../../src/base/architecture.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { openSafetensors, writeSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { adalora } from '../../src/lora/adalora.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { setActive } from '../../src/manage/active.ts'
import { combine } from '../../src/manage/combine.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { layerNormTuning } from '../../src/selective/layer-norm.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference } from '../golden.ts'
import { attachTrained, BATCH, closeModel, forward } from '../manage/models.ts'
import { show, shownByPeer } from '../parity.ts'
import { peerScript } from './python.ts'

const temporary = temporaryFolder()
const models: Model[] = []

afterEach(() => models.splice(0).forEach(closeModel))

async function open(folder: string, task: Task): Promise<Model> {
  const model = await loadModel(goldenPath(folder), { task })
  models.push(model)
  return model
}

/** What PEFT computes with a saved adapter; it fails where the file and PEFT differ in keys, shapes or values. */
async function runPeft(adapter: Adapter, base: string, name: string): Promise<Float32Array> {
  await adapter.save(temporary(name))
  const shape = [BATCH.batch, BATCH.length]
  await writeSafetensors(temporary(`${name}-in`), [
    { name: 'input_ids', dtype: 'I32', shape, data: BATCH.ids },
    { name: 'attention_mask', dtype: 'I32', shape, data: BATCH.mask as Int32Array },
  ])
  const folders = ['--model', goldenPath(base), '--adapter', temporary(name), '--inputs', temporary(`${name}-in`)]
  await promisify(execFile)(inject('python'), [peerScript('check_adapter.py'), ...folders, '--out', temporary(`${name}-out`)])
  const file = await openSafetensors(temporary(`${name}-out`))
  const output = [...file.entries.keys()][0] as string // logits or last_hidden_state
  const values = (await file.read(output)).data as Float32Array
  await file.close()
  return values
}

describe('HF PEFT reads what this library saves, key for key, and computes the same', () => {
  it.for<[string, string, Task, () => Method]>([
    ['LoRA on embeddings', 'lora/base', 'sequence-classification', () => lora({ rank: 2, targets: ['word_embeddings', 'position_embeddings', 'query'] })],
    ['LoRA, gaussian', 'lora/base', 'sequence-classification', () => lora({ rank: 2, init: 'gaussian' })],
    ['PiSSA', 'lora/base', 'sequence-classification', () => lora({ rank: 3, alpha: 6, init: 'pissa', targets: ['query', 'word_embeddings'], rankPattern: { word_embeddings: 2 } })],
    ['PiSSA, rank stabilised, by search', 'lora/base', 'sequence-classification', () => lora({ rank: 4, init: { kind: 'pissa', iterations: 4 }, rankStabilized: true, alphaPattern: { query: 3 } })],
    ['OLoRA', 'lora/base', 'sequence-classification', () => lora({ rank: 4, init: 'olora', targets: 'all-linear' })],
    ['AdaLoRA', 'lora/base', 'sequence-classification', () => adalora({ initRank: 4, alpha: 6, targets: ['query', 'dense'] })],
    ['DoRA', 'lora/base', 'sequence-classification', () => dora({ rank: 4, alpha: 8, targets: ['query', 'dense'] })],
    ['DoRA from PiSSA', 'lora/base', 'sequence-classification', () => dora({ rank: 4, init: 'pissa', rankStabilized: true, targets: ['value', 'word_embeddings'] })],
    ['biases of the modules', 'lora/base', 'sequence-classification', () => lora({ rank: 2, bias: 'lora_only', targets: ['query', 'dense'] })],
    ['GPT-2: all biases', 'gpt2/causal_lm', 'causal-lm', () => lora({ rank: 2, bias: 'all' })],
    ['(IA)³', 'lora/base', 'sequence-classification', () => ia3()],
    ['(IA)³ on chosen modules', 'lora/base', 'sequence-classification', () => ia3({ targets: 'all-linear', layers: [0, 2], feedForward: '.*(key|intermediate\\.dense)' })],
    ['LayerNorm tuning', 'lora/base', 'sequence-classification', () => layerNormTuning()],
    ['LayerNorm tuning of one layer', 'lora/base', 'token-classification', () => layerNormTuning({ layers: [1] })],
    ['a regular expression that fits norms', 'lora/base', 'sequence-classification', () => lora({ rank: 2, targets: '.*layer\\.1\\.output.*' })],
    ['GPT-2: PiSSA', 'gpt2/causal_lm', 'causal-lm', () => lora({ rank: 2, init: 'pissa', targets: ['c_attn', 'wte'] })],
    ['GPT-2: DoRA with biases', 'gpt2/causal_lm', 'causal-lm', () => dora({ rank: 2, bias: 'lora_only', targets: ['c_attn', 'c_proj'] })],
    ['GPT-2: AdaLoRA', 'gpt2/causal_lm', 'causal-lm', () => adalora({ initRank: 3, targets: ['c_attn', 'c_proj'] })],
    ['GPT-2: (IA)³', 'gpt2/causal_lm', 'causal-lm', () => ia3()],
    ['GPT-2: LayerNorm tuning', 'gpt2/causal_lm', 'causal-lm', () => layerNormTuning()],
    ['LLaMA: DoRA', 'llama/causal_lm', 'causal-lm', () => dora({ rank: 2, targets: 'all-linear' })],
    ['LLaMA: (IA)³', 'llama/causal_lm', 'causal-lm', () => ia3()],
  ])('%s', async ([name, base, task, method], { task: test }) => {
    show(test, shownByPeer('HF PEFT', name, base, 1e-5))
    const model = await open(base, task)
    const before = forward(model)
    const train = task === 'sequence-classification' || task === 'token-classification' ? ['classifier'] : []
    const adapter = attachTrained(model, name, method(), { enabled: true, train })
    const ours = forward(model)
    expect(largestDifference(ours, before)).toBeGreaterThan(0.02)
    const perToken = ours.length % BATCH.ids.length === 0
    // what a model says at padding is nobody's business, and differs
    expect(largestDifference(await runPeft(adapter, base, name.replace(/\W+/g, '-')), ours, perToken ? BATCH.mask : undefined)).toBeLessThan(1e-5)
  })

  it('a combination of adapters of unlike ranks, scales and starts', shownByPeer('HF PEFT', 'a combination of adapters', 'lora/base', 1e-5), async () => {
    const model = await open('lora/base', 'sequence-classification')
    attachTrained(model, 'a', lora({ rank: 4, alpha: 2, bias: 'lora_only', targets: ['query', 'value'] }), { train: ['classifier'] })
    attachTrained(model, 'b', lora({ rank: 2, init: 'pissa', rankStabilized: true, targets: ['query', 'word_embeddings'] }))
    const mix = combine(model, [{ adapter: 'a', weight: 0.5 }, { adapter: 'b', weight: -1 }], { kind: 'cat', name: 'mix' })
    setActive(model, 'mix')
    expect(largestDifference(await runPeft(mix, 'lora/base', 'mix'), forward(model))).toBeLessThan(1e-5)
  })

  it('an AdaLoRA whose modules have lost ranks, one of them all', shownByPeer('HF PEFT', 'AdaLoRA with ranks taken', 'lora/base', 1e-5), async () => {
    const model = await open('lora/base', 'sequence-classification')
    const adapter = attachTrained(model, 'a', adalora({ initRank: 4, alpha: 6 }), { enabled: true, train: ['classifier'] })
    adapter.sites.forEach(({ name }, i) => adapter.trainable[`${name}.E`]?.assign(tf.tensor1d([0, 1, 2, 3].map((rank) => (rank < i % 5 ? 0 : 0.4 + rank)))))
    const ours = forward(model)
    expect(largestDifference(await runPeft(adapter, 'lora/base', 'ranks'), ours)).toBeLessThan(1e-5)
    const again = await loadAdapter(await open('lora/base', 'sequence-classification'), temporary('ranks'))
    expect(again.sites.length).toBe(adapter.sites.length - 1)
    expect(largestDifference(await runPeft(again, 'lora/base', 'ranks-again'), ours)).toBeLessThan(1e-5)
  })

  it('all biases beside a head, which PEFT names three times', async () => {
    const model = await open('lora/base', 'sequence-classification')
    const adapter = attachTrained(model, 'a', lora({ rank: 2, bias: 'all' }), { enabled: true, train: ['classifier'] })
    const ours = forward(model)
    expect(largestDifference(await runPeft(adapter, 'lora/base', 'bias-all'), ours)).toBeLessThan(1e-5)
  })
})
