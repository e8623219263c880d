// Parameters that checkpoints hold in another layout: with the last two axes the other way round, or as a convolution's.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { ParameterSpec } from '../sites.ts'

/** The shape a parameter has in checkpoints. */
export function fileShape({ shape, transposed, kernel }: ParameterSpec): readonly number[] {
  if (kernel !== undefined) return [...shape.slice(0, 1), ...kernel]
  return transposed === true ? turned(shape) : shape
}

export function turnedAxes(tensor: Tensor): Tensor {
  return tf.transpose(tensor, turned([...tensor.shape.keys()]))
}

function turned(axes: readonly number[]): number[] {
  return [...axes.slice(0, -2), ...axes.slice(-2).reverse()]
}
