import { CheckpointError, shown } from '../../errors.ts'
import type { Dtype } from './dtype.ts'
import { membersOf, parseStrictJson } from '../files/strict-json.ts'

/** Types of the format that a file may hold but this library does not read. */
export type ForeignDtype =
  | 'U16' | 'U64' | 'C64' | 'F4' | 'F6_E2M3' | 'F6_E3M2'
  | 'F8_E5M2' | 'F8_E4M3' | 'F8_E8M0' | 'F8_E5M2FNUZ' | 'F8_E4M3FNUZ'

/** What the header says of one tensor. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: Dtype | ForeignDtype
  readonly shape: readonly number[]
  readonly byteLength: number
  /** Its last two axes are as the model has them, where the family's checkpoints have them the other way round. @default false */
  readonly turned?: boolean
}

/** A tensor with its place in the file's data section, in bytes. */
export interface PlacedEntry extends TensorEntry {
  readonly begin: number
}

export interface Header {
  readonly entries: ReadonlyMap<string, PlacedEntry>
  readonly metadata: Readonly<Record<string, string>>
}

/** The reference implementation's own limit, in bytes. */
export const maxHeaderBytes = 100_000_000

const bitsPerElement: Readonly<Record<Dtype | ForeignDtype, number>> = {
  F64: 64, F32: 32, F16: 16, BF16: 16, I64: 64, I32: 32, I16: 16, I8: 8, U8: 8, BOOL: 8,
  U16: 16, U32: 32, U64: 64, C64: 64, F4: 4, F6_E2M3: 6, F6_E3M2: 6,
  F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E5M2FNUZ: 8, F8_E4M3FNUZ: 8,
}

/** A file with more findings than this is not worth listing further. */
const maxProblems = 20

/**
 * Reads and checks the JSON header of a safetensors file.
 *
 * @param dataBytes length of the data section that follows the header in the file
 * @throws CheckpointError with every finding when the header is not exactly what the format allows, or does not
 * describe the data section byte for byte
 */
export function parseHeader(path: string, bytes: Uint8Array, dataBytes: number): Header {
  const text = textOf(path, bytes)
  const problems: string[] = []
  const entries = new Map<string, PlacedEntry>()
  const shapes = new Map<string, readonly number[]>() // most tensors share theirs with others
  const metadata = Object.create(null) as Record<string, string>
  try {
    // {"name": {"shape": [1]}} is three levels deep; the format has no more.
    for (const [name, valueText] of membersOf(text, 3)) {
      const value = parseStrictJson(valueText, 2)
      if (problems.length >= maxProblems) continue
      if (name === '__metadata__') {
        if (value !== null) readMetadata(value, metadata, problems) // MLX writes null, which the reference implementation takes
      }
      else {
        const entry = readEntry(name, value, shapes)
        if (typeof entry === 'string') problems.push(`tensor ${shown(name)}: ${entry}`)
        else entries.set(name, entry)
      }
    }
  } catch (cause) {
    throw invalid(path, [`the header is not valid JSON: ${(cause as Error).message}`], cause)
  }
  if (problems.length === 0) checkCover([...entries.values()], dataBytes, problems)
  if (problems.length > 0) throw invalid(path, problems)
  return { entries, metadata }
}

/** The error of a file that is not valid safetensors. */
export function invalid(path: string, problems: readonly string[], cause?: unknown): CheckpointError {
  return new CheckpointError(`${path} is not a valid safetensors file`, problems, cause === undefined ? {} : { cause })
}

function textOf(path: string, bytes: Uint8Array): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw invalid(path, ['the header is not UTF-8'], cause)
  }
  if (!text.startsWith('{')) throw invalid(path, ['the header is not a JSON object: expected { as its first byte'])
  return text
}

function readMetadata(value: unknown, metadata: Record<string, string>, problems: string[]): void {
  if (!isRecord(value)) {
    problems.push('__metadata__: expected an object of strings')
    return
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === 'string') metadata[key] = text
    else problems.push(`__metadata__: ${shown(key)}: expected a string, got ${shown(text)}`)
  }
}

/** The entry, or what is wrong with it. */
function readEntry(name: string, value: unknown, shapes: Map<string, readonly number[]>): PlacedEntry | string {
  if (!isRecord(value)) return `expected an object, got ${shown(value)}`
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !Object.hasOwn(bitsPerElement, dtype)) {
    return `unknown dtype ${dtype === undefined ? 'nothing' : shown(dtype)}: expected one of ${Object.keys(bitsPerElement).join(', ')}`
  }
  if (!isSizes(shape)) return `shape: expected a list of integers from 0 to 2^53, got ${shown(shape)}`
  if (!isSizes(offsets) || offsets.length !== 2) return `data_offsets: expected [begin, end] in bytes, got ${shown(offsets)}`
  const [begin, end] = offsets as [number, number]
  if (begin > end) return `data_offsets: begin ${begin} lies after end ${end}`
  const bits = elementCount(shape) * bitsPerElement[dtype as Dtype | ForeignDtype]
  if (!Number.isSafeInteger(bits)) return `shape [${shape.join(', ')}] is too large to count`
  if (bits !== (end - begin) * 8) {
    return `${dtype} of shape [${shape.join(', ')}] takes ${bits / 8} bytes, but data_offsets [${begin}, ${end}] span ${end - begin}`
  }
  const known = shapes.get(shape.join()) ?? Object.freeze(shape)
  shapes.set(shape.join(), known)
  return { name, dtype: dtype as Dtype | ForeignDtype, shape: known, byteLength: end - begin, begin }
}

/** Every byte of the data section belongs to exactly one tensor. */
function checkCover(entries: readonly PlacedEntry[], dataBytes: number, problems: string[]): void {
  const placed = [...entries].sort((a, b) => a.begin - b.begin || a.byteLength - b.byteLength)
  let covered = 0
  for (const { name, begin, byteLength } of placed) {
    if (begin !== covered && problems.length < maxProblems) {
      const what = begin < covered ? 'overlaps another tensor' : 'leaves a hole before it'
      problems.push(`tensor ${shown(name)}: begins at byte ${begin} and ${what}: expected ${covered}`)
    }
    covered = Math.max(covered, begin + byteLength)
  }
  if (covered > dataBytes) {
    problems.push(`the file is truncated: its tensors take ${covered} bytes, ${dataBytes} are there. Download it again.`)
  } else if (covered < dataBytes) {
    problems.push(`${dataBytes - covered} bytes after the last tensor belong to none`)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0))
}

/** Product of a shape; not a safe integer when it overflows on the way. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const size of shape) {
    count *= size
    if (!Number.isSafeInteger(count)) return Infinity
  }
  return count
}
