// How a Parquet file becomes rows. It runs in a thread of its own (parquet-worker.ts).

import { open, type FileHandle } from 'node:fs/promises'
import type { AsyncBuffer, FileMetaData, SchemaElement } from 'hyparquet'
import { isPointer, POINTER, POINTER_BYTES } from '../base/files/git-lfs.ts'
import { InputError, shown } from '../errors.ts'
import type { Row } from './dataset.ts'

/** Rows that go to the reader of the data set together. */
const PART = 256

/**
 * The rows from number `from` on, some at a time; one row group is in memory, column by column.
 *
 * @throws InputError without the file's name, for a file that is not what the format says, or lacks a column
 */
export async function* readParquet(path: string, columns: readonly string[] | undefined, from: number): AsyncGenerator<Row[], void> {
  const handle = await open(path)
  try {
    const file = await bufferOf(handle)
    if (isPointer(new Uint8Array(await file.slice(0, Math.min(POINTER_BYTES, file.byteLength))))) throw new InputError(POINTER)
    const { parquetMetadataAsync, parquetScan } = await import('hyparquet') // where it is needed: start-up
    const { compressors } = await import('hyparquet-compressors')
    const metadata = await damageTold('expected a Parquet file', () => parquetMetadataAsync(file, { geoparquet: false }))
    for (const element of metadata.schema) annotate(element)
    const names = await damageTold('expected a Parquet file', () => columnNames(metadata, columns))
    checkGroups(metadata, file.byteLength)
    const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => bytes && utf8.decode(bytes) }
    const scan = await damageTold('expected a Parquet file', () => parquetScan({ file, metadata, compressors, columns: [...names], utf8: false, parsers, useOffsetIndex: false }))
    const readColumn = async (column: string, rowStart: number, rowEnd: number): Promise<ArrayLike<unknown>> => {
      const values = await scan.readColumn({ column, rowStart, rowEnd })
      if (values.length !== rowEnd - rowStart) throw new Error(`it has ${values.length} values for ${rowEnd - rowStart} rows`)
      return values as ArrayLike<unknown>
    }
    let start = 0
    for (const [index, { num_rows }] of metadata.row_groups.entries()) {
      const end = start + Number(num_rows)
      if (end > from) {
        const read: ArrayLike<unknown>[] = []
        for (const name of names) read.push(await damageTold(`row group ${index + 1}: column ${shown(name)} cannot be read`, () => readColumn(name, start, end)))
        for (let row = Math.max(from - start, 0); row < end - start; row += PART) {
          yield Array.from({ length: Math.min(PART, end - start - row) }, (_, i) => Object.fromEntries(names.map((name, c) => [name, plain(read[c]?.[row + i])])))
        }
      }
      start = end
    }
  } finally {
    await handle.close()
  }
}

/** The library's own errors are of all kinds: which part of the file they came from is what a user can act on. */
async function damageTold<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof InputError) throw cause
    throw new InputError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}. The file is damaged or of a kind that is not supported; download it again.`)
  }
}

/** A file the library reads pieces of; it is not asked for what lies outside. */
async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat()
  return {
    byteLength: size,
    slice: async (begin, end = size) => {
      if (!(Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin <= end && end <= size)) throw new Error(`it refers to bytes ${begin} to ${end} of ${size}`)
      const bytes = new Uint8Array(end - begin)
      for (let done = 0; done < bytes.length;) {
        const { bytesRead } = await handle.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), begin + done)
        if (bytesRead === 0) throw new Error('it became shorter while it was read')
        done += bytesRead
      }
      return bytes.buffer
    },
  }
}

/** What a column holds is said in two ways, of which the library reads the older one in part and the newer one in part. */
function annotate(element: SchemaElement): void {
  const { logical_type: type, converted_type: older } = element
  if (older === 'ENUM' || (older === undefined && type?.type === 'ENUM')) element.converted_type = 'UTF8'
  else if (older === undefined && (type?.type === 'JSON' || type?.type === 'DATE')) element.converted_type = type.type
  else if (older === undefined && type?.type === 'DECIMAL') Object.assign(element, { converted_type: 'DECIMAL', scale: type.scale, precision: type.precision })
}

async function columnNames(metadata: FileMetaData, columns: readonly string[] | undefined): Promise<readonly string[]> {
  const { parquetSchema } = await import('hyparquet')
  const has = parquetSchema(metadata).children.map(({ element }) => element.name)
  const twice = has.filter((name, i) => has.indexOf(name) !== i)
  if (twice.length > 0) throw new InputError(`expected columns of different names, got ${[...new Set(twice)].map(shown).join(', ')} more than once.`)
  const missing = columns?.filter((column) => !has.includes(column)) ?? []
  if (missing.length > 0) throw new InputError(`no column ${missing.join(', ')}. It has ${has.join(', ')}.`)
  return columns ?? has
}

/** Numbers that lead the reading: a wrong one would have it count for ever. */
function checkGroups({ row_groups: groups, num_rows }: FileMetaData, size: number): void {
  const problems: string[] = []
  let rows = 0n
  for (const [i, group] of groups.entries()) {
    rows += group.num_rows
    if (group.num_rows < 0n || group.num_rows > BigInt(Number.MAX_SAFE_INTEGER)) problems.push(`row group ${i + 1} counts ${group.num_rows} rows`)
    for (const { meta_data: data } of group.columns) {
      if (data === undefined) continue
      const begin = data.dictionary_page_offset === undefined || data.dictionary_page_offset === 0n ? data.data_page_offset : data.dictionary_page_offset
      const where = `row group ${i + 1}: column ${shown(data.path_in_schema.join('.'))}`
      if (begin < 0n || data.total_compressed_size < 0n || begin + data.total_compressed_size > BigInt(size)) problems.push(`${where} lies outside the file`)
      if (data.num_values < group.num_rows) problems.push(`${where} has ${data.num_values} values for ${group.num_rows} rows`)
    }
  }
  if (rows !== num_rows) problems.push(`it counts ${num_rows} rows, its row groups ${rows}`)
  if (problems.length > 0) throw new InputError('the Parquet file is damaged; download it again:', problems)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** 64-bit integers as numbers where these are exact; bytes apart from the page they lie in, which would go along to the other thread. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Uint8Array) return value.slice()
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}
