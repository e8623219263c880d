import { cp, readFile, writeFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { ConfigJson, Task } from '../../../src/base/architecture.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { architectureOf } from '../../../src/base/models/auto.ts'
import { generate } from '../../../src/base/generate/generate.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { lora } from '../../../src/lora/lora.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { predict } from '../../../src/training/predict.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()

const CASES = [
  ['base', 'feature-extraction'], ['seq2seq', 'seq2seq-lm'], ['sequence_classification', 'sequence-classification'], ['question_answering', 'question-answering'],
] as const satisfies readonly (readonly [string, Task])[]

function batchOf(golden: Golden, mask: boolean): Batch {
  const decoder = golden.names.includes('decoder_input_ids') ? { decoderIds: Int32Array.from(golden.numbers('decoder_input_ids')) } : {}
  return { ...(mask ? golden.batch('input_ids', 'attention_mask') : golden.batch('input_ids')), ...decoder }
}

it.each(CASES)('%s gives the numbers of transformers for %s, with padding left and right', async (name, task) => {
  const golden = await readGolden(`bart/${name}/golden.safetensors`)
  const model = await loadModel(goldenPath(`bart/${name}`), { task })
  const output = task === 'feature-extraction' ? 'last_hidden_state' : 'logits'
  for (const call of ['full', 'ids_only']) {
    const expected = golden.numbers(`${call}/${output}`)
    const actual = tf.tidy(() => valuesOf(model.forward(batchOf(golden, call === 'full'))))
    expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), call).toBeLessThan(1e-5)
  }
  model.dispose()
})

describe.each([['lora', 'seq2seq', 'seq2seq-lm'], ['lora_classifier', 'sequence_classification', 'sequence-classification']] as const)('%s on %s', (lora, base, task) => {
  it('gives the logits, the loss and the gradients of HF PEFT', async () => {
    const golden = await readGolden(`bart/${lora}/golden.safetensors`)
    const model = await loadModel(goldenPath(`bart/${base}`), { task })
    const adapter = await loadAdapter(model, goldenPath(`bart/${lora}/adapter`))
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

async function written(folder: string, adapter?: string): Promise<number[]> {
  const golden = await readGolden('bart/generation/golden.safetensors')
  const model = await loadModel(folder, { task: 'seq2seq-lm' })
  if (adapter !== undefined) await loadAdapter(model, adapter)
  const rows: number[][] = [[], [], []]
  const tensors = tf.memory().numTensors
  for await (const tokens of generate(model, golden.batch('input_ids', 'attention_mask'), { maxNewTokens: 64, stop: [] })) tokens.forEach((token, row) => rows[row]?.push(token ?? -1))
  expect(tf.memory().numTensors).toBe(tensors)
  model.dispose()
  return rows.flat()
}

it('writes the 64 tokens of transformers, with an adapter and without, and keeps no tensor', async () => {
  const golden = await readGolden('bart/generation/golden.safetensors')
  expect(await written(goldenPath('bart/seq2seq'))).toEqual([...golden.numbers('base/tokens')])
  expect(await written(goldenPath('bart/seq2seq'), goldenPath('bart/lora/adapter'))).toEqual([...golden.numbers('adapted/tokens')])
})

it('begins and ends with the tokens that its file forces', async () => {
  const golden = await readGolden('bart/generation/golden.safetensors')
  await cp(goldenPath('bart/seq2seq'), temporary('forced'), { recursive: true })
  await writeFile(temporary('forced', 'generation_config.json'), JSON.stringify({ decoder_start_token_id: 2, forced_bos_token_id: 7, forced_eos_token_id: 2 }))
  expect(await written(temporary('forced'))).toEqual([...golden.numbers('forced/tokens')])
})

it('refuses more tokens than it has positions, for what it reads and for what it writes', async () => {
  const model = await loadModel(goldenPath('bart/seq2seq'), { task: 'seq2seq-lm' })
  const long = new Int32Array(71).fill(5)
  expect(() => model.forward({ ids: long, decoderIds: Int32Array.of(2), batch: 1, length: 71 })).toThrow('length 71 is more than the 70 positions of the model')
  expect(() => model.forward({ ids: Int32Array.of(5), decoderIds: long, batch: 1, length: 1 })).toThrow('decoder: length 71 is more than the 70 positions of the model')
  expect(() => generate(model, [5, 6], { maxNewTokens: 71 })).toThrow('ask for at most 70')
  model.dispose()
})

it('wants an end token in every text to classify', async () => {
  const model = await loadModel(goldenPath('bart/sequence_classification'), { task: 'sequence-classification' })
  expect(() => model.forward({ ids: Int32Array.of(5, 2, 6, 7), batch: 2, length: 2 })).toThrow('ids: row 1: expected the end token 2, which the class is read at, got none')
  expect((await predict(model, { ids: [[0, 5, 2], [0, 2]] })).classes).toHaveLength(2)
  model.dispose()
})

it.each([['sequence_classification', 'sequence-classification'], ['question_answering', 'question-answering']] as const)('takes no other number of tokens for its decoder where it reads one text: %s', async (name, task) => {
  const model = await loadModel(goldenPath(`bart/${name}`), { task })
  const batch = { ids: Int32Array.of(0, 5, 2), batch: 1, length: 3 }
  const outputs = (decoderIds: Int32Array): number[] => tf.tidy(() => [...valuesOf(model.forward({ ...batch, decoderIds }))])
  expect(outputs(Int32Array.of(2, 0, 5))).toEqual(tf.tidy(() => [...valuesOf(model.forward(batch))]))
  expect(() => outputs(Int32Array.of(2, 0, 5, 2))).toThrow('decoderIds: expected none, or as many tokens as ids have (3 in each row), got 4; leave them out')
  model.dispose()
})

it('wants end tokens in its settings, of its vocabulary', async () => {
  const json = JSON.parse(await readFile(goldenPath('bart/seq2seq/config.json'), 'utf8')) as ConfigJson
  expect(() => architectureOf({ ...json, eos_token_id: [] })).toThrow('eos_token_id: expected at least one token, got []')
  expect(() => architectureOf({ ...json, eos_token_id: 29 })).toThrow('eos_token_id: expected a list of integers of at least 0 and of at most 28')
})

it('has a bias of its logits that may be absent in a file, is no adapter\'s, and is trained in full fine-tuning alone', async () => {
  const model = await loadModel(goldenPath('bart/seq2seq'), { task: 'seq2seq-lm' })
  const biased = attach(model, lora({ bias: 'all' }))
  expect(Object.keys(biased.trainable)).not.toContain('final_logits_bias')
  detach(biased)
  const full = attach(model, fullFineTuning())
  const before = valuesOf(full.trainable['final_logits_bias'] as tf.Variable)
  await new Trainer({ model, train: { ids: [[5, 6]], targets: [[7, 2]] }, batchSize: 1, epochs: 1 }).fit()
  expect(largestDifference(valuesOf(full.trainable['final_logits_bias'] as tf.Variable), before)).toBeGreaterThan(0)
  model.dispose()
})
