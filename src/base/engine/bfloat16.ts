// Weights held as bfloat16: the upper half of a float32's bits, in half its memory.
//
// On TensorFlow a matrix is a bfloat16 tensor of the runtime, which tfjs does not know. Other engines hold the rounded values in
// float32: the same numbers, without the saving. tf.memory().numBytes counts float32 in both cases.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { bytesOf, fromFloat32, toFloat32, type TensorData } from '../checkpoint/dtype.ts'
import { FLOAT32_FORM, float32Weight } from './float32.ts'
import type { WeightKind } from './frozen-weight.ts'
import { hasBfloat16Products, hasBfloat16Tiles, hasFusedBfloat16Products } from './native.ts'
import { byteTensor, runOpaque } from './opaque.ts'
import { tensorflow } from './tensorflow.ts'
import { tensorWeight, type TensorForm } from './tensor-weight.ts'

/** Numbers are rounded to the nearest, ties to even; a file's in BF16 are taken as they are. */
export const BFLOAT16: WeightKind = {
  name: 'bfloat16',
  fileDtype: 'BF16',
  fromFile(data) {
    const bits = data.dtype === 'BF16' ? data : { ...data, dtype: 'BF16' as const, data: fromFloat32(toFloat32(data), 'BF16') }
    if (tensorflow() !== undefined) return tensorWeight(BFLOAT16, BFLOAT16_FORM, tf.keep(bfloat16Tensor(bits)))
    return float32Weight(tf.keep(tf.tensor(toFloat32(bits), [...bits.shape], 'float32')), BFLOAT16)
  },
  of: (tensor) => BFLOAT16.fromFile({ dtype: 'F32', shape: tensor.shape, data: tensor.dataSync<'float32'>() }),
}

/**
 * W is widened, which is exact: the product is that of the rounded weights in float32. Only where the processor multiplies
 * bfloat16 numbers faster than floats, and there are more than three rows, x becomes bfloat16 too.
 */
export const BFLOAT16_FORM: TensorForm = {
  bytes: 2,
  suffix: 'Bfloat16',
  fewRows: () => (hasBfloat16Tiles() ? 16 : 10),
  hasManyRows: () => hasFusedBfloat16Products() || !hasBfloat16Products(),
  byRuntime: (x, weight, transposed) => hasBfloat16Products()
    ? roundedProduct(x, weight, transposed)
    : tf.tidy(() => FLOAT32_FORM.byRuntime(x, widened(weight), transposed)),
  rows: gatherRows,
  part: rowsFrom,
  float32: widened,
}

/** The tensor that these bits are, in their own memory where that is aligned. */
export function bfloat16Tensor({ shape, data }: TensorData): Tensor {
  return tf.tidy(() => {
    return runOpaque('Bitcast', { T: 'uint8', type: 'bfloat16' }, [byteTensor(bytesOf(data), [...shape, 2])])
  })
}

/** The values in float32. */
function widened<T extends Tensor>(tensor: T): T {
  return runOpaque('Cast', { SrcT: 'bfloat16', DstT: 'float32' }, [tensor]) as T
}

/** Rows of a bfloat16 table by index, in float32. */
function gatherRows(table: Tensor2D, ids: Tensor1D): Tensor2D {
  const types = { Tparams: 'bfloat16', Tindices: 'int32', Taxis: 'int32' } as const
  return tf.tidy(() => widened(runOpaque('GatherV2', types, [table, ids, tf.scalar(0, 'int32')]) as Tensor2D))
}

function rowsFrom(table: Tensor2D, first: number, count: number): Tensor2D {
  return tf.tidy(() => runOpaque('Slice', { T: 'bfloat16', Index: 'int32' }, [table, tf.tensor1d([first, 0], 'int32'), tf.tensor1d([count, -1], 'int32')]) as Tensor2D)
}

/**
 * x Wᵀ, or x W, of a float32 x and a bfloat16 W by the runtime's bfloat16 product. Rounding puts each x off by at most 2⁻⁸
 * of itself. Sums are float32 and become bfloat16 at the end: off by at most 2⁻⁷, because on processors without such
 * products the runtime cuts the lower bits off instead of rounding.
 */
export function roundedProduct(x: Tensor2D, weight: Tensor2D, transposed: boolean): Tensor2D {
  return tf.tidy(() => {
    const narrowed = runOpaque('Cast', { SrcT: 'float32', DstT: 'bfloat16' }, [x])
    return widened(runOpaque('MatMul', { T: 'bfloat16', transpose_a: false, transpose_b: transposed }, [narrowed, weight]) as Tensor2D)
  })
}
