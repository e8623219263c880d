// Stacks of experts, which checkpoints hold as matrices of their own.

import { allocate, fromFloat32, toFloat32, type TensorArray, type TensorData } from './dtype.ts'
import type { ParameterSpec } from '../sites.ts'

/** The matrices that a parameter is made of, in order, each by its name; none where it is in files as it is. */
export function piecesOf(name: string, { shape, pieces = [], ...spec }: ParameterSpec): (readonly [name: string, spec: ParameterSpec])[] {
  const [count = 0, rows = 0, columns = 0] = shape
  const module = name.slice(0, name.lastIndexOf('.'))
  const each = { ...spec, shape: [rows / Math.max(1, pieces.length), columns] }
  return Array.from({ length: pieces.length === 0 ? 0 : count }, (_, expert) =>
    pieces.map((piece) => [`${module}.${expert}.${piece}.weight`, each] as const)).flat()
}

/** What a file lacks of a stack that it has in part; undefined where it has none of it. @param has whether it has a piece */
export function gaps(name: string, spec: ParameterSpec, has: (piece: string) => boolean): string | undefined {
  const pieces = piecesOf(name, spec)
  const missing = pieces.filter(([piece]) => !has(piece)).map(([piece]) => piece)
  if (missing.length === pieces.length) return undefined
  return `${missing.length} of the ${pieces.length} matrices of ${spec.shape[0]} experts, ${missing.slice(0, 2).join(', ')}${missing.length > 2 ? ', …' : ''}; is a shard not there, or not whole?`
}

/** The pieces of a stack, one behind the other, as one tensor. @param read gives a piece, by its place */
export async function joined({ shape }: ParameterSpec, dtype: 'F32' | 'BF16', count: number, read: (i: number) => Promise<TensorData>): Promise<TensorData> {
  const data = allocate(dtype, shape.reduce((product, n) => product * n, 1)) as Float32Array | Uint16Array
  for (let i = 0; i < count; i++) {
    const piece = await read(i)
    const numbers = piece.dtype === dtype ? piece.data : fromFloat32(toFloat32(piece), dtype)
    data.set(numbers as Float32Array | Uint16Array, (data.length / count) * i)
  }
  return { dtype, shape, data }
}

/** Parts of what `read` gives, which is read when the first is asked for and held until each was. */
export function partsOf(count: number, read: () => Promise<TensorArray>): readonly (() => Promise<TensorArray>)[] {
  let whole: Promise<TensorArray> | undefined
  let left = count
  return Array.from({ length: count }, (_, i) => async () => {
    const values = await (whole ??= read())
    left -= 1
    if (left === 0) whole = undefined
    const size = values.length / count
    return values.subarray(size * i, size * (i + 1))
  })
}
