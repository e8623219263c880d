import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { TensorData } from '../checkpoint/dtype.ts'
import type { PackedNumbers } from './packed-weight.ts'

/**
 * A parameter of a model as it is held in memory, one file of this folder for each kind. It is never trained: what is, is a
 * tensor in its place. Methods do not see it; they are given `float32()`.
 */
export interface FrozenWeight {
  readonly kind: WeightKind
  readonly shape: readonly number[]
  /** Elements. */
  readonly size: number
  /** What they take in memory. */
  readonly bytes: number
  readonly isDisposed: boolean
  /** Codes and scales, where it is quantised. */
  readonly packed?: PackedNumbers
  /** x Wᵀ + b of x (N, in), W (out, in) and b (out). */
  readonly timesTransposed: (x: Tensor2D, bias?: Tensor1D) => Tensor2D
  /** dy W of dy (N, out): the gradient of `timesTransposed` by x. */
  readonly times: (dy: Tensor2D) => Tensor2D
  /**
   * Of a stack W (experts, out, in): x Wₑᵀ, or x Wₑ, of each row with the matrix of its expert.
   *
   * @param experts of each row, ascending
   */
  readonly grouped: (x: Tensor2D, experts: Tensor1D, transposed: boolean) => Tensor2D
  /** Rows by index, in float32. */
  readonly rows: (ids: Tensor1D) => Tensor2D
  /** Of a matrix, `count` rows from the `first` on, in its memory: for use inside a tidy, and not to be disposed. */
  readonly part: (first: number, count: number) => FrozenWeight
  /** To be read inside a tidy and not to be disposed: the tensor that is held, or a new one. */
  readonly float32: () => Tensor
  /** The same memory, to be disposed by itself. */
  readonly clone: () => FrozenWeight
  readonly dispose: () => void
}

/** How weights are held, by name. */
export type WeightDtype = 'float32' | 'bfloat16' | 'int8' | 'nf4'

/** A way to hold weights. Each weight that it makes is the caller's to dispose. */
export interface WeightKind {
  /** 'affine' is of files alone. */
  readonly name: WeightDtype | 'affine'
  /**
   * The type that files hold the numbers in, bit for bit, where they are not quantised. Where it is BF16, a file's numbers may be
   * rounded as they are read.
   */
  readonly fileDtype: 'F32' | 'BF16'
  /** From a file's tensor of any type, whose memory it may go on to use. */
  readonly fromFile: (data: TensorData) => FrozenWeight
  /** From a float32 tensor, which stays the caller's. */
  readonly of: (tensor: Tensor) => FrozenWeight
}

/** The numbers of a parameter, or of the tensor in its place: to be read inside a tidy and not to be disposed. */
export function inFloat32(weight: FrozenWeight | Tensor): Tensor {
  return weight instanceof tf.Tensor ? weight : weight.float32()
}
