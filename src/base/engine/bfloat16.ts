// Frozen matrices held as bfloat16: the upper half of a float32's bits, in half its memory.
//
// tfjs has no such type. On TensorFlow a matrix is a bfloat16 tensor of the runtime under a tfjs tensor that calls itself
// float32: only the operations that know of it take it, and any other ends in the runtime's error about types instead of
// in wrong numbers. Other engines hold the rounded values in float32: the same numbers, without the saving.
// tf.memory().numBytes counts float32 in both cases.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { tensorflow, type Attribute, type TensorFlow } from './engine.ts'
import { bytesOf, fromFloat32, toFloat32, type TensorData } from '../checkpoint/dtype.ts'

// Data types of TensorFlow's C API (tf_datatype.h), and the kinds of attribute that hold one or a flag (tf_attrtype.h).
const [FLOAT, INT32, UINT8, BFLOAT16] = [1, 3, 4, 14]
const [ATTR_BOOL, ATTR_TYPE] = [3, 4]

/** What those tensors have in common with their clones. */
const halves = new WeakSet()

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

/** Whether a tensor holds bfloat16 numbers; of a clone too. */
export function isBfloat16(tensor: Tensor): boolean {
  return halves.has(tensor.dataId)
}

/** Whether it is one that only the functions of this file and fused kernels can read. */
export function isOpaque(tensor: Tensor): boolean {
  return isBfloat16(tensor) && tensorflow() !== undefined
}

/** A tensor from a file, rounded to the nearest bfloat16, ties to even; one that is BF16 already is taken as it is. */
export function bfloat16Tensor(data: TensorData): Tensor {
  const bits = data.dtype === 'BF16' ? data : { ...data, dtype: 'BF16' as const, data: fromFloat32(toFloat32(data), 'BF16') }
  return fromBits(bits, [...data.shape])
}

/** A float32 tensor rounded to bfloat16. */
export function toBfloat16(tensor: Tensor): Tensor {
  return bfloat16Tensor({ dtype: 'F32', shape: tensor.shape, data: tensor.dataSync<'float32'>() })
}

/** The values in float32: a new tensor for a bfloat16 one, and any other as it is. */
export function inFloat32<T extends Tensor>(tensor: T): T {
  return isOpaque(tensor) ? (cast(tensor, BFLOAT16, FLOAT) as T) : tensor
}

/** Rows of a bfloat16 table by index, in float32. */
export function gatherRows(table: Tensor2D, ids: Tensor1D): Tensor2D {
  const types = { Tparams: BFLOAT16, Tindices: INT32, Taxis: INT32 }
  return tf.tidy(() => inFloat32(run('GatherV2', typed(types), [table, ids, tf.scalar(0, 'int32')]) as Tensor2D))
}

/**
 * x Wᵀ, or x W, of a float32 x and a bfloat16 W by the runtime's bfloat16 product. Rounding puts each x off by at most 2⁻⁸
 * of itself. Sums are float32 and become bfloat16 at the end: off by at most 2⁻⁷, because on processors without such
 * products the runtime cuts the lower bits off instead of rounding.
 */
export function roundedProduct(x: Tensor2D, weight: Tensor2D, transposed: boolean): Tensor2D {
  return tf.tidy(() => inFloat32(bfloat16Product(cast(x, FLOAT, BFLOAT16) as Tensor2D, weight, transposed)))
}

function bfloat16Product(a: Tensor2D, b: Tensor2D, transposed: boolean): Tensor2D {
  const flags = Object.entries({ transpose_a: false, transpose_b: transposed }).map(([name, value]) => ({ name, type: ATTR_BOOL, value }))
  return run('MatMul', [...typed({ T: BFLOAT16 }), ...flags], [a, b]) as Tensor2D
}

function fromBits(bits: TensorData, shape: number[]): Tensor {
  const native = backend()
  if (native === undefined) return marked(tf.tensor(toFloat32(bits), shape, 'float32'))
  return tf.tidy(() => {
    const pairs = [...shape, 2]
    const id = native.binding.createTensor(pairs, UINT8, bytesOf(bits.data)) // shares the array's memory
    const bytes = tensorOf(native, { id, shape: pairs, dtype: UINT8 })
    return run('Bitcast', typed({ T: UINT8, type: BFLOAT16 }), [bytes])
  })
}

function cast(tensor: Tensor, from: number, to: number): Tensor {
  return run('Cast', typed({ SrcT: from, DstT: to }), [tensor])
}

function typed(types: Readonly<Record<string, number>>): Attribute[] {
  return Object.entries(types).map(([name, value]) => ({ name, type: ATTR_TYPE, value }))
}

function run(name: string, attributes: readonly Attribute[], inputs: readonly Tensor[]): Tensor {
  const native = backend() as Backend // the callers have made sure
  return tensorOf(native, native.binding.executeOp(name, attributes, native.getInputTensorIds(inputs), 1)[0] as Handle)
}

function tensorOf(native: Backend, { id, shape, dtype }: Handle): Tensor {
  const dataId = {}
  native.tensorMap.set(dataId, { shape, dtype, id, values: null, refCount: 1 })
  const tensor = tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' })
  return dtype === BFLOAT16 ? marked(tensor) : tensor
}

function marked(tensor: Tensor): Tensor {
  halves.add(tensor.dataId)
  return tensor
}

function backend(): Backend | undefined {
  return tensorflow() as Backend | undefined
}
