import { CheckpointError } from '../../errors.ts'
import type { PackedNumbers } from '../engine/packed-weight.ts'

/** A weight of a file that is quantised there. */
export interface PackedEntry {
  readonly format: PackedNumbers['format']
  readonly shape: readonly number[]
  /** The tensors that it is made of, its own included. */
  readonly keys: readonly string[]
  readonly read: () => Promise<PackedNumbers>
}

/** @throws CheckpointError where a number is not finite */
export function finite(key: string, values: Float32Array): Float32Array {
  const bad = values.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) throw new CheckpointError(`${key}: expected finite numbers, number ${bad} is ${values[bad]}; the file is damaged, or the weight it was made from had NaN`)
  return values
}
