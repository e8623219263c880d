// The file format of llama.cpp: settings, then where each tensor is, then the tensors. Source: ggml's docs/gguf.md, version 3

import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CheckpointError } from '../../errors.ts'
import { writeAtomic } from '../../base/files/atomic.ts'
import { TYPES, type GgufDtype } from './blocks.ts'

/** A setting with its type. */
export type Value =
  | readonly ['u32', number] | readonly ['f32', number] | readonly ['bool', boolean] | readonly ['text', string]
  | readonly ['texts', readonly string[]] | readonly ['i32s', readonly number[]] | readonly ['f32s', readonly number[]]

export type Settings = Readonly<Record<string, Value>>

/** A tensor on its way into a file. */
export interface GgufTensor {
  readonly name: string
  readonly dtype: GgufDtype
  /** The last axis is the one whose numbers lie side by side. */
  readonly shape: readonly number[]
  /** Its numbers, made when their turn comes, so that those of one tensor at a time are in memory. */
  readonly numbers: () => Promise<Float32Array>
}

const VERSION = 3
/** Each tensor begins at a multiple of so many bytes. */
const ALIGNMENT = 32

const CODES = { u32: 4, f32: 6, bool: 7, text: 8, list: 9 } as const
const LISTS = { texts: CODES.text, i32s: 5, f32s: CODES.f32 } as const

/**
 * Writes a file, which appears under its name when it is whole.
 *
 * @throws CheckpointError where there is no room for it
 */
export async function writeGguf(path: string, settings: Settings, tensors: readonly GgufTensor[]): Promise<void> {
  const sizes = tensors.map(({ dtype, shape }) => (count(shape) / TYPES[dtype].numbers) * TYPES[dtype].bytes)
  const head = headOf(settings, tensors, sizes)
  const total = head.length + sizes.reduce((sum, size) => sum + padded(size), 0)
  await checkRoom(path, total)
  await writeAtomic(path, async (handle) => {
    await handle.writeFile(head)
    for (const [i, { dtype, numbers }] of tensors.entries()) {
      await handle.writeFile(TYPES[dtype].encode(await numbers()))
      const size = sizes[i] ?? 0
      if (padded(size) > size) await handle.writeFile(new Uint8Array(padded(size) - size))
    }
  })
}

async function checkRoom(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path))
  if (bytes <= bavail * bsize) return
  const inMegabytes = (size: number): string => `${Math.ceil(size / 1e6)} MB`
  throw new CheckpointError(`${path} cannot be written: it takes ${inMegabytes(bytes)}, and ${inMegabytes(bavail * bsize)} are free there. ` +
    "Make room, choose another folder, or hold the weights in fewer bits: { dtype: 'Q8_0' }.")
}

function headOf(settings: Settings, tensors: readonly GgufTensor[], sizes: readonly number[]): Uint8Array {
  const entries = Object.entries(settings)
  const parts = [Buffer.from('GGUF'), u32(VERSION), u64(tensors.length), u64(entries.length)]
  for (const [key, value] of entries) parts.push(text(key), ...encoded(value))
  let offset = 0
  for (const [i, { name, dtype, shape }] of tensors.entries()) {
    parts.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(TYPES[dtype].code), u64(offset))
    offset += padded(sizes[i] ?? 0)
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat(parts, padded(length))
}

function encoded([type, value]: Value): Buffer[] {
  if (type === 'u32') return [u32(CODES.u32), u32(value)]
  if (type === 'f32') return [u32(CODES.f32), f32(value)]
  if (type === 'bool') return [u32(CODES.bool), Buffer.of(value ? 1 : 0)]
  if (type === 'text') return [u32(CODES.text), text(value)]
  const begin = [u32(CODES.list), u32(LISTS[type]), u64(value.length)]
  if (type === 'texts') return [...begin, ...value.map(text)]
  return [...begin, Buffer.from((type === 'i32s' ? Int32Array.from(value) : Float32Array.from(value)).buffer)]
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}

function u32(value: number): Buffer {
  return Buffer.from(Uint32Array.of(value).buffer)
}

function f32(value: number): Buffer {
  return Buffer.from(Float32Array.of(value).buffer)
}

function u64(value: number): Buffer {
  return Buffer.from(BigUint64Array.of(BigInt(value)).buffer)
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}
