import type { Dataset } from '../../src/data/dataset.ts'

/** All rows of a data set, from one on. */
export async function allRows<T>(dataset: Dataset<T>, from?: number): Promise<T[]> {
  const rows: T[] = []
  for await (const row of dataset.rows(from)) rows.push(row)
  return rows
}
