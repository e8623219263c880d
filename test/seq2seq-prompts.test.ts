// Virtual tokens on encoder-decoders, as HF PEFT has them: golden/make_seq2seq_prompts.py.

import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../src/base/adapter/attached.ts'
import type { Adapter } from '../src/base/adapter/adapter.ts'
import type { Batch } from '../src/base/batch.ts'
import { valueAndGrads } from '../src/base/autodiff/grads.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { generate } from '../src/base/generate/generate.ts'
import type { Model } from '../src/base/model.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { prefixFromText } from '../src/prefix/from-text.ts'
import { prefix } from '../src/prefix/prefix.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()
const models: Model[] = []

afterEach(() => {
  for (const model of models.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

async function open(base: string, task: 'seq2seq-lm' | 'sequence-classification' = 'seq2seq-lm'): Promise<Model> {
  const model = await loadModel(goldenPath(base), { task })
  models.push(model)
  return model
}

const adapterOf = (folder: string): string => goldenPath(`seq2seq_prompts/${folder}/adapter`)
const CASES = [['prompt_t5', 't5/mt5'], ['prompt_bart', 'bart/seq2seq'], ['p_tuning_t5', 't5/tied'], ['prefix_bart', 'bart/seq2seq'], ['prefix_t5', 't5/tied']] as const

function batchOf(golden: Golden): Batch {
  return { ...golden.batch('input_ids', 'attention_mask', undefined, 'labels'), decoderIds: Int32Array.from(golden.numbers('decoder_input_ids')) }
}

function near(model: Model, golden: Golden): void {
  const expected = golden.numbers('logits')
  const actual = tf.tidy(() => valuesOf(model.forward(batchOf(golden))))
  expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs))).toBeLessThan(1e-5)
}

/** What PEFT's one table has as its gradient, from those of an adapter's tensors. */
function inTable(adapter: Adapter, grads: Readonly<Record<string, tf.Tensor>>, [rows = 0, width = 0]: readonly number[]): Float32Array {
  const table = new Float32Array(rows * width)
  const pieces = adapter.sites.filter(({ kind }) => kind === 'attention').flatMap(({ name }, layer) =>
    (['key', 'value'] as const).map((kind, i) => ({ grad: grads[`${name}.${kind}`] as tf.Tensor, kind: i, layer })))
  for (const { grad, kind, layer } of pieces) {
    const own = grad.shape[1] ?? 0
    const place = (2 * layer) % (width / own / 2)
    valuesOf(grad).forEach((value, i) => {
      const at = Math.floor(i / own) * width + (2 * place + kind) * own + (i % own)
      table[at] = (table[at] ?? 0) + value
    })
  }
  if (pieces.length === 0) table.set(valuesOf(Object.values(grads)[0] as tf.Tensor)) // the second half of the rows has none
  return table
}

describe.each(CASES)('%s on %s', (folder, base) => {
  it('gives the logits, the loss, the gradients and the tokens of HF PEFT', async () => {
    const golden = await readGolden(`seq2seq_prompts/${folder}/golden.safetensors`)
    const model = await open(base)
    const adapter = await loadAdapter(model, adapterOf(folder))
    near(model, golden)
    const { value, grads } = valueAndGrads(() => model.loss(batchOf(golden)), adapter.trainable)
    expect(valuesOf(value)[0]).toBeCloseTo(golden.numbers('loss')[0] ?? NaN, 5)
    if (golden.names.includes('grad')) expect(largestDifference(inTable(adapter, grads, golden.shape('grad')), golden.numbers('grad'))).toBeLessThan(1e-4)
    tf.dispose([value, grads])
    const rows: number[][] = Array.from({ length: 6 }, () => [])
    for await (const tokens of generate(model, golden.batch('input_ids', 'attention_mask'), { maxNewTokens: 32, stop: [] })) tokens.forEach((token, row) => rows[row]?.push(token ?? -1))
    expect(rows.flat()).toEqual([...golden.numbers('tokens')])
  })

  it('computes the same when it was saved here and loaded again', async () => {
    const golden = await readGolden(`seq2seq_prompts/${folder}/golden.safetensors`)
    const model = await open(base)
    const adapter = await loadAdapter(model, adapterOf(folder))
    await adapter.save(temporary(folder))
    detach(adapter)
    await loadAdapter(model, temporary(folder))
    near(model, golden)
  })
})

it('a prompt stands before what the encoder reads, a prefix at the decoder\'s attention to its own text', async () => {
  const model = await open('t5/mt5')
  const namesOf = (adapter: Adapter): string[] => Object.keys(adapter.trainable)
  expect(namesOf(attach(model, prompt({ virtualTokens: 2 }), { name: 'prompt' }))).toEqual(['encoder.tokens.prompt'])
  expect(namesOf(attach(model, prefix({ virtualTokens: 2 }), { name: 'prefix' }))).toEqual([0, 1].flatMap((layer) =>
    ['key', 'value'].map((kind) => `decoder.block.${layer}.layer.0.SelfAttention.attention.${kind}`)))
})

it('a prefix of an even number of layers is saved with a place more, so that HF PEFT gives each layer its own rows', async () => {
  const model = await open('bart/seq2seq')
  await attach(model, prefix({ virtualTokens: 2 })).save(temporary('own'))
  expect(JSON.parse(await readFile(temporary('own', 'adapter_config.json'), 'utf8'))).toMatchObject({ num_layers: 3, num_transformer_submodules: 2, token_dim: 16, num_attention_heads: 2 })
})

it('a prefix does not start from a text where one text is read and another written', async () => {
  await expect(prefixFromText(await open('t5/tied'), [5, 6])).rejects.toThrow("a prefix stands before what is written, and rows for it from a text are missing here; start from prefix({ init: 'normal' }) or 'zeros'")
})

it('virtual tokens on an encoder-decoder that classifies are not saved: HF PEFT does not run them', async () => {
  const model = await open('bart/sequence_classification', 'sequence-classification')
  await expect(attach(model, prompt({ virtualTokens: 2 })).save(temporary('classes'))).rejects.toThrow("save: HF PEFT has no virtual tokens for 'sequence-classification' of a model of several towers")
})
