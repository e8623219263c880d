import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { nextTokenLoss, spanLoss, type LossParts } from '../../../src/base/tasks/losses.ts'
import { InputError } from '../../../src/errors.ts'
import { valuesOf } from '../../golden.ts'

await loadEngine()

const mean = ({ sum, weight }: LossParts): Float32Array => valuesOf(sum).map((x) => x / weight)

const entropy = (scores: readonly number[], label: number): number =>
  Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - (scores[label] ?? NaN)

it('next token: each token is held against the prediction before it, −100 left out', () => {
  const logits = [[1, 2, 0.5], [0, -1, 3], [2, 2, 2], [0.1, 0.2, 0.3], [1, 0, 0], [5, 5, 5]]
  const labels = Int32Array.of(0, 2, 1, 1, -100, 0)
  const [loss = NaN] = tf.tidy(() => mean(nextTokenLoss(tf.tensor3d(logits.flat(), [2, 3, 3]), { labels })))
  expect(loss).toBeCloseTo((entropy([1, 2, 0.5], 2) + entropy([0, -1, 3], 1) + entropy([1, 0, 0], 0)) / 3, 5)
})

it('answers: the mean of the losses of first and last token, each over the rows that have one', () => {
  const logits = [1, 5, 2, 0, 3, 1, 0, 2, -1, 1, 4, 4] // (2, 3, 2): start and end in turn
  const labels = Int32Array.of(0, 2, -100, 1)
  const [loss = NaN] = tf.tidy(() => mean(spanLoss(tf.tensor3d(logits, [2, 3, 2]), { labels })))
  expect(loss).toBeCloseTo((entropy([1, 2, 3], 0) + (entropy([5, 0, 1], 2) + entropy([2, 1, 4], 1)) / 2) / 2, 5)
})

it('answers outside the text are an error', () => {
  const wrong = (): unknown => tf.tidy(() => spanLoss(tf.zeros([1, 3, 2]), { labels: Int32Array.of(0, 3) }).sum)
  expect(wrong).toThrow(new InputError('labels: expected 0 to 2 (or -100 for "does not count"); out of range:', ['labels[1] = 3']))
})
