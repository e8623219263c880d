import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { InputError } from '../../src/errors.ts'
import { clipByGlobalNorm, globalNorm } from '../../src/training/clip.ts'
import { numberOf } from '../golden.ts'
import { readGolden } from './golden.ts'

beforeAll(loadEngine)

function clip(before: Readonly<Record<string, tf.Tensor>>, maxNorm: number): { readonly grads: Record<string, tf.Tensor>; readonly norm: number } {
  const norm = numberOf(globalNorm(before))
  return { grads: clipByGlobalNorm(before, norm, maxNorm), norm }
}

describe('clipByGlobalNorm', () => {
  it.each(['clipped', 'below', 'tiny', 'huge'])('equals torch.nn.utils.clip_grad_norm_: %s', async (name) => {
    const golden = await readGolden(`clip/${name}/`)
    const tensor = (i: number): tf.Tensor => {
      const { values, shape } = golden(`before${i}`)
      return tf.tensor(values, [...shape])
    }
    const before = { a: tensor(0), b: tensor(1), c: tensor(2) }
    const { grads, norm } = clip(before, golden('max_norm').values[0] ?? NaN)
    expectClose([norm], golden('norm').values)
    for (const [i, key] of ['a', 'b', 'c'].entries()) expectClose(grads[key]?.dataSync() ?? [], golden(`after${i}`).values)
    tf.dispose([before, grads])
  })

  it('leaves gradients below the norm exactly as they are, in tensors of the caller\'s own', () => {
    const before = { a: tf.tensor1d([0.3, 0.4]) }
    const { grads, norm } = clip(before, 1)
    expect(norm).toBeCloseTo(0.5, 6)
    tf.dispose(before)
    expect(grads['a']?.dataSync()).toEqual(new Float32Array([0.3, 0.4]))
    tf.dispose(grads)
  })

  it('measures without clipping when the bound is Infinity', () => {
    const before = { a: tf.tensor1d([3e10, 4e10]) }
    const { grads, norm } = clip(before, Infinity)
    expect(norm / 5e10).toBeCloseTo(1, 6)
    expect(grads['a']?.dataSync()).toEqual(new Float32Array([3e10, 4e10]))
    tf.dispose([before, grads])
  })

  it('returns a norm that is not finite as it is', () => {
    const before = { a: tf.tensor1d([1, NaN]), b: tf.scalar(2) }
    const { grads, norm } = clip(before, 1)
    expect(norm).toBeNaN()
    expect(grads['b']?.dataSync()[0]).toBeNaN()
    tf.dispose([before, grads])
  })

  it('finds a norm of zero where there is nothing to clip', () => {
    expect(clip({}, 1)).toEqual({ grads: {}, norm: 0 })
    const before = { a: tf.zeros([3]) }
    const { grads, norm } = clip(before, 1)
    expect(norm).toBe(0)
    expect([...grads['a']?.dataSync() ?? []]).toEqual([0, 0, 0])
    tf.dispose([before, grads])
  })

  it('leaves behind only the gradients it returns', () => {
    const before = { a: tf.tensor1d([3, 4]), b: tf.ones([2, 2]) }
    const count = tf.memory().numTensors
    const { grads } = clip(before, 1)
    expect(tf.memory().numTensors).toBe(count + 2)
    tf.dispose([before, grads])
  })

  it('refuses a bound that is not above zero', () => {
    expect(() => clipByGlobalNorm({}, 1, 0)).toThrow(InputError)
    expect(() => clipByGlobalNorm({}, 1, NaN)).toThrow('clipByGlobalNorm: expected maxNorm above 0, got NaN.')
  })
})

function expectClose(got: ArrayLike<number>, expected: Float32Array): void {
  expect(got).toHaveLength(expected.length)
  const gap = Math.max(...expected.map((value, i) => Math.abs((got[i] ?? NaN) - value) / Math.abs(value)))
  expect(gap).toBeLessThan(1e-6)
}
