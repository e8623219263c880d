// Positions of a grid for a grid of another size, as torch's bicubic interpolation has them (corners not aligned, no smoothing).

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'

/** torch's choice of the cubic's free parameter. Keys 1981, doi:10.1109/TASSP.1981.1163711 */
const A = -0.75

/** Rows and columns. */
export type Grid = readonly [rows: number, columns: number]

/**
 * A table of positions, made for another grid.
 *
 * @param table (lead + rows · columns, D); its first rows stay as they are
 * @param lead how many come before those of the grid
 * @returns (lead + rows · columns, D) of the new grid
 * @example const larger = interpolated(table, { lead: 1, from: [14, 14], to: [16, 24] })
 */
export function interpolated(table: Tensor2D, { lead, from, to }: { readonly lead: number; readonly from: Grid; readonly to: Grid }): Tensor2D {
  if (from.join() === to.join()) return table
  const [down, across] = [weights(from[0], to[0]), weights(from[1], to[1])]
  const along = (x: Tensor2D, transposed: boolean, [rows, columns]: Grid): Tensor2D => {
    const [size, D] = x.shape
    const [head, grid] = [tf.slice(x, [0, 0], [lead, D]), tf.slice(x, [lead, 0], [size - lead, D])]
    const vertical = tf.matMul(matrixOf(down), tf.reshape(grid, [rows, columns * D]), transposed, false)
    const lines = tf.unstack(tf.reshape(vertical, [-1, columns, D]))
    const horizontal = lines.map((line) => tf.matMul<Tensor2D>(matrixOf(across), line as Tensor2D, transposed, false))
    return tf.concat([head, ...horizontal], 0)
  }
  return op([table], () => tf.tidy(() => along(table, false, from)), (dy) => [along(dy as Tensor2D, true, to)])
}

interface Weights {
  readonly values: Float32Array
  readonly shape: [number, number]
}

function matrixOf({ values, shape }: Weights): Tensor2D {
  return tf.tensor2d(values, shape)
}

/** (to, from): what each new place takes of the old ones; beyond the edge the last one counts again. */
function weights(from: number, to: number): Weights {
  const values = new Float32Array(to * from)
  for (let i = 0; i < to; i++) {
    const place = ((i + 0.5) * from) / to - 0.5
    const first = Math.floor(place)
    for (let step = -1; step <= 2; step++) {
      const old = Math.min(from - 1, Math.max(0, first + step))
      values[i * from + old] = (values[i * from + old] ?? 0) + cubic(Math.abs(place - first - step))
    }
  }
  return { values, shape: [to, from] }
}

function cubic(x: number): number {
  return x <= 1 ? ((A + 2) * x - (A + 3)) * x * x + 1 : ((A * x - 5 * A) * x + 8 * A) * x - 4 * A
}
