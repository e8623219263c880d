// Numbers as GGUF files hold them. Those of few bits come in blocks of 32 of a row, each with a scale of its own in float16, and are equal bit
// for bit to what llama.cpp's own quantiser makes. Source: ggml-quants.c, and gguf-py's quants.py

import { bytesOf, fromFloat32 } from '../../base/checkpoint/dtype.ts'

/** A type of a tensor: its number in the format, and so many bytes for so many numbers. */
export interface BlockType {
  readonly code: number
  readonly numbers: number
  readonly bytes: number
  readonly encode: (numbers: Float32Array) => Uint8Array
}

const BLOCK = 32

/** How weights are held. */
export type GgufDtype = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0'

export const TYPES: Readonly<Record<GgufDtype, BlockType>> = {
  F32: { code: 0, numbers: 1, bytes: 4, encode: (numbers) => bytesOf(numbers) },
  F16: { code: 1, numbers: 1, bytes: 2, encode: (numbers) => bytesOf(fromFloat32(numbers, 'F16')) },
  BF16: { code: 30, numbers: 1, bytes: 2, encode: (numbers) => bytesOf(fromFloat32(numbers, 'BF16')) },
  Q8_0: { code: 8, numbers: BLOCK, bytes: 2 + BLOCK, encode: (numbers) => inBlocks(numbers, 2 + BLOCK, bytes) },
  Q4_0: { code: 2, numbers: BLOCK, bytes: 2 + BLOCK / 2, encode: (numbers) => inBlocks(numbers, 2 + BLOCK / 2, nibbles) },
}

/** Writes the codes of a block behind its scale, and returns the scale. */
type Encode = (block: Float32Array, into: Uint8Array) => number

function inBlocks(numbers: Float32Array, size: number, encode: Encode): Uint8Array {
  const result = new Uint8Array((numbers.length / BLOCK) * size)
  const scales = new Float32Array(numbers.length / BLOCK)
  for (let i = 0; i < scales.length; i++) scales[i] = encode(numbers.subarray(i * BLOCK, (i + 1) * BLOCK), result.subarray(i * size + 2, (i + 1) * size))
  const halves = fromFloat32(scales, 'F16')
  const view = new DataView(result.buffer)
  for (let i = 0; i < scales.length; i++) view.setUint16(i * size, halves[i] ?? 0, true)
  return result
}

/** Whole numbers of 8 bits, the largest 127; halves are rounded away from 0. */
function bytes(block: Float32Array, into: Uint8Array): number {
  let most = 0
  for (const value of block) most = Math.max(most, Math.abs(value))
  const scale = Math.fround(most / 127)
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
  for (let i = 0; i < BLOCK; i++) {
    const value = Math.fround((block[i] as number) * inverse)
    into[i] = Math.sign(value) * Math.floor(Math.abs(value) + 0.5)
  }
  return scale
}

/** Of 4 bits, from −8, which the number that is farthest from 0 is, to 7; the second half of a block in the upper bits. */
function nibbles(block: Float32Array, into: Uint8Array): number {
  let most = 0
  for (const value of block) if (Math.abs(value) > Math.abs(most)) most = value
  const scale = Math.fround(most / -8)
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
  const code = (i: number): number => Math.min(15, Math.max(0, Math.trunc((block[i] as number) * inverse + 8.5)))
  for (let i = 0; i < BLOCK / 2; i++) into[i] = code(i) | (code(i + BLOCK / 2) << 4)
  return scale
}
