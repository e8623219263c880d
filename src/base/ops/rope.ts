import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { areFused, choose, fused, fusedOne, wholeKernel, type Forms } from '../engine/kernels.ts'

/** How far each pair of numbers of each token is turned. */
export interface Rotation {
  readonly cos: Tensor4D // (B, T, 1, R / 2)
  readonly sin: Tensor4D // (B, T, 1, R / 2)
}

/**
 * The rotation of tokens at given positions: by position · frequency.
 *
 * @param positions (B·T) @param frequencies in radians for each token, R / 2 of them @param scale what is turned grows by it
 * @example const turn = rotation(positions, batch, Float32Array.of(1, 0.1, 0.01))
 */
export function rotation(positions: Tensor1D, batch: number, frequencies: Float32Array, scale = 1): Rotation {
  if (areFused() && positions.dtype === 'int32') {
    const [cos, sin] = fused('Rotation', [positions, tf.tensor1d(frequencies)], { batch, scale }, 2) as [Tensor4D, Tensor4D]
    return { cos, sin }
  }
  const angles = tf.mul<Tensor4D>(tf.reshape(tf.cast(positions, 'float32'), [batch, -1, 1, 1]), tf.tensor1d(frequencies))
  const scaled = (x: Tensor4D): Tensor4D => (scale === 1 ? x : tf.mul(x, scale))
  return { cos: scaled(tf.cos(angles)), sin: scaled(tf.sin(angles)) }
}

/**
 * A rotation after which what is turned has grown with its position p, by 1 + beta · ln(1 + ⌊p / every⌋). Llama 4
 *
 * @param positions (B·T)
 * @example const q = rope(query, grown(turn, positions, { beta: 0.1, every: 16_384 }))
 */
export function grown({ cos, sin }: Rotation, positions: Tensor1D, { beta, every }: { readonly beta: number; readonly every: number }): Rotation {
  const times = tf.floorDiv(tf.cast(positions, 'int32'), tf.scalar(every, 'int32'))
  const factor = tf.reshape(tf.add(tf.mul(tf.log1p(tf.cast(times, 'float32')), beta), 1), [cos.shape[0], cos.shape[1], 1, 1])
  return { cos: tf.mul(cos, factor), sin: tf.mul(sin, factor) }
}

/**
 * Rotary position embedding: of the first R numbers of each head, number i and number i + R / 2 are a point that is turned by the i-th
 * angle; the others stay.
 *
 * With (a, b) a point:  (a cos − b sin, b cos + a sin);  the gradient is turned back by the same angle.
 *
 * Source: Su et al. 2021, arXiv:2104.09864; in halves, as the Hub's checkpoints have it, not in neighbouring pairs
 *
 * @param x (B, T, H, D)
 * @example const q = rope(query, rotation(positions, batch, frequencies))
 */
export function rope(x: Tensor4D, { cos, sin }: Rotation): Tensor4D {
  const [turned, rest] = [2 * cos.shape[3], x.shape[3] - 2 * cos.shape[3]]
  const part = rest > 0 ? partly(TURN.composed, turned, rest) : undefined
  const turn = choose(part === undefined ? TURN : { ...TURN, fused: part, composed: part }, [x, cos, sin])
  return op(
    [x],
    (save) => {
      save(cos, sin)
      return turn(x, cos, sin, false)
    },
    (dy, saved) => {
      const [c, s] = saved as [Tensor, Tensor]
      return [turn(dy, c, s, true)]
    },
  )
}

/** @param back turn the other way */
type Turn = (x: Tensor, cos: Tensor, sin: Tensor, back: boolean) => Tensor4D

function partly(turn: Turn, turned: number, rest: number): Turn {
  return (x, ...how) => {
    const [first, last] = tf.split(x, [turned, rest], 3) as [Tensor, Tensor]
    return tf.concat<Tensor4D>([turn(first, ...how), last as Tensor4D], 3)
  }
}

const TURN: Forms<Turn> = {
  fused: (x, cos, sin, back) => fusedOne('Rope', [x, cos, sin], { back }) as Tensor4D,
  composed: (x, cos, sin, back) => {
    const [a, b] = tf.split(x, 2, 3) as [Tensor, Tensor]
    const s = back ? tf.neg(sin) : sin
    return tf.concat<Tensor4D>([tf.sub(tf.mul(a, cos), tf.mul(b, s)), tf.add(tf.mul(b, cos), tf.mul(a, s))], 3)
  },
  whole: { kernel: 'Rope', form: (x, cos, sin) => wholeKernel('Rope', { x, cos, sin }) as Tensor4D },
}
