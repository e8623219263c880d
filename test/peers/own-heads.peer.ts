// Adapters with classes and heads of their own, opened by HF PEFT.

import * as tf from '@tensorflow/tfjs-core'
import { it } from 'vitest'
import { attach, detach, ia3, loadModel, lora, shareAdapter, withAdapters, withHead, type Method } from '../../src/index.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { expectOfPython, type SavedJob } from './saved.ts'

const temporary = temporaryFolder()
const ids = [[5, 6, 7, 8], [3, 1, 4, 1]]
const METHODS: Readonly<Record<string, Method>> = { lora: lora({ init: 'gaussian' }), ia3: ia3() }

it('PEFT opens adapters with names of classes in their files without a warning, and computes with their heads', async () => {
  const jobs: SavedJob[] = []
  const expected = new Map<string, Float32Array>()
  for (const [path, task] of [
    ['lora/base', 'sequence-classification'], ['roberta/sequence_classification', 'sequence-classification'], ['distilbert/sequence_classification', 'sequence-classification'],
    ['llama/sequence_classification', 'sequence-classification'], ['bert/token_classification', 'token-classification'],
  ] as const) {
    const model = await loadModel(goldenPath(path), { task })
    for (const [method, made] of Object.entries(METHODS)) {
      const name = `${path} ${method}`
      const labels = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      const adapter = attach(model, made, { name, labels, enabled: false })
      expected.set(name, tf.tidy(() => valuesOf(withAdapters(model, name).forward({ ids: Int32Array.from(ids.flat()), batch: 2, length: 4 }))))
      await adapter.save(temporary(name))
      jobs.push({ name, task, base: goldenPath(path), adapter: temporary(name), classes: labels.length, strict: true, ids })
    }
    model.dispose()
  }
  await expectOfPython(jobs, expected, temporary)
})

it('PEFT opens each folder of an adapter that heads of several tasks share, and computes with the shared tensors and that head', async () => {
  const base = goldenPath('bert/base')
  const genre = await loadModel(base, { task: 'sequence-classification', labels: ['a', 'b', 'c'] })
  const tags = await withHead(genre, { task: 'token-classification', labels: ['u', 'v', 'w', 'x', 'y'], seed: 1 })
  const first = attach(genre, lora({ init: 'gaussian' }))
  const shared = shareAdapter(first, tags, { seed: 1 })
  tf.tidy(() => { for (const variable of Object.values(first.trainable)) variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.1, 'float32', variable.size))) })
  const jobs: SavedJob[] = []
  const expected = new Map<string, Float32Array>()
  for (const [adapter, model, task] of [[first, genre, 'sequence-classification'], [shared, tags, 'token-classification']] as const) {
    await adapter.save(temporary(task))
    expected.set(task, tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.from(ids.flat()), batch: 2, length: 4 }))))
    jobs.push({ name: task, task, base, adapter: temporary(task), classes: model.labels.length, strict: true, ids })
  }
  await expectOfPython(jobs, expected, temporary)
  for (const adapter of [first, shared]) detach(adapter)
  for (const model of [genre, tags]) model.dispose()
})
