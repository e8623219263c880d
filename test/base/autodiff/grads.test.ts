import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { examplesApart, valueAndGrads, perExampleGrads } from '../../../src/base/autodiff/grads.ts'
import { bridge, sharedByBatch, op } from '../../../src/base/autodiff/tape.ts'
import { linear } from '../../../src/base/ops/linear.ts'

await loadEngine()

const square = (x: Tensor): Tensor => op([x], (save) => (save(x), tf.square(x)), (dy, [kept]) => [tf.mul(tf.mul(dy, kept as Tensor), 2)])
const sum = (x: Tensor): Scalar => op([x], () => tf.sum(x), (dy) => [tf.fill(x.shape, dy.dataSync()[0] ?? NaN)])
const plus = (a: Tensor, b: Tensor): Tensor => op([a, b], () => tf.add(a, b), (dy) => [dy, dy])

/** Runs a test with variables of these numbers, and expects every other tensor to be gone afterwards. */
function withVariables(numbers: readonly (readonly number[])[], run: (...variables: Variable[]) => void): void {
  const before = tf.memory().numTensors
  const variables = numbers.map((values) => tf.tidy(() => tf.variable(tf.tensor1d([...values]))))
  run(...variables)
  tf.dispose(variables)
  expect(tf.memory().numTensors).toBe(before)
}

describe('the reverse pass', () => {
  it('adds up the gradients of a tensor that is used more than once', () => {
    withVariables([[1, 2, 3]], (x) => {
      const { value, grads } = valueAndGrads(() => sum(plus(square(x), plus(x, x))), { x: x })
      expect(value.dataSync()[0]).toBe(14 + 12)
      expect([...(grads['x'] as Tensor).dataSync()]).toEqual([4, 6, 8]) // 2x + 2
      tf.dispose([value, ...Object.values(grads)])
    })
  })

  it('gives each gradient as a tensor of its own', () => {
    withVariables([[1], [2]], (a, b) => {
      const { value, grads } = valueAndGrads(() => sum(plus(a, b)), { a: a, b: b })
      grads['a']?.dispose()
      expect(grads['b']?.dataSync()[0]).toBe(1)
      tf.dispose([value, ...Object.values(grads)])
    })
  })

  it('keeps nothing of operations on frozen tensors', () => {
    const [x, w] = [tf.ones<tf.Rank.R2>([4, 3]), tf.ones<tf.Rank.R2>([2, 3])]
    const trained = tf.variable(tf.ones([4, 2]))
    const held: number[] = []
    const { value, grads } = valueAndGrads(() => {
      const before = tf.memory().numTensors
      const y = linear(x, w)
      held.push(tf.memory().numTensors - before)
      return sum(plus(y, trained))
    }, { trained })
    expect(held).toEqual([1]) // the product itself
    tf.dispose([value, x, w, trained, ...Object.values(grads)])
  })

  it('keeps no input of a product with a frozen weight, even behind a trained tensor', () => {
    const w = tf.ones<tf.Rank.R2>([3, 3])
    const trained = tf.variable(tf.ones([4, 3])) as Variable & Tensor2D
    const held: number[] = []
    const { value, grads } = valueAndGrads(() => {
      const before = tf.memory().numTensors
      const y = linear(trained, w)
      held.push(tf.memory().numTensors - before)
      return sum(y)
    }, { trained })
    expect(held).toEqual([1])
    tf.dispose([value, w, trained, ...Object.values(grads)])
  })

  it('frees saved tensors and output gradients on its way back', () => {
    const size = 1000
    const length = 12
    const bytes: number[] = []
    const step = (x: Tensor): Tensor =>
      op([x], (save) => (save(tf.square(x)), tf.add(x, 1)), (dy) => {
        bytes.push(tf.memory().numBytes)
        return [tf.mul(dy, 1)]
      })
    const x = tf.variable(tf.ones([size]))
    const { value, grads } = valueAndGrads(() => {
      let y: Tensor = x
      for (let i = 0; i < length; i++) {
        const before = y
        y = tf.tidy(() => step(before))
      }
      return sum(y)
    }, { x })
    expect(bytes).toHaveLength(length)
    // each step back gives up one saved tensor and holds one output gradient, not all of them
    const released = bytes.slice(1).map((now, i) => (bytes[i] ?? 0) - now)
    expect(released).toEqual(Array<number>(length - 1).fill(4 * size))
    tf.dispose([value, x, ...Object.values(grads)])
  })

  it('nests: a backward pass may run another one', () => {
    withVariables([[3]], (x) => {
      const cubed = (t: Tensor): Tensor =>
        op([t], (save) => (save(t), tf.pow(t, 3)), (dy, [kept]) => {
          const inner = tf.variable(kept as Tensor) // d t³ = 3 t², by a pass of its own
          const { value, grads } = valueAndGrads(() => sum(square(inner)), { inner })
          const slope = tf.mul(tf.div(grads['inner'] as Tensor, 2), tf.mul(kept as Tensor, 3))
          tf.dispose([value, inner, ...Object.values(grads)])
          return [tf.mul(dy, slope)]
        })
      const { value, grads } = valueAndGrads(() => sum(cubed(x)), { x: x })
      expect(grads['x']?.dataSync()[0]).toBe(27)
      tf.dispose([value, ...Object.values(grads)])
    })
  })

  it('takes a piece in plain tfjs operations across a bridge', () => {
    withVariables([[0.5, -1]], (x) => {
      const { value, grads } = valueAndGrads(() => sum(bridge([square(x as Tensor)], (t) => tf.exp(t))), { x: x })
      const expected = [0.5, -1].map((t) => 2 * t * Math.exp(t * t))
      grads['x']?.dataSync().forEach((g, i) => expect(g).toBeCloseTo(expected[i] ?? NaN, 5))
      tf.dispose([value, ...Object.values(grads)])
    })
  })

  it('names every trained tensor that the loss does not depend on, and leaves nothing behind', () => {
    const [a, b, c] = [tf.variable(tf.scalar(1)), tf.variable(tf.scalar(2)), tf.variable(tf.scalar(3))]
    const before = tf.memory().numTensors
    expect(() => valueAndGrads(() => sum(square(a)), { a, b, c })).toThrow(
      'The loss does not depend on these trained tensors; detach what is not used:\n  - b\n  - c',
    )
    expect(tf.memory().numTensors).toBe(before)
    tf.dispose([a, b, c])
  })

  it.each(['forward', 'backward'])('leaves nothing behind when an operation fails on its way %s', (where) => {
    const x = tf.variable(tf.tensor1d([1, 2]))
    const before = tf.memory().numTensors
    const failing = (t: Tensor): Tensor =>
      op([t], () => {
        if (where === 'forward') throw new Error('no')
        return tf.mul(t, 2)
      }, () => {
        throw new Error('no')
      })
    expect(() => valueAndGrads(() => sum(square(failing(square(x)))), { x })).toThrow('no')
    expect(tf.memory().numTensors).toBe(before)
    // and the next pass works
    const { value, grads } = valueAndGrads(() => sum(square(x)), { x })
    expect([...(grads['x'] as Tensor1D).dataSync()]).toEqual([2, 4])
    tf.dispose([value, x, ...Object.values(grads)])
  })
})

describe('the reverse pass that keeps examples apart', () => {
  const rows: Tensor2D = tf.tensor2d([[1, 2], [3, 4], [5, 6], [7, 8]]) // two of each of two examples
  const weight = tf.variable(tf.tensor2d([[1, -1]])) as Variable & Tensor2D
  const gradientOf = (loss: () => Scalar): Tensor => {
    const before = tf.memory().numTensors
    const { value, grads } = perExampleGrads(loss, { weight }, 2)
    const gradient = grads['weight'] as Tensor
    value.dispose()
    expect(tf.memory().numTensors - before).toBe(1)
    return gradient
  }

  it('gives a gradient for each example', () => {
    const gradient = gradientOf(() => sum(linear(rows, weight)))
    expect(gradient.arraySync()).toEqual([[[4, 6]], [[12, 14]]])
    gradient.dispose()
  })

  it('adds up what two operations keep apart, example by example', () => {
    const gradient = gradientOf(() => sum(plus(linear(rows, weight), linear(rows, weight))))
    expect(gradient.arraySync()).toEqual([[[8, 12]], [[24, 28]]])
    gradient.dispose()
  })

  it.each(['before', 'behind'])('gives the sum where another operation cannot, %s one that can', (where) => {
    const gradient = gradientOf(() => {
      const terms = [(): Tensor => sum(linear(rows, weight)), (): Tensor => sum(square(weight))]
      const [a, b] = (where === 'before' ? terms : terms.reverse()).map((term) => term()) as [Tensor, Tensor]
      return plus(a, b) as Scalar
    })
    expect(gradient.arraySync()).toEqual([[16 + 2, 20 - 2]])
    gradient.dispose()
  })

  it('gives the sum of what is made for all examples alike, whose rows are not theirs', () => {
    const gradient = gradientOf(() => sum(sharedByBatch(() => linear(rows, weight))))
    expect(gradient.arraySync()).toEqual([[16, 20]])
    gradient.dispose()
  })

  it('keeps apart again behind an operation with a backward pass of its own', () => {
    const inner = tf.variable(tf.scalar(2))
    const nesting = (x: Tensor): Tensor => op([x], () => tf.mul(x, 1), (dy) => {
      const { value, grads } = valueAndGrads(() => sum(square(inner)), { inner })
      tf.dispose([value, ...Object.values(grads)])
      expect(examplesApart(weight)).toBe(2)
      return [dy]
    })
    const gradient = gradientOf(() => sum(nesting(linear(rows, weight))))
    expect(gradient.shape).toEqual([2, 1, 2])
    gradient.dispose()
    inner.dispose()
  })
})
