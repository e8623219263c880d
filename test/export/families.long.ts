// Every family's small models that transformers wrote, as graphs in onnxruntime.

import { readdir } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import type { Batch } from '../../src/base/batch.ts'
import { exportOnnx, generate, loadModel, type Task } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { runOnnx, writeOnnx } from './runtime.ts'

const folderFor = temporaryFolder()
const FOLDERS = ['albert', 'bart', 'bert', 'deberta-v2', 'distilbert', 'gpt2', 'llama', 'mistral', 'mpnet', 'qwen2', 'qwen3', 'relatives', 'roberta']
const TASKS: Readonly<Record<string, Task>> = {
  base: 'feature-extraction', causal_lm: 'causal-lm', masked_lm: 'masked-lm', question_answering: 'question-answering', sequence_classification: 'sequence-classification',
  token_classification: 'token-classification',
}
/** What docs/export.md says is not written yet. */
const NOT_YET = /qwen3_5|phi3_(base|sequence)/
/** The token at which BART reads a class. */
const END = 2

const found = (await Promise.all(FOLDERS.map(async (folder) => (await readdir(goldenPath(folder))).map((name) => `${folder}/${name}`)))).flat()
const models = found.filter((name) => !NOT_YET.test(name)).flatMap((name) => {
  const task = Object.entries(TASKS).find(([end]) => name.endsWith(end))?.[1]
  return task === undefined ? [] : [[name, task] as const]
})

it.each(models.filter(([, task]) => task !== 'causal-lm'))('%s gives the numbers that it gives here, for %s', async (name, task) => {
  const model = await loadModel(goldenPath(name), { task })
  await exportOnnx(model, folderFor(name))
  for (const [batch, length] of [[1, 1], [1, 9], [4, 6]] as const) {
    const ids = Int32Array.from({ length: batch * length }, (_, i) => ((i + 1) % length === 0 ? END : (i * 7 + 3) % (model.limits?.vocabSize ?? 0)))
    const given: Batch = { ids, mask: Int32Array.from(ids, (_, i) => (i % length < length - Math.floor(i / length) ? 1 : 0)), batch, length }
    const own = tf.tidy(() => (task === 'question-answering' ? tf.unstack(model.forward(given), 2)[0] as tf.Tensor : model.forward(given)))
    const [theirs] = Object.values(await runOnnx(folderFor(name), given))
    const each = own.size / (own.shape[1] === length ? batch * length : batch)
    const counts = (i: number): boolean => own.shape[1] !== length || given.mask?.[Math.floor(i / each)] === 1
    expect(Math.max(...own.dataSync().map((value, i) => (counts(i) ? Math.abs(value - Number(theirs?.data[i])) : 0)))).toBeLessThan(1e-4)
    own.dispose()
  }
  model.dispose()
})

it.each(models.filter(([, task]) => task === 'causal-lm'))('%s writes the tokens that it writes here', async (name, task) => {
  const model = await loadModel(goldenPath(name), { task })
  await exportOnnx(model, folderFor(name))
  const own: number[] = []
  for await (const [token] of generate(model, [3, 1, 2, 5], { maxNewTokens: 8, stop: [] })) own.push(token as number)
  expect(await writeOnnx(folderFor(name), [3, 1, 2, 5], 8)).toEqual(own)
  model.dispose()
})
