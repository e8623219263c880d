import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core'
import { attributesOf } from '../engine/constants.ts'
import { tensorflow } from '../engine/tensorflow.ts'

/** Whether the engine can write into a tensor. */
export function canOverwrite(x: Tensor): boolean {
  return x.dtype === 'float32' && tensorflow() !== undefined
}

/**
 * Writes rows over those of x at some places: in x's own memory, so x and every view of it change. Only for a tensor
 * that is the caller's own, where `canOverwrite` says so, and never while gradients are recorded.
 *
 * @param x (N, …) @param places (n), int32, each in [0, N) @param rows (n, …)
 * @example overwriteRows(buffer, tf.tensor1d([7], 'int32'), key)
 */
export function overwriteRows(x: Tensor, places: Tensor1D, rows: Tensor): void {
  tf.tidy(() => {
    tensorflow()?.executeSingleOutput('InplaceUpdate', attributesOf({ T: 'float32' }), [x, places, rows])
  })
}
