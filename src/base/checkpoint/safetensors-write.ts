import type { FileHandle } from 'node:fs/promises'
import { InputError } from '../../errors.ts'
import { writeAtomic } from '../files/atomic.ts'
import { bytesOf, bytesPerElement, holds, isDtype } from './dtype.ts'
import type { Dtype, TensorArray } from './dtype.ts'
import { elementCount, maxHeaderBytes } from './safetensors-header.ts'

/** A tensor on its way into a file. */
export interface TensorToWrite {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** The values, or a function that makes them when their turn comes, so that one tensor at a time is in memory. */
  readonly data: TensorArray | (() => TensorArray | Promise<TensorArray>)
}

/** The reference implementation's order in the file: this order of types, and names by their UTF-8 bytes within one. */
const dtypeOrder: readonly Dtype[] = ['I64', 'F64', 'F32', 'U32', 'I32', 'BF16', 'F16', 'I16', 'I8', 'U8', 'BOOL']

/**
 * Writes a safetensors file, byte for byte as the reference implementation writes the same content. The file appears
 * under its name only when it is whole; on failure the old one stays.
 *
 * @param metadata strings to keep in the header, in the order given; HF libraries expect `{ format: 'pt' }`
 * @throws InputError with every name, shape or array that does not fit
 * @example
 * await writeSafetensors('adapter_model.safetensors',
 *   [{ name: 'lora_A.weight', dtype: 'F32', shape: [8, 768], data: new Float32Array(8 * 768) }], { format: 'pt' })
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = Array.from(tensors, (tensor) => ({ tensor, utf8: Buffer.from(tensor.name) }))
    .sort((a, b) => dtypeOrder.indexOf(a.tensor.dtype) - dtypeOrder.indexOf(b.tensor.dtype) || Buffer.compare(a.utf8, b.utf8))
    .map(({ tensor }) => tensor)
  check(path, sorted, metadata)
  const header = encodeHeader(sorted, metadata)
  if (header.length - 8 > maxHeaderBytes) throw new InputError(`${path}: the names take ${header.length - 8} bytes of header, the format allows ${maxHeaderBytes}`)
  await writeAtomic(path, async (handle) => {
    await writeFully(handle, header)
    for (const tensor of sorted) {
      const data = typeof tensor.data === 'function' ? await tensor.data() : tensor.data
      const problem = dataProblem(tensor, data)
      if (problem !== undefined) throw new InputError(`${path} cannot be written: ${problem}`)
      await writeFully(handle, bytesOf(data))
    }
  })
}

function check(path: string, tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): void {
  const problems: string[] = []
  const names = new Set<string>()
  for (const tensor of tensors) {
    const { name, data } = tensor
    if (name === '__metadata__' || name === '__proto__') problems.push(`a tensor cannot be named ${name}`)
    if (!isWellFormed(name)) problems.push(`tensor ${JSON.stringify(name)}: the name is not well-formed Unicode`)
    if (names.has(name)) problems.push(`tensor ${JSON.stringify(name)} is given twice`)
    names.add(name)
    const problem = headProblem(tensor) ?? (typeof data === 'function' ? undefined : dataProblem(tensor, data))
    if (problem !== undefined) problems.push(problem)
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (key === '__proto__' || !isWellFormed(key)) problems.push(`metadata ${JSON.stringify(key)}: the name is not accepted`)
    if (typeof value !== 'string' || !isWellFormed(value)) problems.push(`metadata ${JSON.stringify(key)}: expected well-formed text`)
  }
  if (problems.length > 0) throw new InputError(`${path} cannot be written`, problems)
}

function headProblem({ name, dtype, shape }: TensorToWrite): string | undefined {
  if (!isDtype(dtype)) return `tensor ${JSON.stringify(name)}: expected a dtype of ${dtypeOrder.join(', ')}, got ${String(dtype)}`
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0) || !Number.isSafeInteger(elementCount(shape) * 8)) {
    return `tensor ${JSON.stringify(name)}: expected a shape of integers from 0, got [${shape.join(', ')}]`
  }
  return undefined
}

function dataProblem({ name, dtype, shape }: TensorToWrite, data: TensorArray): string | undefined {
  if (holds(data, dtype) && data.length === elementCount(shape)) return undefined
  return `tensor ${JSON.stringify(name)}: expected ${elementCount(shape)} values in the array for ${dtype}, got a ${data.constructor.name} of ${data.length}`
}

/** Eight bytes of length, then JSON padded with spaces so that the data starts on a multiple of 8. */
function encodeHeader(tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Buffer {
  const parts = Object.keys(metadata).length === 0 ? [] : [`"__metadata__":${JSON.stringify(metadata)}`]
  let end = 0
  for (const { name, dtype, shape } of tensors) {
    const begin = end
    end += elementCount(shape) * bytesPerElement(dtype)
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`)
  }
  const json = Buffer.from(`{${parts.join(',')}}`)
  const padded = Math.ceil(json.length / 8) * 8
  const header = Buffer.alloc(8 + padded, ' ')
  header.writeBigUInt64LE(BigInt(padded))
  json.copy(header, 8)
  return header
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

/** Linux writes at most 2^31 - 4096 bytes at once. */
const chunkBytes = 2 ** 30

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    done += (await handle.write(bytes, done, Math.min(bytes.length - done, chunkBytes))).bytesWritten
  }
}
