import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { it } from 'vitest'
import { attend, MASKED } from '../../../src/base/ops/attention.ts'
import { attendWithin } from '../../../src/base/ops/windowed-attention.ts'
import { differentiate, expectClose, numbers } from './forms.ts'

const inputs = (T: number, K: number): { q: Tensor4D; k: Tensor4D; v: Tensor4D } => ({
  q: numbers([2, T, 6, 4], 1) as Tensor4D,
  k: numbers([2, K, 2, 4], 2) as Tensor4D,
  v: numbers([2, K, 2, 4], 3) as Tensor4D,
})

it('is attention over all keys where the window holds them all', () => {
  const given = inputs(5, 5)
  const dy = numbers([2, 5, 6, 4], 4)
  expectClose(
    differentiate((call) => attendWithin({ ...call, scale: 0.5, causal: true }, 5), given, dy),
    differentiate((call) => attend({ ...call, scale: 0.5, causal: true }), given, dy),
    1e-12,
  )
})

it('gives each query what attention to its nearest keys alone gives, gradients included', () => {
  const [T, K, window] = [4, 6, 3]
  const given = inputs(T, K)
  const keyBias = tf.tensor2d([0, 0, 0, 0, 0, 0, MASKED, MASKED, 0, 0, 0, 0], [2, K])
  const whole = differentiate((call) => attendWithin({ ...call, keyBias, scale: 0.5, causal: true }, window), given, numbers([2, T, 6, 4], 4))
  const dq = new Float32Array(given.q.size)
  for (let t = 0; t < T; t++) {
    const at = (x: Tensor4D): Tensor4D => tf.slice(x, [0, t, 0, 0], [2, 1, x.shape[2], x.shape[3]])
    const hidden = Array.from({ length: K }, (_, j) => (j <= K - T + t && j > K - T + t - window ? 0 : MASKED))
    const bias: Tensor2D = tf.add(keyBias, tf.tensor2d(hidden, [1, K]))
    const one = differentiate(
      (call) => attend({ ...call, keyBias: bias, scale: 0.5 }),
      { ...given, q: at(given.q) },
      at(numbers([2, T, 6, 4], 4) as Tensor4D),
    )
    for (let b = 0; b < 2; b++) dq.set(one.grads['q']?.subarray(b * 24, b * 24 + 24) ?? [], (b * T + t) * 24)
    const y = tf.tidy(() => at(tf.tensor4d(whole.y, [2, T, 6, 4])).dataSync())
    expectClose({ y: Float32Array.from(y), grads: {} }, { y: one.y, grads: {} }, 2e-6)
  }
  expectClose({ y: dq, grads: {} }, { y: whole.grads['q'] ?? dq, grads: {} }, 2e-6)
})
