import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { CheckpointError, shown } from '../../errors.ts'
import type { Room } from '../engine/native.ts'
import { isPointer, POINTER, POINTER_BYTES } from '../files/git-lfs.ts'
import { allocate, bytesOf, bytesPerElement, fromFloat32, isDtype } from './dtype.ts'
import type { TensorData } from './dtype.ts'
import { invalid, maxHeaderBytes, parseHeader } from './safetensors-header.ts'
import type { TensorEntry } from './safetensors-header.ts'

export type { TensorEntry } from './safetensors-header.ts'
export type { Dtype, TensorArray, TensorData } from './dtype.ts'
export { writeSafetensors } from './safetensors-write.ts'
export type { TensorToWrite } from './safetensors-write.ts'

/** An open safetensors file: its header is in memory, its tensors are read one by one. */
export interface SafetensorsFile {
  readonly path: string
  /** Every tensor of the file by name, in the header's order. */
  readonly entries: ReadonlyMap<string, TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
  /**
   * One tensor, read into an array of its own, exactly its size.
   * @param rounded F32 becomes BF16, to nearest with ties to even, a piece at a time: it is never in memory as a whole
   * @param room where the array is to be. Default: by itself
   * @throws CheckpointError when the file has no such tensor, its type is not one this library reads, or the disk fails
   */
  read(name: string, rounded?: boolean, room?: Room): Promise<TensorData>
  /** Gives the file back to the system; a second call does nothing. */
  close(): Promise<void>
}

/**
 * Opens a safetensors file and checks its header against the file's length; no tensor is read yet.
 *
 * @throws CheckpointError naming the file, the tensor and the reason for every way in which the file is not valid
 * @example
 * const file = await openSafetensors('model.safetensors')
 * for (const { name, dtype, shape } of file.entries.values()) console.log(name, dtype, shape)
 * const { data } = await file.read('pooler.dense.weight')
 * await file.close()
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const { handle, size } = await openRegularFile(path)
  try {
    const headerBytes = await readHeader(path, handle, size)
    const dataStart = 8 + headerBytes.length
    const { entries, metadata } = parseHeader(path, headerBytes, size - dataStart)
    let closed: Promise<void> | undefined
    return {
      path,
      entries,
      metadata,
      async read(name, rounded = false, room) {
        const entry = entries.get(name)
        if (entry === undefined) throw new CheckpointError(`${path} has no tensor ${shown(name)}`)
        const { dtype, shape, byteLength, begin } = entry
        if (!isDtype(dtype)) {
          throw new CheckpointError(`${path}: tensor ${shown(name)} has dtype ${dtype}, which cannot be read. Convert it to F32, F16 or BF16 first.`)
        }
        if (closed !== undefined) throw new CheckpointError(`${path} is closed: tensor ${shown(name)} cannot be read any more`)
        const type = rounded && dtype === 'F32' ? 'BF16' : dtype
        const data = allocateFor(path, name, () => allocate(type, byteLength / bytesPerElement(dtype), room))
        if (type === dtype) await readFully(path, handle, bytesOf(data), dataStart + begin)
        else await readRounded(path, handle, data as Uint16Array, dataStart + begin)
        return { dtype: type, shape, data }
      },
      close: () => (closed ??= handle.close()),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function openRegularFile(path: string): Promise<{ handle: FileHandle; size: number }> {
  try {
    const status = await stat(path) // before open: opening a pipe would wait for a writer
    if (!status.isFile()) throw new CheckpointError(`${path}: expected a safetensors file, got ${status.isDirectory() ? 'a folder' : 'something that is no file'}`)
    return { handle: await open(path, 'r'), size: status.size }
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
    throw new CheckpointError(`${path} cannot be opened: ${(cause as Error).message}`, [], { cause })
  }
}

async function readHeader(path: string, handle: FileHandle, size: number): Promise<Uint8Array> {
  if (size < 8) throw invalid(path, [`expected 8 bytes with the header's length, the file has ${size}`])
  const prefix = new BigUint64Array(1)
  await readFully(path, handle, new Uint8Array(prefix.buffer), 0)
  const length = prefix[0] as bigint
  const begin = new Uint8Array(Math.min(size, POINTER_BYTES))
  if (length > BigInt(size - 8)) await readFully(path, handle, begin, 0)
  if (isPointer(begin)) throw new CheckpointError(`${path}: ${POINTER}`)
  if (length > BigInt(maxHeaderBytes)) throw invalid(path, [`header length ${length} is over the format's limit of ${maxHeaderBytes} bytes`])
  if (length > BigInt(size - 8)) throw invalid(path, [`header length ${length} runs past the end of the file (${size} bytes)`])
  const header = new Uint8Array(Number(length))
  await readFully(path, handle, header, 8)
  return header
}

/** A tensor can be larger than the longest array Node makes. */
function allocateFor<T>(path: string, name: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw new CheckpointError(`${path}: tensor ${shown(name)} does not fit in memory: ${(cause as Error).message}`, [], { cause })
  }
}

/** Parts of a tensor are read at once, by several of Node's threads, if they have at least so many bytes. */
const parts = 4
const partBytes = 2 ** 20
/** Linux reads at most 2^31 - 4096 bytes at once. */
const chunkBytes = 2 ** 30

async function readFully(path: string, handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  const length = Math.min(chunkBytes, Math.max(partBytes, Math.ceil(bytes.length / parts)))
  const starts = Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => i * length)
  await Promise.all(starts.map((start) => readPart(path, handle, bytes.subarray(start, start + length), position + start)))
}

async function readPart(path: string, handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    let bytesRead: number
    try {
      ({ bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done))
    } catch (cause) {
      throw new CheckpointError(`${path} cannot be read: ${(cause as Error).message}`, [], { cause })
    }
    if (bytesRead === 0) throw new CheckpointError(`${path} became shorter while it was read: expected ${bytes.length} bytes at ${position}, got ${done}`)
    done += bytesRead
  }
}

/** Numbers of a piece: enough for a disk, and little beside a model. */
const pieceNumbers = 2 ** 20

async function readRounded(path: string, handle: FileHandle, to: Uint16Array, position: number): Promise<void> {
  const piece = new Float32Array(Math.min(to.length, pieceNumbers))
  for (let i = 0; i < to.length; i += piece.length) {
    const floats = piece.subarray(0, to.length - i)
    await readFully(path, handle, bytesOf(floats), position + 4 * i)
    to.set(fromFloat32(floats, 'BF16'), i)
  }
}
