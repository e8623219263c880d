import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { crossEntropy } from '../../../src/base/ops/cross-entropy.ts'
import { readGolden } from '../../golden.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers, relativeDifference, type Differentiated } from './forms.ts'

const golden = await readGolden('ops.safetensors')

function ours(logits: Tensor, labels: readonly number[], dy = 1): Differentiated {
  return differentiate(({ x }) => crossEntropy(x as Tensor2D, tf.tensor1d([...labels], 'int32')), { x: logits }, tf.scalar(dy))
}

eachForm('cross entropy', (form) => {
  it.each(['two', 'many', 'confident'])('has the true values and gradients: %s', (name) => {
    const get = (key: string): Float32Array => golden.numbers(`cross_entropy/${name}/${key}`) as Float32Array
    const logits = tf.tensor(get('logits'), [...golden.shape(`cross_entropy/${name}/logits`)])
    const { y, grads } = ours(logits, [...get('labels')])
    expect(relativeDifference(y, get('loss'))).toBeLessThan(2e-6)
    expect(relativeDifference(grads['x'] ?? [], get('dlogits'))).toBeLessThan(1e-6)
  })

  it.each([2, 3, 17, 33, 65])('over %i classes agrees with tfjs, gradients included', (C) => {
    for (const N of [1, 5]) {
      const x = numbers([N, C], 1)
      const labels = Array.from({ length: N }, (_, i) => (i * 7) % C)
      const plain = (given: { x: Tensor }): Tensor =>
        tf.neg<Scalar>(tf.mean(tf.sum(tf.mul(tf.logSoftmax(given.x), tf.oneHot(tf.tensor1d(labels, 'int32'), C)), 1)))
      expectClose(ours(x, labels, 3), differentiateByTfjs(plain, { x }, tf.scalar(3)), 2e-6)
    }
  })

  it('counts no ignored row, whatever is in it', () => {
    const x = numbers([4, 5], 1).arraySync() as number[][]
    const without = ours(tf.tensor2d([x[0] ?? [], x[3] ?? []]), [2, 4])
    x[1] = [NaN, 1, 2, 3, 4]
    x[2] = [Infinity, 1, 2, 3, 4]
    const { y, grads } = ours(tf.tensor2d(x), [2, -100, -100, 4])
    const dx = without.grads['x'] ?? new Float32Array()
    expect(relativeDifference(y, without.y)).toBeLessThan(1e-6)
    expect(relativeDifference(grads['x'] ?? [], [...dx.subarray(0, 5), ...new Float32Array(10), ...dx.subarray(5)])).toBeLessThan(1e-6)
  })

  it('of ignored rows alone, or of none, is 0 without a gradient', () => {
    const { y, grads } = ours(numbers([2, 3], 1), [-100, -100])
    expect(Math.abs(y[0] ?? NaN)).toBe(0)
    expect(grads['x']?.every((value) => value === 0)).toBe(true)
    expect(Math.abs(crossEntropy(tf.zeros([0, 3]), tf.tensor1d([], 'int32')).dataSync()[0] ?? NaN)).toBe(0)
  })

  it('of a forbidden class, −∞, is that of the others', () => {
    const { y, grads } = ours(tf.tensor2d([[1, -Infinity, 2]]), [0])
    const expected = ours(tf.tensor2d([[1, 2]]), [0])
    expect(relativeDifference(y, expected.y)).toBeLessThan(1e-6)
    const [a = 0, c = 0] = expected.grads['x'] ?? []
    expect(relativeDifference(grads['x'] ?? [], [a, 0, c])).toBeLessThan(1e-6)
  })

  it('of NaN in a row that counts is NaN', () => {
    expect(ours(tf.tensor2d([[1, NaN, 2], [1, 2, 3]]), [0, 1]).y[0]).toBeNaN()
  })

  it.runIf(form !== 'composed')('keeps one number for each row, and no probabilities', () => {
    let kept = 0
    differentiate(
      ({ x }) => {
        const before = tf.memory().numDataBuffers
        const y = crossEntropy(x as Tensor2D, tf.tensor1d([1, 2], 'int32'))
        kept = tf.memory().numDataBuffers - before - 1 // y
        return y
      },
      { x: numbers([2, 100], 1) },
      tf.scalar(1),
    )
    expect(kept).toBe(2) // labels, and the sums of exponentials
  })

  it.runIf(form !== 'composed')('with a label out of range or missing is an error that says which', () => {
    expect(() => ours(tf.ones([2, 3]), [0, 3])).toThrow('CrossEntropy: expected labels from 0 to 2 or -100, labels[1] is 3')
    expect(() => ours(tf.ones([2, 3]), [0])).toThrow('CrossEntropy: expected 2 labels, one for each row, got 1')
  })
})
