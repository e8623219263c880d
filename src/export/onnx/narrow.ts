// Weights in fewer bits than float32, with the operators that compute with them.

import { bytesOf, fromFloat32 } from '../../base/checkpoint/dtype.ts'
import type { Graph, Initializer } from './graph.ts'
import { DATA_TYPES } from './schema.ts'

/** How the weights of an ONNX file are held: float32, float16, and whole numbers of 8 or 4 bits, with a scale for each row or each block of a row. */
export type OnnxDtype = 'fp32' | 'fp16' | 'q8' | 'q4'

/** What transformers.js puts behind the names of the files. */
export const SUFFIXES: Readonly<Record<OnnxDtype, string>> = { fp32: '', fp16: '_fp16', q8: '_quantized', q4: '_q4' }

/** A weight with its numbers. */
export interface Weight extends Pick<Initializer, 'name' | 'shape'> {
  /** It may be replaced when the graph runs, and is held in float32. @default false */
  readonly isSlot?: boolean
  readonly numbers: () => Promise<Float32Array>
}

/** The byte that stands for 0 among those of 8 bits, and its like of 4 bits. */
const ZERO = 128
const ZERO_OF_4 = 8
/** Numbers of a row that share a scale at 4 bits. */
const BLOCK = 32

/** A weight as float32, whatever it is held as. */
export function wide(graph: Graph, { name, shape, numbers, isSlot = false }: Weight, dtype: OnnxDtype): string {
  if (dtype !== 'fp16' || isSlot) return graph.weight({ name, shape, dtype: 'float32', data: async () => bytesOf(await numbers()) })
  return graph.one('Cast', [graph.weight({ name, shape, dtype: 'float16', data: async () => halves(await numbers()) })], { to: BigInt(DATA_TYPES.float32) })
}

/** x Wᵀ of a weight (out, in) in few bits; undefined where it is not held so. */
export function narrowProduct(graph: Graph, x: string, weight: Weight, dtype: OnnxDtype): string | undefined {
  if (weight.shape.length !== 2 || weight.isSlot === true) return undefined
  return dtype === 'q8' ? inBytes(graph, x, weight) : dtype === 'q4' ? inNibbles(graph, x, weight) : undefined
}

/** Rows by index of a table of bytes; undefined where it is not held so. */
export function narrowRows(graph: Graph, ids: string, weight: Weight, dtype: OnnxDtype): string | undefined {
  if (weight.shape.length !== 2 || weight.isSlot === true || (dtype !== 'q8' && dtype !== 'q4')) return undefined
  const [rows = 0] = weight.shape
  const table = graph.weight({ name: rowsOf(weight), dtype: 'uint8', shape: weight.shape, data: async () => bytes(await weight.numbers(), rows).codes })
  const scales = graph.weight({ name: `${weight.name}_row_scales`, dtype: 'float32', shape: [rows, 1], data: async () => bytesOf(bytes(await weight.numbers(), rows).scales) })
  const codes = graph.one('Cast', [graph.one('Gather', [table, ids], { axis: 0n })], { to: BigInt(DATA_TYPES.float32) })
  const centred = graph.one('Sub', [codes, graph.constant('float32', [], [ZERO])])
  return graph.one('Mul', [centred, graph.one('Gather', [scales, ids], { axis: 0n })])
}

function rowsOf({ name }: Weight): string {
  return `${name}_rows`
}

/** By whole numbers on both sides, those of x by one scale that is found as it comes, as onnxruntime's own quantiser has it. */
function inBytes(graph: Graph, x: string, weight: Weight): string {
  const [out = 0, size = 0] = weight.shape
  const rows = graph.initializers.get(rowsOf(weight))?.name // of a table that is the head too
  const matrix = rows !== undefined ? graph.one('Transpose', [rows], { perm: [1n, 0n] }) // as the file is loaded
    : graph.weight({ name: `${weight.name}_quantized`, dtype: 'uint8', shape: [size, out], data: async () => turned(bytes(await weight.numbers(), out).codes, out) })
  const scales = graph.weight({ name: `${weight.name}_scale`, dtype: 'float32', shape: [out], data: async () => bytesOf(bytes(await weight.numbers(), out).scales) })
  const [codes = '', scale = '', zero = ''] = graph.all('DynamicQuantizeLinear', [x], {}, 3)
  const sums = graph.one('MatMulInteger', [codes, matrix, zero, graph.constant('uint8', [], [ZERO])])
  return graph.one('Mul', [graph.one('Cast', [sums], { to: BigInt(DATA_TYPES.float32) }), graph.one('Mul', [scale, scales])])
}

function inNibbles(graph: Graph, x: string, weight: Weight): string {
  const [out = 0, size = 0] = weight.shape
  const blocks = Math.ceil(size / BLOCK)
  const packed = graph.weight({ name: `${weight.name}_Q4`, dtype: 'uint8', shape: [out, blocks, BLOCK / 2], data: async () => nibbles(await weight.numbers(), out).codes })
  const scales = graph.weight({ name: `${weight.name}_scales`, dtype: 'float32', shape: [out * blocks], data: async () => bytesOf(nibbles(await weight.numbers(), out).scales) })
  return graph.one('MatMulNBits', [x, packed, scales], { K: BigInt(size), N: BigInt(out), bits: 4n, block_size: BigInt(BLOCK) }, 'com.microsoft')
}

interface Codes {
  readonly codes: Uint8Array
  readonly scales: Float32Array
}

/** Each row by the largest of its numbers. */
function bytes(numbers: Float32Array, rows: number): Codes {
  const width = numbers.length / rows
  const [codes, scales] = [new Uint8Array(numbers.length), new Float32Array(rows)]
  for (let row = 0; row < rows; row++) {
    const own = numbers.subarray(row * width, (row + 1) * width)
    const scale = Math.fround(own.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / (ZERO - 1)) || 1
    scales[row] = scale
    own.forEach((value, i) => { codes[row * width + i] = Math.round(value / scale) + ZERO })
  }
  return { codes, scales }
}

/** Each block by the number that is farthest from 0, which is −8; two to a byte, the first in the lower half. */
function nibbles(numbers: Float32Array, rows: number): Codes {
  const width = numbers.length / rows
  const blocks = Math.ceil(width / BLOCK)
  const [codes, scales] = [new Uint8Array(rows * blocks * (BLOCK / 2)).fill(ZERO_OF_4 * 17), new Float32Array(rows * blocks)]
  for (let block = 0; block < rows * blocks; block++) {
    const begin = (block % blocks) * BLOCK
    const start = Math.floor(block / blocks) * width
    const own = numbers.subarray(start + begin, start + Math.min(begin + BLOCK, width))
    const least = own.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0)
    const scale = Math.fround(least / -ZERO_OF_4) || 1
    scales[block] = scale
    own.forEach((value, i) => {
      const place = block * (BLOCK / 2) + (i >> 1)
      const code = Math.min(15, Math.max(0, Math.round(value / scale) + ZERO_OF_4))
      codes[place] = i % 2 === 0 ? ((codes[place] ?? 0) & 0xf0) | code : ((codes[place] ?? 0) & 0x0f) | (code << 4)
    })
  }
  return { codes, scales }
}

/** (rows, columns) to (columns, rows) */
function turned(codes: Uint8Array, rows: number): Uint8Array {
  const columns = codes.length / rows
  const result = new Uint8Array(codes.length)
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) result[column * rows + row] = codes[row * columns + column] ?? 0
  return result
}

function halves(numbers: Float32Array): Uint8Array {
  return bytesOf(fromFloat32(numbers, 'F16'))
}
