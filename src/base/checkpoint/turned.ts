// Parameters that checkpoints hold with the last two axes the other way round.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'

export function turnedShape(shape: readonly number[]): number[] {
  return [...shape.slice(0, -2), ...shape.slice(-2).reverse()]
}

export function turnedAxes(tensor: Tensor): Tensor {
  return tf.transpose(tensor, turnedShape([...tensor.shape.keys()]))
}
