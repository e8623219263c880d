import * as tf from '@tensorflow/tfjs-core'

/** One attribute of a TensorFlow operation, as the binding takes it. */
export interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number | boolean | readonly number[]
}

/** What this library uses of tfjs-node's backend: TensorFlow operations by their own name. */
export interface TensorFlow {
  readonly binding: Readonly<Record<string, unknown>> & { readonly TF_Version: string }
  readonly isUsingGpuDevice: boolean
  executeSingleOutput(name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[]): tf.Tensor
  executeMultipleOutputs(name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[], outputs: number): tf.Tensor[]
}

/** The TensorFlow backend when it is the active one; undefined on any other backend. */
export function tensorflow(): TensorFlow | undefined {
  const backend: unknown = tf.engine().backend
  return isTensorFlow(backend) ? backend : undefined
}

function isTensorFlow(backend: unknown): backend is TensorFlow {
  return typeof backend === 'object' && backend !== null && 'binding' in backend && 'executeSingleOutput' in backend
}
