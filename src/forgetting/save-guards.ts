// What guards have gathered, in a file beside an adapter's: the next task is often trained on another day.

import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { readTensors, writeTensors } from '../base/io/named-tensors.ts'
import { guardStates, restoreGuards } from '../training/guarded.ts'
import type { Guard } from './guard.ts'

const FILE = 'guards.safetensors'

/**
 * Writes what guards have gathered to `guards.safetensors` in an adapter's folder, which HF PEFT still loads.
 *
 * @param folder as given to `adapter.save`; it has to be there
 * @param guards in an order that `loadGuards` is given again
 * @example
 * const guard = ewc({ strength: 100 })
 * guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, train))
 * await adapter.save('out/tasks')
 * await saveGuards('out/tasks', [guard])
 */
export async function saveGuards(folder: string, guards: readonly Guard[]): Promise<void> {
  const states = Object.entries(guardStates(guards))
  const tensors = new Map(await Promise.all(states.map(async ([name, tensor]) =>
    [name, { shape: tensor.shape, values: await tensor.data<'float32'>() }] as const)))
  await writeTensors(join(folder, FILE), tensors)
}

/**
 * Gives guards back what `saveGuards` has written.
 *
 * @param guards of the same kinds in the same order; their strengths may be others
 * @throws CheckpointError when the file is not there or damaged, InputError when what is in it is not of such guards
 * @example
 * await adapter.save('out/tasks')
 * await saveGuards('out/tasks', [synapticIntelligence(adapter.trainable, { strength: 1 })])
 * const guard = synapticIntelligence(adapter.trainable, { strength: 10 })
 * await loadGuards('out/tasks', [guard])
 */
export async function loadGuards(folder: string, guards: readonly Guard[]): Promise<void> {
  const read = await readTensors(join(folder, FILE))
  const states = Object.fromEntries([...read].map(([name, { shape, values }]) => [name, tf.tensor(values, [...shape])]))
  try {
    restoreGuards(guards, states)
  } finally {
    tf.dispose(states)
  }
}
