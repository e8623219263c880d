import type { Checkpoint } from './checkpoint/checkpoint.ts'
import { toFloat32, type TensorData } from './checkpoint/dtype.ts'
import type { ParameterSpec } from './sites.ts'

/**
 * The parameters of a model that are one tensor with another: full name to the full name it is kept under. The only place
 * that says whether a head is the table of the words or a tensor of its own.
 */
export type Ties = ReadonlyMap<string, string>

export const NO_TIES: Ties = new Map()

/** Which of them concern a model with these parameters. */
export function tiesAmong(specs: ReadonlyMap<string, ParameterSpec>, ties: Readonly<Record<string, string>>): Ties {
  return new Map(Object.entries(ties).filter(([name, kept]) => specs.has(name) && specs.has(kept)))
}

/** What is left to be kept where these are one tensor. */
export function specsOf(specs: ReadonlyMap<string, ParameterSpec>, ties: Ties): ReadonlyMap<string, ParameterSpec> {
  return new Map([...specs].filter(([name]) => !ties.has(name)))
}

/** Whether a checkpoint has the same numbers under both keys. @param rounded to bfloat16, as they will be */
export async function sameTensor(checkpoint: Checkpoint, key: string, other: string, rounded: boolean): Promise<boolean> {
  const [a, b] = [await checkpoint.read(key, rounded), await checkpoint.read(other, rounded)]
  if (a.shape.join() !== b.shape.join()) return false
  if (a.dtype === b.dtype && Buffer.compare(bytesOf(a), bytesOf(b)) === 0) return true
  return sameValues(toFloat32(a), toFloat32(b))
}

export function sameValues(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}

function bytesOf({ data }: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
