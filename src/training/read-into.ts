import type { Tensor } from '@tensorflow/tfjs-core'
import { areFused, fusedOne } from '../base/engine/kernels.ts'
import { nativeTaking } from '../base/engine/native.ts'

/**
 * Copies the numbers of a float32 tensor into memory that is there already: `dataSync` would make new memory for them first.
 *
 * @param numbers as many as the tensor has
 */
export function readInto(numbers: Float32Array, tensor: Tensor): void {
  const native = areFused() && tensor.dtype === 'float32' ? nativeTaking() : undefined
  if (native === undefined) {
    numbers.set(tensor.dataSync<'float32'>())
    return
  }
  fusedOne('PinFloat', [tensor]).dispose()
  native.take(numbers)
}
