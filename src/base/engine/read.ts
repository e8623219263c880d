import * as tf from '@tensorflow/tfjs-core'
import type { DataTypeMap, Tensor } from '@tensorflow/tfjs-core'

/**
 * The numbers of a tensor, not at once: on some backends (WebGPU) that is the only way.
 *
 * @param make runs at once, in a tidy; what it makes is freed
 */
export async function read<D extends 'float32' | 'int32' = 'float32'>(make: () => Tensor): Promise<DataTypeMap[D]> {
  const tensor = tf.tidy(() => tf.clone(make())) // of what is not made for it, another tensor on the same memory
  try {
    return await tensor.data<D>()
  } finally {
    tensor.dispose()
  }
}
