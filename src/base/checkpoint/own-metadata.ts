// What config.json and adapter_config.json have no field for, in the metadata of weights: other libraries pass over it there.

import { CheckpointError, shown } from '../../errors.ts'
import type { Merged } from '../adapter/merged.ts'
import type { Pooling } from '../architecture.ts'

const POOLINGS: readonly string[] = ['pooler', 'mean', 'cls', 'last'] satisfies Pooling[]
const isPooling = (text: string): text is Pooling => POOLINGS.includes(text)

/** @throws CheckpointError when it is none */
export function readPooling(pooling: string | undefined, file: string): Pooling | undefined {
  if (pooling === undefined || isPooling(pooling)) return pooling
  throw new CheckpointError(`${file}: pooling, in its metadata: expected ${POOLINGS.join(', ')}, got ${shown(pooling)}`)
}

export async function mergedField(merged: readonly Merged[]): Promise<{ readonly merged?: string }> {
  return merged.length === 0 ? {} : { merged: (await Promise.all(merged.map(({ print }) => print))).join(' ') }
}

export function readMerged(text = ''): readonly string[] {
  return text.split(' ').filter((print) => print !== '')
}
