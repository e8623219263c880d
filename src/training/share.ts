import { takeRows } from '../base/batch.ts'
import type { PaddedBatch } from './batches.ts'
import type { Workers } from './workers.ts'

/**
 * A worker's rows of a batch: each `count`th, so that long and short ones are shared alike. Undefined where the batch has none for it.
 */
export function shareOf(batch: PaddedBatch, { rank, count }: Pick<Workers, 'rank' | 'count'>): PaddedBatch | undefined {
  const rows = Array.from({ length: batch.batch }, (_, row) => row).filter((row) => row % count === rank)
  return rows.length === 0 ? undefined : takeRows(batch, rows)
}
