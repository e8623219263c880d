// Rows of numbers by a key, in memory as long as there is room for them, and then in a file.

import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromFloat32, toFloat32 } from '../checkpoint/dtype.ts'

/** How rows are kept. */
export interface RowStoreOptions {
  /** Bytes of rows in memory; those beyond go into a file. */
  readonly memory: number
  readonly dtype: 'float32' | 'bfloat16'
  /** Where the file is. */
  readonly folder: string
}

/** Where memory, and files, usually are. */
export const ROW_STORE: RowStoreOptions = { memory: 2 ** 30, dtype: 'float32', folder: tmpdir() }

type Numbers = Float32Array | Uint16Array

/** In memory, or at a place of the file. */
type Entry = Numbers | { readonly offset: number; readonly bytes: number }

export class RowStore {
  readonly #options: RowStoreOptions
  readonly #rows = new Map<string, Entry>()
  #inMemory = 0
  #file: FileHandle | undefined
  /** Bytes in the file. */
  #end = 0

  constructor(options: RowStoreOptions) {
    this.#options = options
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  /** Rows are written one after the other: wait for one before the next. @param row is copied */
  async put(key: string, row: Float32Array): Promise<void> {
    const { memory, dtype } = this.#options
    const numbers = dtype === 'float32' ? row.slice() : (fromFloat32(row, 'BF16') as Uint16Array)
    if (this.#inMemory + numbers.byteLength <= memory) {
      this.#inMemory += numbers.byteLength
      this.#rows.set(key, numbers)
      return
    }
    this.#file ??= await this.#open()
    const [offset, bytes] = [this.#end, numbers.byteLength]
    const { bytesWritten } = await this.#file.write(new Uint8Array(numbers.buffer, numbers.byteOffset, bytes), 0, bytes, offset)
    if (bytesWritten < bytes) throw new Error(`${this.#options.folder}: there is no room for more rows.`)
    this.#end += bytes
    this.#rows.set(key, { offset, bytes })
  }

  /** @returns undefined where one of them is not there */
  async get(keys: readonly string[]): Promise<readonly Float32Array[] | undefined> {
    const entries = keys.flatMap((key) => this.#rows.get(key) ?? [])
    return entries.length < keys.length ? undefined : await Promise.all(entries.map((entry) => this.#read(entry)))
  }

  async close(): Promise<void> {
    this.#rows.clear()
    await this.#file?.close()
  }

  async #read(entry: Entry): Promise<Float32Array> {
    let numbers = entry
    if ('offset' in numbers) {
      const { offset, bytes } = numbers
      const read = new Uint8Array(bytes)
      const found = await this.#file?.read(read, 0, bytes, offset)
      if (found?.bytesRead !== bytes) throw new Error(`${this.#options.folder}: rows that were kept there cannot be read any more.`)
      numbers = this.#options.dtype === 'float32' ? new Float32Array(read.buffer) : new Uint16Array(read.buffer)
    }
    return numbers instanceof Float32Array ? numbers : toFloat32({ dtype: 'BF16', shape: [numbers.length], data: numbers })
  }

  /** A file that has no name any more: it is gone with the process, however that ends. */
  async #open(): Promise<FileHandle> {
    const folder = await mkdtemp(join(this.#options.folder, 'tfjs-peft-'))
    const file = await open(join(folder, 'rows'), 'w+')
    await rm(folder, { recursive: true })
    return file
  }
}
