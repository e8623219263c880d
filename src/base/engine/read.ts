import * as tf from '@tensorflow/tfjs-core'
import type { DataTypeMap, Tensor } from '@tensorflow/tfjs-core'

/**
 * The numbers of a tensor that is made for them alone, and freed. Not at once: on some backends (WebGPU) that is the only way.
 *
 * @param make runs at once, in a tidy
 */
export async function read<D extends 'float32' | 'int32' = 'float32'>(make: () => Tensor): Promise<DataTypeMap[D]> {
  const tensor = tf.tidy(make)
  try {
    return await tensor.data<D>()
  } finally {
    tensor.dispose()
  }
}
