// A table's gradient over several workers: of a vocabulary a step touches few rows, and those alone are sent.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { gatherRows } from '../base/engine/kernels.ts'
import { alignedFloats } from '../base/engine/native.ts'
import { readInto } from './read-into.ts'

/** Numbers from which a table is worth a message more, and rows for each column: more than other weights have. */
const [LARGE, TALL] = [2 ** 20, 16]

/** Whether a tensor is one of many rows that are looked up. */
export function isTable([rows = 0, columns = 0, ...more]: readonly number[]): boolean {
  return more.length === 0 && rows * columns >= LARGE && rows >= TALL * columns
}

/** The sums of a table's gradient, step after step in the same memory. */
export class TableSums {
  readonly rows: number
  readonly #columns: number
  #gradient: Tensor2D | undefined
  /** Rows that some worker has something for, in order. */
  #touched: Int32Array = new Int32Array()
  #numbers: Float32Array = new Float32Array()
  /** Where they stand: as much as the most so far. */
  #room: Float32Array = new Float32Array()

  constructor([rows = 0, columns = 0]: readonly number[]) {
    this.rows = rows
    this.#columns = columns
  }

  /** @param flags are set to 1 where the gradient of a row is not zero, and to 0 else */
  add(gradient: Tensor, flags: Float32Array): void {
    this.#gradient = tf.keep(gradient.clone() as Tensor2D)
    tf.tidy(() => { readInto(flags, tf.cast(tf.any(tf.notEqual(gradient, 0), 1), 'float32')) })
  }

  /**
   * This worker's numbers of the rows that some worker has something for.
   *
   * @param flags their sums over all workers
   */
  rowsOf(flags: Float32Array): Float32Array {
    this.#touched = Int32Array.from(flags.keys()).filter((row) => flags[row] !== 0)
    const size = this.#touched.length * this.#columns
    if (size > this.#room.length) this.#room = alignedFloats(size)
    this.#numbers = this.#room.subarray(0, size)
    const gradient = this.#gradient
    if (gradient === undefined) this.#numbers.fill(0)
    else tf.tidy(() => { readInto(this.#numbers, gatherRows(gradient, tf.tensor1d(this.#touched, 'int32'))) })
    return this.#numbers
  }

  /** The sums, which stand where `rowsOf` left its numbers, times a factor; zeros in the other rows. */
  scaled(factor: number): Tensor {
    return tf.tidy(() => {
      const rows = tf.mul(tf.tensor2d(this.#numbers, [this.#touched.length, this.#columns]), factor)
      return tf.scatterND(tf.tensor2d(this.#touched, [this.#touched.length, 1], 'int32'), rows, [this.rows, this.#columns])
    })
  }

  forget(): void {
    this.#gradient?.dispose()
    this.#gradient = undefined
  }
}
