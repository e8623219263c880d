// What the files of all adapters are made of.

import type { NamedTensor, NamedTensors } from '../adapter/file-format.ts'
import { toFloat32 } from './dtype.ts'
import { openSafetensors, writeSafetensors } from './safetensors.ts'

/** Every tensor of a safetensors file, as float32, and its metadata. */
export async function readTensors(path: string): Promise<{ readonly tensors: NamedTensors; readonly metadata: Readonly<Record<string, string>> }> {
  const file = await openSafetensors(path)
  try {
    const tensors = new Map<string, NamedTensor>()
    for (const [key, { shape }] of file.entries) tensors.set(key, { shape, values: toFloat32(await file.read(key)) })
    return { tensors, metadata: file.metadata }
  } finally {
    await file.close()
  }
}

/** @param metadata beside the format */
export async function writeTensors(path: string, tensors: NamedTensors, metadata: Readonly<Record<string, string>> = {}): Promise<void> {
  const listed = [...tensors].map(([name, { shape, values }]) => ({ name, dtype: 'F32' as const, shape, data: values }))
  await writeSafetensors(path, listed, { format: 'pt', ...metadata })
}

/** Python's writers sort the keys of their settings. */
export function sortKeys(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** An adapter's files, not yet attached to anything. */
export interface AdapterFile {
  readonly config: Readonly<Record<string, unknown>>
  /** By the file's own keys. */
  readonly tensors: NamedTensors
  /** Its file of weights, and the metadata in that. */
  readonly weights: string
  readonly metadata: Readonly<Record<string, string>>
}
