// A backend such as WebGPU gives no tensor's numbers at once: what it is to run must wait for them.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { loadModel } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import type { Task } from '../src/base/architecture.ts'
import { embed } from '../src/training/embed.ts'
import { perplexity } from '../src/training/measure.ts'
import { predict } from '../src/training/predict.ts'
import { predictSpans } from '../src/training/predict-spans.ts'
import { predictTokens } from '../src/training/predict-tokens.ts'
import { goldenPath } from './golden.ts'

const load = (path: string, task: Task): Promise<Model> => loadModel(goldenPath(path), { task })
const ids = [[5, 6, 7, 8], [9], [3, 1, 4]]

beforeEach(() => {
  const refuse = (): never => { throw new Error('this backend gives no numbers at once') }
  for (const name of ['dataSync', 'arraySync'] as const) vi.spyOn(tf.Tensor.prototype, name).mockImplementation(refuse)
})
afterEach(() => { vi.restoreAllMocks() })

it('predictions of every kind wait for the numbers of tensors', async () => {
  expect((await predict(await load('bert/sequence_classification', 'sequence-classification'), { ids })).classes).toHaveLength(3)
  expect((await predictTokens(await load('bert/token_classification', 'token-classification'), { ids })).classes).toHaveLength(3)
  expect(await predictSpans(await load('bert/question_answering', 'question-answering'), { ids })).toHaveLength(3)
  expect(await embed(await load('bert/masked_lm', 'sentence-embedding'), { ids })).not.toHaveLength(0)
  expect(await perplexity(await load('gpt2/causal_lm', 'causal-lm'), { ids })).toBeGreaterThan(1)
})
