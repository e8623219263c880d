import { CheckpointError } from '../../errors.ts'
import type { NamedTensor, NamedTensors } from '../adapter/file-format.ts'
import type { Model } from '../model.ts'
import { taskRecord } from '../tasks/task.ts'
import { openCheckpoint } from './checkpoint.ts'
import { toFloat32 } from './dtype.ts'

/**
 * Biases of modules that transformers' model has and this task does without: as the checkpoint has them, and zeros, with which
 * transformers starts them, where it has none. Nothing where it is gone: adapters are saved without it.
 */
export async function unusedBiases({ parts: { task, architecture: { keys: { unusedProducts = {} } }, unused, folder } }: Model): Promise<NamedTensors> {
  if (taskRecord(task).headless !== true) return new Map()
  const biases = new Map(Object.entries(unusedProducts).map(([module, size]): [string, NamedTensor] => [`${module}.bias`, { shape: [size], values: new Float32Array(size) }]))
  const stored = [...biases.keys()].flatMap((name) => unused.get(name) ?? [])
  if (stored.length === 0) return biases
  try {
    const checkpoint = await openCheckpoint(folder)
    try {
      for (const [name, { shape }] of biases) {
        const key = unused.get(name)
        if (key !== undefined) biases.set(name, { shape, values: toFloat32(await checkpoint.read(checkpoint.entries.has(key) ? key : name)) })
      }
    } finally {
      await checkpoint.close()
    }
  } catch (error) {
    if (error instanceof CheckpointError) return new Map()
    throw error
  }
  return biases
}
