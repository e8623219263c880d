import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { createModel } from '../../../src/base/checkpoint/create.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { withHead } from '../../../src/base/checkpoint/with-head.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { lora } from '../../../src/lora/lora.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
const TAGS = ['noun', 'verb', 'other']

it.each([
  ['token-classification', { labels: TAGS, seed: 3 }], ['sequence-classification', { labels: ['a', 'b'], pooling: 'mean' }], ['masked-lm', {}], ['sentence-embedding', {}], ['question-answering', {}],
] as const)('a head for %s on the body of a masked LM is the one that loadModel gives, in no more memory than its own', async (task, options) => {
  await loadEngine()
  const folder = goldenPath('bert/masked_lm')
  const golden = await readGolden('bert/masked_lm/golden.safetensors')
  const batch = golden.batch('input_ids', 'attention_mask')
  const before = tf.memory().numTensors
  const model = await loadModel(folder, { task: 'masked-lm' })
  const other = await withHead(model, { task, ...options })
  const memory = ({ parts }: typeof model): object[] => [...parts.params.values()].map((weight) => weight.float32().dataId)
  const own = [...other.parts.params].filter(([, weight]) => !memory(model).includes(weight.float32().dataId)).map(([name]) => name)
  expect(own).toEqual([...other.parts.params.keys()].filter((name) => task !== 'sentence-embedding' && !name.startsWith('bert.')))
  const alone = await loadModel(folder, { task, ...options })
  expect([...other.parts.params.keys()]).toEqual([...alone.parts.params.keys()])
  expect([other.labels, other.parts.initialized, other.parts.head.modules]).toEqual([alone.labels, alone.parts.initialized, alone.parts.head.modules])
  const [got, expected] = [other, alone].map((each) => tf.tidy(() => valuesOf(each.forward(batch))))
  expect(got).toEqual(expected)
  alone.dispose()
  model.dispose() // in any order
  expect(tf.tidy(() => valuesOf(other.forward(batch)))).toEqual(expected)
  other.dispose()
  expect(tf.memory().numTensors).toBe(before)
})

it('a head on a model that was made here, on a quantised one, and on one with an adapter in its weights, is a head on that body', async () => {
  await loadEngine()
  const count = tf.memory().numTensors
  const config = { model_type: 'bert', vocab_size: 37, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 16 }
  const batch = { ids: Int32Array.of(5, 9, 11, 4), batch: 1, length: 4 }
  const features = (model: Parameters<typeof withHead>[0]): Promise<Float32Array> => withHead(model, { task: 'feature-extraction' }).then((bare) => {
    const values = tf.tidy(() => valuesOf(bare.forward(batch)))
    bare.dispose()
    return values
  })
  const made = await createModel(config, { task: 'masked-lm', seed: 2 })
  const tagger = await withHead(made, { task: 'token-classification', labels: TAGS })
  expect(await features(tagger)).toEqual(await features(made))
  await made.save(temporary('made'))

  const packed = await loadModel(temporary('made'), { task: 'masked-lm', dtype: 'int8' })
  const wide = await loadModel(temporary('made'), { task: 'masked-lm' })
  expect(largestDifference(await features(packed), await features(wide))).toBeGreaterThan(0)

  const adapter = attach(wide, lora({ init: 'gaussian' }))
  tf.tidy(() => { for (const variable of Object.values(adapter.trainable)) variable.assign(tf.fill(variable.shape, 0.1)) })
  const merged = merge(wide, adapter)
  const onMerged = await withHead(merged, { task: 'token-classification', labels: TAGS })
  expect(await features(onMerged)).toEqual(await features(merged))
  expect(onMerged.parts.merged).toEqual(merged.parts.merged)
  detach(adapter)
  for (const model of [made, tagger, packed, wide, merged, onMerged]) model.dispose()
  expect(tf.memory().numTensors).toBe(count)
})

it('says what it needs: a task that the model has, names of classes, a model that is there', async () => {
  const model = await loadModel(goldenPath('bert/masked_lm'), { task: 'masked-lm' })
  await expect(withHead(model, { task: 'token-classification' })).rejects.toThrow('needs the names of its classes')
  await expect(withHead(model, { task: 'causal-lm' })).rejects.toThrow("task: 'causal-lm' is not one this model has")
  await expect(withHead(model, { task: 'image-text' })).rejects.toThrow("task: 'image-text' is not one this model has")
  model.dispose()
  await expect(withHead(model, { task: 'masked-lm' })).rejects.toThrow('withHead: the model')
})
