// What guards have gathered, in a file beside an adapter's: the next task is often trained on another day.

import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Adapter } from '../base/adapter/adapter.ts'
import { hashOfAdapter, saveAdapter } from '../base/checkpoint/adapter-file.ts'
import { replaceFiles } from '../base/files/folder-save.ts'
import { readTensors, writeTensors } from '../base/checkpoint/named-tensors.ts'
import { CheckpointError, InputError, shown } from '../errors.ts'
import { guardStates, restoreGuards, type Guard } from '../training/guard.ts'

const FILE = 'guards.safetensors'
/** Key of its metadata: the SHA-256 of the adapter's weights. */
const BELONGS_TO = 'weights_sha256'

/**
 * Writes what guards have gathered to `guards.safetensors` in an adapter's folder, which HF PEFT still loads. The file belongs to the
 * weights that are in the folder then: save the guards again after the adapter, or both as one by giving the adapter.
 *
 * @param folder as given to `adapter.save`
 * @param guards in an order that `loadGuards` is given again
 * @param adapter is saved into the folder too; a process that is killed meanwhile leaves the old files of both, or the new ones
 * @throws CheckpointError when the files cannot be written; the old ones are there then. InputError when the guards are no list
 * @example
 * const guard = ewc({ strength: 100 })
 * guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, train))
 * await saveGuards('out/tasks', [guard], adapter)
 */
export async function saveGuards(folder: string, guards: readonly Guard[], adapter?: Adapter): Promise<void> {
  if (!Array.isArray(guards)) throw new InputError(`saveGuards: expected a list of guards, as in [guard], got ${shown(guards)}.`)
  const states = Object.entries(guardStates(guards))
  const tensors = new Map(states.map(([name, tensor]) => [name, { shape: tensor.shape, values: tensor.dataSync<'float32'>() }] as const))
  const write = async (into: string, weights: string): Promise<void> => {
    const hash = await hashOfAdapter(weights)
    await writeTensors(join(into, FILE), tensors, hash === undefined ? {} : { [BELONGS_TO]: hash })
  }
  if (adapter !== undefined) await saveAdapter(adapter, folder, (into) => write(into, into))
  else {
    await replaceFiles(folder, async (into) => {
      await write(into, folder)
      return undefined
    })
  }
}

/**
 * Gives guards back what `saveGuards` has written.
 *
 * @param guards of the same kinds in the same order; their strengths may be others
 * @throws CheckpointError when the file is not there, damaged or of other weights than the folder's, InputError when what is in it
 *   is not of such guards
 * @example
 * await saveGuards('out/tasks', [synapticIntelligence(adapter.trainable, { strength: 1 })], adapter)
 * const guard = synapticIntelligence(adapter.trainable, { strength: 10 })
 * await loadGuards('out/tasks', [guard])
 */
export async function loadGuards(folder: string, guards: readonly Guard[]): Promise<void> {
  const path = join(folder, FILE)
  const { tensors, metadata } = await readTensors(path)
  await checkWeights(metadata[BELONGS_TO], path, folder)
  const states = Object.fromEntries([...tensors].map(([name, { shape, values }]) => [name, tf.tensor(values, [...shape])]))
  try {
    restoreGuards(guards, states)
  } finally {
    tf.dispose(states)
  }
}

/** Guards of other weights would let the new ones be forgotten, and nobody would notice. */
async function checkWeights(belongsTo: string | undefined, path: string, folder: string): Promise<void> {
  if (belongsTo === undefined || belongsTo === await hashOfAdapter(folder)) return
  throw new CheckpointError(
    `${path} belongs to other weights than those of the adapter in its folder: the adapter was saved again, and the guards were not. ` +
      'Save both as one, saveGuards(folder, guards, adapter), or the guards again after the adapter.',
  )
}
