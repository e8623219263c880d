// The one place where an operation chooses its implementation: TensorFlow's own kernel where that backend is active
// and tfjs has no name for it, the composed tfjs form (which defines the meaning) everywhere else.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { tensorflow } from '../engine.ts'

// Attribute kinds and data types of TensorFlow's C API (tf_attrtype.h, tf_datatype.h).
const ATTR_TYPE = 4
const FLOAT = 1
const INT32 = 3

/** x (N, D) plus a bias (D) in every row. */
export function biasAdd(x: Tensor2D, bias: Tensor1D): Tensor2D {
  const native = tensorflow()
  if (native === undefined) return tf.add(x, bias)
  return native.executeSingleOutput('BiasAdd', [{ name: 'T', type: ATTR_TYPE, value: FLOAT }], [x, bias]) as Tensor2D
}

/** Uniform numbers in [0, 1) that depend on the two seeds alone, so that they can be drawn again instead of kept. */
export function uniform(shape: readonly number[], seed: readonly [number, number]): Tensor {
  const native = tensorflow()
  if (native === undefined) return tf.randomUniform([...shape], 0, 1, 'float32', `${seed[0]},${seed[1]}`)
  return native.executeSingleOutput(
    'StatelessRandomUniform',
    [
      { name: 'T', type: ATTR_TYPE, value: INT32 },
      { name: 'dtype', type: ATTR_TYPE, value: FLOAT },
      { name: 'Tseed', type: ATTR_TYPE, value: INT32 },
    ],
    [tf.tensor1d([...shape], 'int32'), tf.tensor1d([...seed], 'int32')],
  )
}
