// The gradients of a step that several workers share: the sums of all, divided once by what counts on all of them.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { NOTHING_COUNTS } from '../base/tasks/losses.ts'
import { InputError, TrainingError } from '../errors.ts'
import { gradSums } from './accumulate.ts'
import { withPenalties, type TaskGrads, type TaskStep } from './step.ts'
import { shareOf } from './share.ts'
import { asError, gather, type Workers } from './workers.ts'

/** What a worker says beside its gradients. */
const [GOES_ON, STOPS, FAILED] = [0, 1, 2] as const

/** A step's gradients, and who asks for it to be the last. */
export interface SharedGrads extends TaskGrads {
  readonly stopping: readonly number[]
}

/**
 * The mean gradients over all workers' rows, the same on each, with the guards' penalties: guards see the batches as they are, so
 * that what they add is the same on all. The caller disposes them.
 *
 * @param asks this worker asks for the training to end behind this step
 * @throws TrainingError naming the worker that failed, on all others
 */
export async function sharedGradsOf(task: TaskStep, workers: Workers, asks: boolean): Promise<SharedGrads> {
  const { trainable } = task
  const names = Object.keys(trainable)
  const size = names.reduce((sum, name) => sum + (trainable[name]?.size ?? 0), 0)
  const numbers = new Float32Array(size + 2 + workers.count)
  let failure: Error | undefined
  try {
    await computeShare(task, workers, names, numbers)
  } catch (error) {
    failure = asError(error)
    numbers.fill(0)
  }
  const word = failure !== undefined ? FAILED : asks ? STOPS : GOES_ON
  numbers[size + 2 + workers.rank] = word
  await workers.sum(numbers)
  const [loss = NaN, weight = NaN, ...words] = numbers.subarray(size)
  if (words.includes(FAILED)) await explainFailure(workers, failure)
  if (weight === 0) throw new InputError(NOTHING_COUNTS)
  let place = 0
  const grads: Record<string, Tensor> = tf.tidy(() => Object.fromEntries(names.map((name) => {
    const shape = trainable[name]?.shape ?? []
    const end = place + tf.util.sizeFromShape(shape)
    const mean = tf.mul(tf.tensor(numbers.slice(place, end), shape, 'float32'), 1 / weight)
    place = end
    return [name, mean]
  })))
  const stopping = words.flatMap((said, rank) => (said === STOPS ? [rank] : []))
  return { ...withPenalties(task.guards, task, grads), loss: tf.scalar(loss / weight), stopping }
}

/** Gradients, loss and weight of this worker's rows, one behind the other; zeros where it has none. */
async function computeShare(task: TaskStep, workers: Workers, names: readonly string[], numbers: Float32Array): Promise<void> {
  const { model, batches, trainable, options, shallow } = task
  const shares = batches.flatMap((batch) => shareOf(batch, workers) ?? [])
  if (shares.length === 0) return
  const { loss, grads, weight } = gradSums(shares, (batch) => (shallow?.model ?? model).lossParts(batch, options()), trainable, shallow?.idle)
  try {
    let place = 0
    for (const tensor of [...names.map((name) => grads[name] as Tensor), loss]) { // of the same names
      numbers.set(await tensor.data<'float32'>(), place)
      place += tensor.size
    }
    numbers[place] = weight
  } finally {
    tf.dispose([loss, grads])
  }
}

async function explainFailure(workers: Workers, failure: Error | undefined): Promise<never> {
  const told = await gather(workers, failure?.message ?? null)
  if (failure !== undefined) throw failure
  throw new TrainingError('The training ended, because workers failed:', told.flatMap((text, rank) => (text === null ? [] : [`worker ${rank}: ${text}`])))
}
