// Tensors of the runtime's own types under tfjs tensors that call themselves float32: only functions of this folder and fused
// kernels take them, and any other operation ends in the runtime's error about types instead of in wrong numbers.
// tf.memory().numBytes counts float32.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { attributesOf, DTYPES } from './constants.ts'
import { tensorflow, type Attribute, type TensorFlow } from './tensorflow.ts'

/** What is used of tfjs-node's backend besides `TensorFlow`. */
interface Backend extends TensorFlow {
  readonly binding: TensorFlow['binding'] & {
    readonly createTensor: (shape: readonly number[], dtype: number, data: Uint8Array) => number
    readonly executeOp: (name: string, attributes: readonly Attribute[], ids: readonly number[], outputs: number) => readonly Handle[]
  }
  readonly tensorMap: { set(dataId: object, info: object): void }
  getInputTensorIds(tensors: readonly Tensor[]): number[]
}

interface Handle {
  readonly id: number
  readonly shape: number[]
  readonly dtype: number
}

/** A tensor of uint8 that is these bytes, in their own memory where that is aligned. */
export function byteTensor(bytes: Uint8Array, shape: readonly number[] = [bytes.length]): Tensor {
  const native = backend()
  const id = native.binding.createTensor(shape, DTYPES.uint8, bytes)
  return tensorOf(native, { id, shape: [...shape], dtype: DTYPES.uint8 })
}

/** Runs an operation of the runtime, whose output may be of any type. */
export function runOpaque(name: string, attributes: Parameters<typeof attributesOf>[0], inputs: readonly Tensor[]): Tensor {
  const native = backend()
  return tensorOf(native, native.binding.executeOp(name, attributesOf(attributes), native.getInputTensorIds(inputs), 1)[0] as Handle)
}

function tensorOf(native: Backend, { id, shape, dtype }: Handle): Tensor {
  const dataId = {}
  native.tensorMap.set(dataId, { shape, dtype, id, values: null, refCount: 1 })
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' })
}

function backend(): Backend {
  return tensorflow() as Backend // else there is no tensor to call this for
}
