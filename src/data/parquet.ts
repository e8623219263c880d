import { InputError } from '../errors.ts'
import type { Dataset, Row } from './dataset.ts'

/**
 * Rows of a Parquet file, one row group in memory at a time. 64-bit integers come as numbers where these are exact, as
 * bigint beyond 2^53. Starting at a later row reads nothing of the groups before it.
 *
 * @param columns to read, which spares the others @default all
 * @throws InputError when the file is no Parquet file or lacks a column; what the file system says when it cannot be read
 * @example
 * const rows = parquet('train.parquet', ['text', 'label']).rows()
 */
export function parquet(path: string, columns?: readonly string[]): Dataset {
  return {
    async *rows(from = 0) {
      const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet') // where it is needed: start-up
      const { compressors } = await import('hyparquet-compressors')
      const file = await asyncBufferFromFile(path)
      const metadata = await parquetMetadataAsync(file).catch((cause: unknown) => {
        throw new InputError(`${path}: expected a Parquet file. ${(cause as Error).message}`, [], { cause })
      })
      const has = metadata.schema.map(({ name }) => name)
      const missing = columns?.filter((column) => !has.includes(column)) ?? []
      if (missing.length > 0) throw new InputError(`${path}: no column ${missing.join(', ')}. It has ${has.slice(1).join(', ')}.`)
      let start = 0
      for (const { num_rows } of metadata.row_groups) {
        const end = start + Number(num_rows)
        const options = { file, metadata, compressors, ...(columns === undefined ? {} : { columns: [...columns] }) }
        if (end > from) {
          const rows: Row[] = await parquetReadObjects({ ...options, rowStart: Math.max(start, from), rowEnd: end })
          for (const row of rows) yield exact(row) as Row
        }
        start = end
      }
    },
  }
}

function exact(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(exact)
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, exact(inner)]))
}
