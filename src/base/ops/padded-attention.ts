import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core'
import { MASKED, type AttentionCall, type AttentionForm } from './attention-call.ts'
import { longestOf, widerBorders } from './packed.ts'

/** A form of attention for rows between borders, where it has none of its own: they are padded for it. */
export function paddedForm(form: AttentionForm): AttentionForm {
  return {
    forward: (call) => {
      const [ofQueries, ofKeys] = [layoutOf(call, call.q.shape[1]), layoutOf(call, call.k.shape[1])]
      const bias = call.bias === undefined ? undefined : tf.slice(call.bias, [0, 0, 0, 0], [-1, -1, ofQueries.length, ofKeys.length])
      const [q, k, v] = [ofQueries.pad(call.q), ofKeys.pad(call.k), ofKeys.pad(call.v)]
      const { y, kept } = form.forward({ ...call, q, k, v, bias, keyBias: ofKeys.hides(), borders: undefined })
      return { y: ofQueries.pack(y), kept }
    },
    backward: (dy, kept, call, needs) => {
      const [ofQueries, ofKeys] = [layoutOf(call, call.q.shape[1]), layoutOf(call, call.k.shape[1])]
      const [dq, dk, dv, dBias, dSinks] = form.backward(ofQueries.pad(dy), kept, call, needs)
      const packed = (layout: Layout, x: Tensor | null | undefined): Tensor | null => (x == null ? null : layout.pack(x as Tensor4D))
      return [packed(ofQueries, dq), packed(ofKeys, dk), packed(ofKeys, dv), dBias == null ? null : asLarge(dBias, call.bias), dSinks ?? null]
    },
  }
}

/** Where rows of queries, or of keys, stand when they are padded. */
interface Layout {
  /** Of a padded row. */
  readonly length: number
  readonly pad: (x: Tensor4D) => Tensor4D
  readonly pack: (x: Tensor4D) => Tensor4D
  /** (B, length), what is added to scores so that padding is not seen. */
  readonly hides: () => tf.Tensor2D
}

function layoutOf({ borders = [] }: AttentionCall, count: number): Layout {
  const wide = widerBorders(borders, count)
  const [B, length] = [wide.length - 1, longestOf(wide)]
  const places = (): Tensor1D => tf.tensor1d(wide.slice(1).flatMap((end, row) => Array.from({ length: end - (wide[row] ?? 0) }, (_, i) => row * length + i)), 'int32')
  const spread = (x: Tensor): Tensor => tf.scatterND(tf.reshape(places(), [count, 1]), x, [B * length, x.shape[1] ?? 1])
  return {
    length,
    pad: (x) => tf.reshape(spread(tf.reshape(x, [count, x.size / count])), [B, length, x.shape[2], x.shape[3]]),
    pack: (x) => tf.reshape(tf.gather(tf.reshape(x, [B * length, x.size / (B * length)]), places()), [1, count, x.shape[2], x.shape[3]]),
    hides: () => tf.mul(tf.sub(1, tf.reshape(spread(tf.ones([count, 1])), [B, length])), MASKED),
  }
}

/** The gradient of what was sliced. */
function asLarge(gradient: Tensor, bias: Tensor4D | undefined): Tensor {
  return bias === undefined ? gradient : tf.pad(gradient, gradient.shape.map((size, axis) => [0, (bias.shape[axis] ?? size) - size] as [number, number]))
}
