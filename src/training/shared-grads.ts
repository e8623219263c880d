// The gradients of a step that several workers share: the sums of all, divided once by what counts on all of them.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { NOTHING_COUNTS } from '../base/tasks/losses.ts'
import { InputError, TrainingError } from '../errors.ts'
import { gradSums } from './accumulate.ts'
import { reduction, type Reduction } from './reduction.ts'
import { withPenalties, type TaskGrads, type TaskStep } from './step.ts'
import { shareOf } from './share.ts'
import { asError, gather, type Workers } from './workers.ts'

/** What a worker says beside its gradients. */
const [GOES_ON, STOPS, FAILED] = [0, 1, 2] as const

/** Norms of one step's gradients on two workers, as shares of one: what is further apart is not rounding. */
const APART = 0.01

/** What a worker tells the others beside its gradients. */
export interface Told {
  /** It asks for the training to end behind this step. */
  readonly asks: boolean
  /** Norm of the gradients, with the guards' penalties, of its step before. */
  readonly norm: number
}

/** A step's gradients, and who asks for it to be the last. */
export interface SharedGrads extends TaskGrads {
  readonly stopping: readonly number[]
}

/** Gives the gradients of a step over all workers. */
export type SharedStep = (task: TaskStep, told: Told) => Promise<SharedGrads>

/** For the steps of a training of these tensors. */
export function sharedSteps(workers: Workers, trainable: TaskStep['trainable']): SharedStep {
  const sums = reduction(workers, trainable, 2 + 2 * workers.count)
  return (task, told) => sharedGradsOf(task, workers, sums, told)
}

/**
 * The mean gradients over all workers' rows, the same on each, with the guards' penalties: guards see the batches as they are, so
 * that what they add is the same on all. The caller disposes them.
 *
 * @throws TrainingError naming the worker that failed, on all others; on all, where the step before was another on some
 */
async function sharedGradsOf(task: TaskStep, workers: Workers, sums: Reduction, { asks, norm }: Told): Promise<SharedGrads> {
  const { trainable } = task
  let own: readonly [loss: number, weight: number] = [0, 0]
  let failure: Error | undefined
  try {
    own = await computeShare(task, workers, sums)
  } catch (error) {
    failure = asError(error)
  }
  const said = failure !== undefined ? FAILED : asks ? STOPS : GOES_ON
  const atOwnPlace = (number: number): number[] => Array.from({ length: workers.count }, (_, rank) => (rank === workers.rank ? number : 0))
  const [loss = NaN, weight = NaN, ...told] = await sums.finish([...own, ...atOwnPlace(said), ...atOwnPlace(norm)])
  const words = told.slice(0, workers.count)
  if (words.includes(FAILED)) await explainFailure(workers, failure)
  checkAlike(told.slice(workers.count))
  if (weight === 0) throw new InputError(NOTHING_COUNTS)
  const grads: Record<string, Tensor> = tf.tidy(() => Object.fromEntries(Object.keys(trainable).map((name) => [name, sums.scaled(name, 1 / weight)])))
  const stopping = words.flatMap((said, rank) => (said === STOPS ? [rank] : []))
  return { ...withPenalties(task.guards, task, grads), loss: tf.scalar(loss / weight), stopping }
}

/** Gives the gradients of this worker's rows to their sums, where it has rows, as soon as they are whole. @returns loss and weight */
async function computeShare(task: TaskStep, workers: Workers, sums: Reduction): Promise<readonly [loss: number, weight: number]> {
  const { model, batches, trainable, options, shallow } = task
  const shares = batches.flatMap((batch) => shareOf(batch, workers) ?? [])
  if (shares.length === 0) return [0, 0]
  for (const share of shares) await task.prepare?.(share)
  const given = new Set<string>()
  const give = (name: string, gradient: Tensor): void => {
    given.add(name)
    sums.add(name, gradient)
  }
  const { loss, grads, weight } = gradSums(shares, (batch) => (shallow?.model ?? model).lossParts(batch, options()), trainable, shallow?.idle, give)
  try {
    for (const [name, gradient] of Object.entries(grads)) if (!given.has(name)) give(name, gradient)
    const [value = NaN] = await loss.data<'float32'>()
    return [value, weight]
  } finally {
    tf.dispose([loss, grads])
  }
}

/** The sums are the same on all: what differs is what each adds to them by itself. @throws TrainingError with the norms */
function checkAlike(norms: readonly number[]): void {
  const [first = NaN] = norms
  if (norms.every((norm) => Object.is(norm, first) || Math.abs(norm - first) <= APART * Math.abs(first))) return
  throw new TrainingError(
    'The workers do not train the same any more: the gradients of the last step, with the penalties of guards, differ. Give each the same guards: ' +
      'those of ewc by diagonalFisher(…, { distributed: workers }), on all rows.',
    norms.map((norm, rank) => `worker ${rank}: norm ${norm.toPrecision(6)}`))
}

async function explainFailure(workers: Workers, failure: Error | undefined): Promise<never> {
  const told = await gather(workers, failure?.message ?? null)
  if (failure !== undefined) throw failure
  throw new TrainingError('The training ended, because workers failed:', told.flatMap((text, rank) => (text === null ? [] : [`worker ${rank}: ${text}`])))
}
