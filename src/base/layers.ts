// A stack of layers, one after the other.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { recomputed } from './autodiff/tape.ts'
import type { KeptLayers } from './kept-rows.ts'

/** How a stack of layers is run. */
export interface Stack {
  readonly count: number
  /** What the layers use besides their input. */
  readonly context: object
  readonly layer: (x: Tensor2D, index: number) => Tensor2D
  /** Whether a layer puts tensors into the context for those above it: it does not run again in the backward pass. */
  readonly leaves: (index: number) => boolean
  readonly gradientCheckpointing: boolean
  /** Where what its first layers give is kept. @default nowhere */
  readonly kept: KeptLayers | undefined
}

/** Runs x through layers; what one leaves behind is freed when it ends. */
export function runLayers(x: Tensor2D, { count, context, layer, leaves, gradientCheckpointing, kept }: Stack): Tensor2D {
  const used = (): Tensor[] => tf.tensor_util.getTensorsInContainer(context as tf.TensorContainer)
  let rows = kept?.begun?.rows ?? x
  for (let i = kept?.begun?.count ?? 0; i < count; i++) {
    const before = rows
    const run = (input: Tensor2D): Tensor2D => layer(input, i)
    const left = leaves(i)
    const again = gradientCheckpointing && i < count - 1 && !left // the walk back begins with the last, whose intermediates it needs at once
    const [after] = tf.tidy(() => [again ? recomputed(before, run, used()) : run(before), ...(left ? used() : [])] as const)
    rows = after
    kept?.see(i, before, after, left)
    if (before !== x && before !== rows) before.dispose() // what the backward pass needs, it holds by itself
  }
  kept?.end(count, rows)
  return rows
}
