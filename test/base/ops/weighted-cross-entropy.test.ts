import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { crossEntropy } from '../../../src/base/ops/cross-entropy.ts'
import { weightedCrossEntropy, type Weighting } from '../../../src/base/ops/weighted-cross-entropy.ts'
import { readGolden } from '../../training/golden.ts'
import { differentiate, numbers, relativeDifference, type Differentiated } from './forms.ts'

await loadEngine()

const CASES: Readonly<Record<string, number>> = { plain: 0, ignored: 0, tokens: 0, large: 0, smoothed: 0.1, smoothed_ignored: 0.1, weighted: 0, weighted_smoothed_ignored: 0.2 }
const even = (classes: number): Float32Array => new Float32Array(classes).fill(1)

function ours(logits: Tensor2D, labels: readonly number[], weighting: Weighting, dy = 1): Differentiated {
  return differentiate(({ x }) => weightedCrossEntropy(x, tf.tensor1d([...labels], 'int32'), weighting), { x: logits }, tf.scalar(dy))
}

describe('weighted cross entropy', () => {
  it.each(Object.entries(CASES))('has PyTorch\'s values and gradients in float64: %s', async (name, smoothing) => {
    const golden = await readGolden(`cross_entropy/${name}/`)
    const logits = tf.tensor2d(golden('logits').values, [golden('logits').values.length / 5, 5])
    const weights = name.startsWith('weighted') ? golden('class_weights').values : even(5)
    const { y, grads } = ours(logits, [...golden('labels').values], { smoothing, weights })
    expect(relativeDifference(y, golden('loss').values)).toBeLessThan(2e-6)
    expect(relativeDifference(grads['x'] ?? [], golden('grad').values)).toBeLessThan(1e-6)
  })

  it('is the plain mean where all classes count the same and nothing is smoothed', () => {
    const x = numbers([4, 5], 1) as Tensor2D
    const labels = [2, -100, 0, 4]
    const plain = differentiate(({ x }) => crossEntropy(x, tf.tensor1d(labels, 'int32')), { x }, tf.scalar(3))
    const { y, grads } = ours(x, labels, { smoothing: 0, weights: even(5) }, 3)
    expect(relativeDifference(y, plain.y)).toBeLessThan(1e-6)
    expect(relativeDifference(grads['x'] ?? [], plain.grads['x'] ?? [])).toBeLessThan(1e-6)
  })

  it('counts no ignored row, whatever is in it, and is 0 of ignored rows alone', () => {
    const weighting = { smoothing: 0.1, weights: Float32Array.of(1, 2, 3) }
    const alone = ours(tf.tensor2d([[1, 2, 3]]), [1], weighting)
    const { y, grads } = ours(tf.tensor2d([[NaN, Infinity, 0], [1, 2, 3]]), [-100, 1], weighting)
    expect(y).toEqual(alone.y)
    expect([...(grads['x'] ?? [])]).toEqual([0, 0, 0, ...(alone.grads['x'] ?? [])])
    const none = ours(tf.tensor2d([[1, 2, 3]]), [-100], weighting)
    expect([Math.abs(none.y[0] ?? NaN), ...(none.grads['x'] ?? [])].map(Math.abs)).toEqual([0, 0, 0, 0])
  })
})
