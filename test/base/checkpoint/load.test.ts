import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import type { FrozenWeight } from '../../../src/base/engine/frozen-weight.ts'
import { openSafetensors, writeSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { lora } from '../../../src/lora/lora.ts'
import { goldenPath, readGolden, valuesOf } from '../../golden.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
})

afterEach(() => rm(folder, { recursive: true }))

/** A copy of a golden model whose tensors are renamed or left out. */
async function altered(name: string, rename: (key: string) => string | undefined, config: object = {}): Promise<string> {
  await cp(goldenPath(`bert/${name}`), folder, { recursive: true })
  const json = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...json, ...config }))
  const file = await openSafetensors(join(folder, 'model.safetensors'))
  const tensors = []
  for (const key of file.entries.keys()) {
    const renamed = rename(key)
    if (renamed !== undefined) tensors.push({ name: renamed, ...(await file.read(key)) })
  }
  await file.close()
  await writeSafetensors(join(folder, 'model.safetensors'), tensors)
  return folder
}

describe('loading a model', () => {
  it('makes a new head, the same for the same seed, and says what is new and what was not used', async () => {
    const options = { task: 'sequence-classification', labels: ['a', 'b'], pooling: 'mean' } as const
    const [one, two, other] = [
      await loadModel(goldenPath('bert/base'), options),
      await loadModel(goldenPath('bert/base'), options),
      await loadModel(goldenPath('bert/base'), { ...options, seed: 1 }),
    ]
    expect(one.parts.initialized).toEqual(['classifier.weight', 'classifier.bias'])
    expect([...one.parts.unused]).toEqual([
      ['bert.pooler.dense.bias', 'pooler.dense.bias'],
      ['bert.pooler.dense.weight', 'pooler.dense.weight'],
    ])
    const head = (model: typeof one): Float32Array => valuesOf(model.parts.params.get('classifier.weight') as FrozenWeight)
    expect(head(one)).toEqual(head(two))
    expect(head(one)).not.toEqual(head(other))
    for (const model of [one, two, other]) model.dispose()
  })

  it('makes a head new that the checkpoint has, for other classes, when it is asked to', async () => {
    const labels = ['a', 'b', 'c', 'd', 'e']
    const [old, model] = [
      await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification' }),
      await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification', labels, newHead: true }),
    ]
    const values = ({ parts }: typeof model, name: string): Float32Array => valuesOf(parts.params.get(name) as FrozenWeight)
    expect(model.parts.initialized).toEqual(['classifier.weight', 'classifier.bias'])
    expect(model.parts.ignored).toEqual(expect.arrayContaining(['classifier.weight', 'classifier.bias']))
    expect(model.parts.params.get('classifier.weight')?.shape).toEqual([5, 32])
    const encoder = 'bert.encoder.layer.0.attention.self.query.weight'
    expect(values(model, encoder)).toEqual(values(old, encoder))
    for (const each of [old, model]) each.dispose()
  })

  it('gives a bare encoder a masked-LM head, which is trained with every adapter', async () => {
    await expect(loadModel(goldenPath('bert/base'), { task: 'masked-lm' })).rejects.toThrow('missing: cls.predictions.decoder.bias')
    const model = await loadModel(goldenPath('bert/base'), { task: 'masked-lm', newHead: true })
    const head = ['transform.dense.weight', 'transform.dense.bias', 'transform.LayerNorm.weight', 'transform.LayerNorm.bias', 'decoder.bias']
    expect([...model.parts.initialized].sort()).toEqual(head.map((name) => `cls.predictions.${name}`).sort())
    const adapter = attach(model, lora({ targets: ['query'] }))
    expect(adapter.copies).toEqual(expect.arrayContaining([...model.parts.initialized]))
    detach(adapter)
    model.dispose()
  })

  it('says that a model without a head cannot get a new one', async () => {
    await expect(loadModel(goldenPath('bert/base'), { newHead: true })).rejects.toThrow('newHead: a model for feature-extraction has no head')
  })

  it('frees every tensor when disposed', async () => {
    const before = tf.memory().numTensors
    const model = await loadModel(goldenPath('bert/base'))
    expect(tf.memory().numTensors).toBe(before + model.parts.params.size)
    model.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('lists every missing, unexpected and mis-shaped tensor in one error, and keeps nothing', async () => {
    const before = tf.memory().numTensors
    const source = await altered(
      'base',
      (key) => (key.includes('layer.1.output.dense') ? undefined : key.replace('layer.0.attention.self.key', 'layer.0.attention.self.keys')),
      { max_position_embeddings: 20 },
    )
    await expect(loadModel(source)).rejects.toThrow(
      [
        'The checkpoint does not fit the model:',
        '  - embeddings.position_embeddings.weight: expected [20, 32], the file has [24, 32]',
        '  - unexpected: encoder.layer.0.attention.self.keys.bias [32]',
        '  - unexpected: encoder.layer.0.attention.self.keys.weight [32, 32]',
        '  - missing: encoder.layer.0.attention.self.key.weight',
        '  - missing: encoder.layer.0.attention.self.key.bias',
        '  - missing: encoder.layer.1.output.dense.weight',
        '  - missing: encoder.layer.1.output.dense.bias',
      ].join('\n'),
    )
    expect(tf.memory().numTensors).toBe(before)
  })

  it('does not make up half a head', async () => {
    const source = await altered('sequence_classification', (key) => (key === 'classifier.bias' ? undefined : key))
    await expect(loadModel(source, { task: 'sequence-classification' })).rejects.toThrow('missing: classifier.bias')
  })

  it('does not make up a pooler unless it is asked to, and then trains it with every adapter', async () => {
    const source = await altered('base', (key) => (key.startsWith('pooler') ? undefined : key))
    const options = { task: 'sequence-classification', labels: ['a', 'b'] } as const
    const hint = "; newHead: true makes it new, to be trained with every adapter, and pooling: 'mean' does without it"
    await expect(loadModel(source, options)).rejects.toThrow(
      `The checkpoint does not fit the model:\n  - missing: bert.pooler.dense.weight${hint}\n  - missing: bert.pooler.dense.bias${hint}`,
    )
    const model = await loadModel(source, { ...options, newHead: true })
    const fresh = ['bert.pooler.dense.weight', 'bert.pooler.dense.bias', 'classifier.weight', 'classifier.bias']
    expect(model.parts.initialized).toEqual(fresh)
    const adapter = attach(model, lora({ targets: ['query'] }))
    expect([...adapter.copies].sort()).toEqual([...fresh].sort())
    detach(adapter)
    model.dispose()
  })

  it('keeps the pooler that the checkpoint has beside a new head', async () => {
    const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'], newHead: true })
    expect(model.parts.initialized).toEqual(['classifier.weight', 'classifier.bias'])
    model.dispose()
  })

  it('tells how to fix a wrong number of labels', async () => {
    const load = loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification', labels: ['a', 'b'] })
    await expect(load).rejects.toThrow('classifier.weight: expected [2, 32], the file has [3, 32]; give `labels` as many names')
  })

  it('names the models it supports when this is none of them', async () => {
    const source = await altered('base', (key) => key, { model_type: 'mamba' })
    await expect(loadModel(source)).rejects.toThrow('config.json: model_type "mamba" is not supported. The nearest family is qwen3_5_text; it lacks layers of state space models. Supported: bert')
  })

  it('lists everything that is wrong in config.json', async () => {
    const source = await altered('base', (key) => key, { hidden_size: '32', vocab_size: null })
    await expect(loadModel(source)).rejects.toThrow([
      `${join(source, 'config.json')} cannot be used as a bert model:`,
      '  - hidden_size: expected an integer of at least 1 and of at most 65536 (no tensor in the files is larger), got "32"',
      '  - vocab_size: expected an integer of at least 1 and of at most 65536 (no tensor in the files is larger), got none',
    ].join('\n'))
  })

  it('refuses a kind of model that would compute something else', async () => {
    const source = await altered('base', (key) => key, { is_decoder: true, position_embedding_type: 'relative_key' })
    await expect(loadModel(source)).rejects.toThrow([
      `${join(source, 'config.json')} cannot be used as a bert model:`,
      '  - is_decoder: expected false, got true, which is not supported',
      '  - position_embedding_type: expected "absolute", got "relative_key", which is not supported',
    ].join('\n'))
  })

  it('asks for labels that neither the user nor a trained checkpoint gives', async () => {
    const source = await altered('base', (key) => key, { id2label: null })
    await expect(loadModel(source, { task: 'token-classification' })).rejects.toThrow("labels: ['ham', 'spam']")
  })
})

describe('running a model', () => {
  it('reports everything that is wrong with a batch at once', async () => {
    const model = await loadModel(goldenPath('bert/base'))
    const batch = { ids: new Int32Array(50).fill(99, 0, 2), mask: new Int32Array(3), batch: 2, length: 25 }
    expect(() => model.forward(batch)).toThrow(
      [
        'The batch does not fit the model:',
        "  - ids: expected token ids below 37, as this model's own tokenizer gives them; got ids[0] = 99, ids[1] = 99",
        '  - mask: expected batch × length = 2 × 25 = 50 numbers; got 3',
        '  - length 25 is more than the 24 positions of the model; truncate (maxLength: 24)',
      ].join('\n'),
    )
    expect(() => model.forward({ ids: new Int32Array(), batch: 0, length: 4 })).toThrow('expected at least one row and one token')
    model.dispose()
  })

  it('says which labels are out of range', async () => {
    const model = await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification' })
    const batch = { ids: Int32Array.of(1, 2, 3, 4), batch: 2, length: 2 }
    expect(() => model.loss({ ...batch, labels: Int32Array.of(3, -1) })).toThrow('expected 0 to 2')
    expect(() => model.loss({ ...batch, labels: Int32Array.of(3, -1) })).toThrow('labels[1] = -1')
    expect(() => model.loss({ ...batch, labels: Int32Array.of(1) })).toThrow('labels: expected 2 of them, got 1')
    expect(() => model.loss(batch)).toThrow('the batch has none')
    model.dispose()
  })

  it('gives the same numbers for a row alone and among longer rows', async () => {
    const golden = await readGolden('bert/base/golden.safetensors')
    const model = await loadModel(goldenPath('bert/base'))
    const row = golden.batch('input_ids').ids.slice(0, 5)
    const padded = Int32Array.from([...row, 0, 0, 0])
    const alone = tf.tidy(() => valuesOf(model.forward({ ids: row, batch: 1, length: 5 })))
    const among = tf.tidy(() => valuesOf(model.forward({ ids: padded, mask: Int32Array.of(1, 1, 1, 1, 1, 0, 0, 0), batch: 1, length: 8 })))
    alone.forEach((x, i) => expect(among[i]).toBeCloseTo(x, 5))
    model.dispose()
  })
})

it('what a task does not use of the encoder is in the saved model all the same', async () => {
  const model = await loadModel(goldenPath('bert/old_names'))
  await model.save(folder)
  const file = await openSafetensors(join(folder, 'model.safetensors'))
  expect(file.entries.get('pooler.dense.weight')?.shape).toEqual([32, 32])
  await file.close()
  model.dispose()
})

it('a saved model is the same model when loaded again, labels included', async () => {
  const golden = await readGolden('bert/base/golden.safetensors')
  const batch = golden.batch('input_ids', 'attention_mask')
  const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['ham', 'spam'] })
  await model.save(folder)
  const again = await loadModel(folder, { task: 'sequence-classification' })
  expect(again.parts.labels).toEqual(['ham', 'spam'])
  expect(again.parts.initialized).toEqual([])
  expect(tf.tidy(() => valuesOf(again.forward(batch)))).toEqual(tf.tidy(() => valuesOf(model.forward(batch))))
  model.dispose()
  again.dispose()
})
