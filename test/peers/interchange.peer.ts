// What this library saves, read and run by HF PEFT and HF transformers themselves, which have to give our numbers.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { attach, detach, loadAdapter, loadModel, lora, merge } from '../../src/index.ts'
import { openSafetensors, writeSafetensors } from '../../src/advanced.ts'
import type { Adapter, Batch, LoadOptions, Model } from '../../src/index.ts'
import type { LoraOptions } from '../../src/advanced.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../golden.ts'
import { show, shownByPeer } from '../parity.ts'
import { peerScript } from './python.ts'

// float32 in two runtimes that sum in different orders; the golden files put each one's own rounding at up to 1.6e-5
// on outputs of a few units (float32_error of bert/*).
const TOLERANCE = 5e-5

const temporary = temporaryFolder()
const models: Model[] = []

afterEach(() => {
  for (const model of models.splice(0)) model.dispose()
})

async function open(folder: string, options: LoadOptions): Promise<Model> {
  const model = await loadModel(goldenPath(folder), options)
  models.push(model)
  return model
}

/** Six rows, some padded, with both token types. */
async function someBatch(): Promise<Batch> {
  const golden = await readGolden('bert/sequence_classification/golden.safetensors')
  return golden.batch('input_ids', 'attention_mask', 'token_type_ids')
}

/** Moves every trained tensor off its start, at which LoRA's B is zero and changes nothing. */
function disturb(adapter: Adapter): void {
  Object.values(adapter.trainable).forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.1, 'float32', i + 1))))
  })
}

/** Runs one of the scripts in bench/peers on a batch; its output by name. */
async function runPeer(script: string, folders: Readonly<Record<string, string>>, batch: Batch, output: string): Promise<Float32Array> {
  const [inputs, out] = [temporary('inputs.safetensors'), temporary('out.safetensors')]
  const shape = [batch.batch, batch.length]
  const arrays = { input_ids: batch.ids, attention_mask: batch.mask, token_type_ids: batch.typeIds }
  await writeSafetensors(
    inputs,
    Object.entries(arrays).flatMap(([name, data]) => (data === undefined ? [] : [{ name, dtype: 'I32' as const, shape, data }])),
  )
  const options = Object.entries({ ...folders, inputs, out }).flatMap(([name, path]) => [`--${name}`, path])
  await promisify(execFile)(inject('python'), [peerScript(script), ...options])
  const file = await openSafetensors(out)
  try {
    return (await file.read(output)).data as Float32Array
  } finally {
    await file.close()
  }
}

/** The tensors of a file, in their order, and their bytes; beside them a file made here says its task and labels. */
async function tensorsOf(path: string): Promise<unknown> {
  const bytes = await readFile(path)
  const start = 8 + Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Readonly<Record<string, unknown>>
  return { tensors: Object.entries(header).filter(([name]) => name !== '__metadata__'), bytes: bytes.subarray(start).toString('hex') }
}

const forward = (model: Model, batch: Batch): Float32Array => tf.tidy(() => valuesOf(model.forward(batch)))

const METHODS: Readonly<Record<string, LoraOptions>> = {
  'two targets': { rank: 4, alpha: 8, targets: ['query', 'value'] },
  'the default targets': { rank: 2, alpha: 3 },
  'all linear modules': { rank: 3, alpha: 6, targets: 'all-linear' },
  'rank and alpha patterns, rank-stabilised': {
    rank: 4,
    alpha: 8,
    rankStabilized: true,
    targets: ['query', 'key', 'value'],
    // Not in alphabetical order, which PEFT would put them in: the first that fits counts, here and there.
    rankPattern: { 'layer.0.attention.self.query': 2, query: 3, 'bert\\.encoder\\.layer\\.[12]\\..*\\.value': 6 },
    alphaPattern: { key: 3, 'layer.2.attention.self.value': 12 },
  },
  'exclusions and chosen layers': { rank: 3, alpha: 6, targets: ['query', 'dense'], exclude: ['attention.output.dense'], layers: [1, 2] },
  'one layer': { rank: 2, alpha: 2, targets: ['value'], layers: [0] },
  'a regular expression': { rank: 2, alpha: 5, targets: 'bert\\.encoder\\.layer\\.[02]\\.(attention\\.self\\.key|output\\.dense)' },
}

describe('HF PEFT reads the LoRA this library saves, key for key, and computes the same', () => {
  it.for(Object.entries(METHODS))('with %s', async ([name, options], { task: test }) => {
    show(test, shownByPeer('HF PEFT', `LoRA with ${name}`, 'lora/base', TOLERANCE))
    const [model, batch] = [await open('lora/base', { task: 'sequence-classification' }), await someBatch()]
    const before = forward(model, batch)
    const adapter = attach(model, lora(options))
    disturb(adapter)
    const ours = forward(model, batch)
    const folder = temporary(name)
    await adapter.save(folder)
    detach(adapter)
    expect(largestDifference(ours, before)).toBeGreaterThan(0.05)
    const theirs = await runPeer('check_adapter.py', { model: goldenPath('lora/base'), adapter: folder }, batch, 'logits')
    expect(largestDifference(theirs, ours)).toBeLessThan(TOLERANCE)
  })

  it.for<[LoadOptions['task'] & {}, string, LoadOptions, string]>([
    ['sequence-classification', 'bert/base', { labels: ['a', 'b', 'c', 'd'] }, 'logits'],
    ['token-classification', 'bert/token_classification', {}, 'logits'],
    ['masked-lm', 'bert/masked_lm', {}, 'logits'],
    ['feature-extraction', 'bert/base', {}, 'last_hidden_state'],
  ])('for %s on %s', async ([task, base, options, output], { task: test }) => {
    show(test, shownByPeer('HF PEFT', `LoRA for ${task}`, base, TOLERANCE))
    const [model, batch] = [await open(base, { task, ...options }), await someBatch()]
    const adapter = attach(model, lora({ rank: 4, alpha: 8, targets: ['query', 'value'] }))
    disturb(adapter)
    const ours = forward(model, batch)
    const folder = temporary(task)
    await adapter.save(folder)
    detach(adapter)
    const theirs = await runPeer('check_adapter.py', { model: goldenPath(base), adapter: folder }, batch, output)
    expect(largestDifference(theirs, ours)).toBeLessThan(TOLERANCE)
  })

  it.for(['query_value', 'all_linear', 'patterns_rslora', 'exclude_layers', 'regex'])(
    'after it came from PEFT and went through this library: %s',
    async (name, { task: test }) => {
      show(test, shownByPeer('HF PEFT', `LoRA from PEFT and back, ${name}`, 'lora/base', 1e-6))
      const model = await open('lora/base', { task: 'sequence-classification' })
      const golden = await readGolden(`lora/${name}/golden.safetensors`)
      const adapter = await loadAdapter(model, goldenPath(`lora/${name}/adapter`))
      const folder = temporary(`again-${name}`)
      await adapter.save(folder)
      detach(adapter)
      const [before, after] = await Promise.all(
        [goldenPath(`lora/${name}/adapter`), folder].map((path) => tensorsOf(`${path}/adapter_model.safetensors`)),
      )
      expect(after).toEqual(before)
      const batch = golden.batch('input_ids', 'attention_mask')
      const theirs = await runPeer('check_adapter.py', { model: goldenPath('lora/base'), adapter: folder }, batch, 'logits')
      expect(largestDifference(theirs, golden.numbers('logits'))).toBeLessThan(1e-6) // PEFT with the bytes PEFT wrote
    },
  )
})

const DECODERS = ['ministral', 'seed_oss', 'smollm3', 'olmo2', 'olmo3', 'gemma', 'gemma2', 'gemma3_text', 'phi3', 'ministral3', 'qwen3_5_text', 'qwen3_moe', 'mixtral', 'gpt_oss']
const ONLY_LM = ['granite', 'gemma4_text', 'gemma4_experts'] // transformers has no class for sequences
const RELATIVES = ['ernie', 'electra', 'electra_small', 'xlm-roberta', 'camembert', 'data2vec-text', 'modernbert', 'modernbert_biased', ...DECODERS, ...ONLY_LM]

describe('HF transformers reads a relative of a family as it is saved', () => {
  it.for(RELATIVES.flatMap((type) => {
    const lm = [...DECODERS, ...ONLY_LM].includes(type) ? (['causal-lm', 'causal_lm'] as const) : (['masked-lm', 'masked_lm'] as const)
    return (ONLY_LM.includes(type) ? [lm] : [['sequence-classification', 'sequence_classification'] as const, lm]).map(([task, folder]) => [`relatives/${type}_${folder}`, task] as const)
  }))('%s, and a LoRA on it', async ([base, task], { task: test }) => {
    show(test, shownByPeer('HF PEFT', `LoRA on a model saved here, for ${task}`, base, TOLERANCE))
    const model = await open(base, { task })
    const golden = await readGolden(`${base}/golden.safetensors`)
    const { ids, batch: rows, length } = golden.batch('input_ids')
    const batch: Batch = { ids: ids.map((id) => Math.max(id, 3)), batch: rows, length } // no padding
    const folder = temporary(base.replace('/', '-'))
    await model.save(folder)
    const adapter = attach(model, lora({ rank: 2, alpha: 4 }))
    disturb(adapter)
    const ours = forward(model, batch)
    await adapter.save(`${folder}-lora`)
    detach(adapter)
    const theirs = await runPeer('check_adapter.py', { model: folder, adapter: `${folder}-lora` }, batch, 'logits')
    expect(largestDifference(theirs, ours)).toBeLessThan(TOLERANCE)
  })
})

describe('HF transformers reads the merged model this library saves', () => {
  it.for<[LoadOptions['task'] & {}, string, LoadOptions, string]>([
    ['sequence-classification', 'bert/base', { labels: ['ham', 'spam'] }, 'logits'],
    ['token-classification', 'bert/token_classification', {}, 'logits'],
    ['masked-lm', 'bert/masked_lm', {}, 'logits'],
    ['feature-extraction', 'bert/old_names', {}, 'last_hidden_state'],
  ])('for %s on %s', async ([task, base, options, output], { task: test }) => {
    show(test, shownByPeer('HF transformers', `merged model for ${task}`, base, TOLERANCE))
    const [model, batch] = [await open(base, { task, ...options }), await someBatch()]
    const adapter = attach(model, lora({ rank: 4, alpha: 8, targets: 'all-linear' }))
    disturb(adapter)
    const ours = forward(model, batch)
    const merged = merge(model, adapter)
    models.push(merged)
    detach(adapter)
    const folder = temporary(`merged-${task}`)
    await merged.save(folder)
    const theirs = await runPeer('check_model.py', { model: folder }, batch, output)
    expect(largestDifference(theirs, ours)).toBeLessThan(TOLERANCE)
  })
})
