import { alignedMemory, type Room } from '../engine/native.ts'

/** A tensor type this library reads and writes, in the words of the safetensors format. */
export type Dtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U32' | 'U8' | 'BOOL'

/** The types among them that hold real numbers. */
export type FloatDtype = 'F64' | 'F32' | 'F16' | 'BF16'

/** The arrays that hold tensor data: F16 and BF16 as raw bits in a `Uint16Array`, BOOL as 0 and 1 in a `Uint8Array`. */
export type TensorArray =
  | Float64Array | Float32Array | Uint16Array | Uint32Array | BigInt64Array | Int32Array | Int16Array | Int8Array | Uint8Array

/** One tensor's values in row-major order, `shape` multiplied out long. */
export interface TensorData {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: TensorArray
}

interface ArrayKind {
  readonly bytes: number
  readonly array: new (length: number) => TensorArray
}

/** Bytes per element and the array that holds it. All of Node's platforms with an engine are little-endian, as the format is. */
const kinds: Readonly<Record<Dtype, ArrayKind>> = {
  F64: { bytes: 8, array: Float64Array },
  F32: { bytes: 4, array: Float32Array },
  F16: { bytes: 2, array: Uint16Array },
  BF16: { bytes: 2, array: Uint16Array },
  I64: { bytes: 8, array: BigInt64Array },
  I32: { bytes: 4, array: Int32Array },
  I16: { bytes: 2, array: Int16Array },
  I8: { bytes: 1, array: Int8Array },
  U32: { bytes: 4, array: Uint32Array },
  U8: { bytes: 1, array: Uint8Array },
  BOOL: { bytes: 1, array: Uint8Array },
}

/** Bytes of one element of `dtype`. */
export function bytesPerElement(dtype: Dtype): number {
  return kinds[dtype].bytes
}

/** True when `name` is a type this library reads and writes. */
export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(kinds, name)
}

/** A zeroed array of `length` elements that holds `dtype`. @param room where it is to be. Default: by itself */
export function allocate(dtype: Dtype, length: number, room?: Room): TensorArray {
  if (dtype !== 'F32' && dtype !== 'BF16' && dtype !== 'U8' && dtype !== 'I8') return new kinds[dtype].array(length)
  const { buffer, offset } = room?.take(kinds[dtype].bytes * length) ?? alignedMemory(kinds[dtype].bytes * length)
  return new { F32: Float32Array, BF16: Uint16Array, U8: Uint8Array, I8: Int8Array }[dtype](buffer, offset, length)
}

/** Floats in memory that TensorFlow shares instead of making a copy. */
function zeros(length: number): Float32Array {
  const { buffer, offset } = alignedMemory(4 * length)
  return new Float32Array(buffer, offset, length)
}

/** True when `data` is the kind of array that holds `dtype`. */
export function holds(data: unknown, dtype: Dtype): data is TensorArray {
  return data instanceof kinds[dtype].array
}

/** The bytes of an array, without a copy. */
export function bytesOf(data: TensorArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/**
 * The values of a tensor as 32-bit floats; F32 data is returned as it is, without a copy.
 * F16 and BF16 widen exactly (subnormals, infinities and NaN included); F64 and integers round to the nearest float.
 *
 * @example
 * const weights = toFloat32(await file.read('embeddings.word_embeddings.weight'))
 */
export function toFloat32(tensor: TensorData): Float32Array {
  const { dtype, data } = tensor
  if (data instanceof Float32Array) return data
  if (data instanceof BigInt64Array) {
    const out = new Float32Array(data.length)
    for (let i = 0; i < data.length; i++) out[i] = Number(data[i])
    return out
  }
  if (!(data instanceof Uint16Array)) return new Float32Array(data)
  const out = zeros(data.length)
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length)
  if (dtype === 'BF16') for (let i = 0; i < data.length; i++) bits[i] = (data[i] as number) << 16
  else {
    const table = halfTable()
    for (let i = 0; i < data.length; i++) bits[i] = table[data[i] as number] as number
  }
  return out
}

/**
 * 32-bit floats as `dtype`, rounded to nearest, ties to even; F32 returns the argument itself.
 * Values beyond the range of F16 or BF16 become infinities; a NaN stays a NaN.
 *
 * @example
 * const bits = fromFloat32(Float32Array.of(1, 65504), 'F16')    // Uint16Array [0x3c00, 0x7bff]
 */
export function fromFloat32(data: Float32Array, dtype: FloatDtype): Float64Array | Float32Array | Uint16Array {
  if (dtype === 'F32') return data
  if (dtype === 'F64') return new Float64Array(data)
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length)
  const out = allocate(dtype, data.length) as Uint16Array
  if (dtype === 'BF16') for (let i = 0; i < bits.length; i++) out[i] = toBfloat16(bits[i] as number)
  else for (let i = 0; i < bits.length; i++) out[i] = toHalf(bits[i] as number)
  return out
}

/** Top 16 bits of a float's 32, rounded; a NaN is made quiet so that rounding cannot turn it into an infinity. */
function toBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

/** IEEE 754 binary16 of a float's 32 bits. */
function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff) // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00 // 2^16 and more
  if (magnitude >= 0x38800000) { // normal: 2^-14 and more; the carry of rounding may reach infinity, which is right
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  }
  if (magnitude <= 0x33000000) return sign // 2^-25 is a tie and goes to the even zero
  const shift = 126 - (magnitude >>> 23) // subnormal: units of 2^-24
  const mantissa = (magnitude & 0x7fffff) | 0x800000
  const below = mantissa & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  const floor = mantissa >>> shift
  return sign | (floor + (below > half || (below === half && (floor & 1) === 1) ? 1 : 0))
}

let halves: Uint32Array | undefined

/** The float bits of each of the 65,536 halves (256 KB, made on first use): faster than computing them. */
function halfTable(): Uint32Array {
  if (halves !== undefined) return halves
  const table = new Uint32Array(65536)
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16
    const exponent = (half >>> 10) & 0x1f
    const mantissa = half & 0x3ff
    if (exponent === 31) table[half] = sign | 0x7f800000 | (mantissa << 13)
    else if (exponent > 0) table[half] = sign | ((exponent + 112) << 23) | (mantissa << 13)
    else table[half] = sign | bitsOf(mantissa * 2 ** -24)
  }
  halves = table
  return table
}

function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] as number
}
