import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { toFloat32 } from '../checkpoint/dtype.ts'
import type { FrozenWeight, WeightKind } from './frozen-weight.ts'
import { gatherRows, product } from './kernels.ts'
import { tensorWeight, type TensorForm } from './tensor-weight.ts'

/** Weights held in float32. */
export const FLOAT32: WeightKind = {
  name: 'float32',
  fileDtype: 'F32',
  fromFile: (data) => float32Weight(tf.keep(tf.tensor(toFloat32(data), [...data.shape], 'float32'))),
  of: (tensor) => float32Weight(tf.keep(tensor.clone())),
}

export const FLOAT32_FORM: TensorForm = {
  bytes: 4,
  suffix: '',
  fewRows: () => 12,
  hasManyRows: () => true,
  byRuntime: (x, weight, transposed) => (transposed ? tf.matMul(x, weight, false, true) : (product(x, weight) as Tensor2D)),
  rows: gatherRows,
  part: (table, first, count) => tf.slice(table, [first, 0], [count, -1]),
  float32: (tensor) => tensor,
}

/** @param kind another one, of which the engine has the numbers alone */
export function float32Weight(tensor: Tensor, kind: WeightKind = FLOAT32): FrozenWeight {
  return tensorWeight(kind, FLOAT32_FORM, tensor)
}
