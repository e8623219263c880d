// One step of training, of one task or of several: gradients with the guards' penalties, clipped and, where finite, used.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, TensorContainer } from '@tensorflow/tfjs-core'
import type { LossOptions } from '../base/architecture.ts'
import type { Batch } from '../base/batch.ts'
import type { ForwardOptions } from '../base/model.ts'
import type { Guard, GuardedStep } from './guard.ts'
import { accumulatedGrads } from './accumulate.ts'
import type { withLayersDropped } from './adapter-drop.ts'
import type { PaddedBatch } from './batches.ts'
import { clipByGlobalNorm, globalNorm } from './clip.ts'
import { read } from '../base/engine/read.ts'

/** What a task trains in a step, on which batches. */
export interface TaskStep extends GuardedStep {
  readonly batches: readonly PaddedBatch[]
  readonly guards: readonly Guard[]
  /** Of each batch's forward pass and loss. */
  readonly options: () => ForwardOptions & LossOptions
  /** Called with each batch before a pass over it. @default nothing */
  readonly prepare?: (batch: Batch) => Promise<void>
  /** The model to train in place of the whole one, which the guards see. @default the whole one */
  readonly shallow?: ReturnType<typeof withLayersDropped>
}

/** What a task brings to a step. The caller disposes it. */
export interface TaskGrads {
  readonly loss: Scalar
  /** With the guards' in them. */
  readonly grads: Record<string, Tensor>
  /** The sum of the guards' penalties; absent where no guard has any. */
  readonly penalty?: Scalar
}

/** The mean gradients of a task's batches, with the guards' penalties. The caller disposes them. */
export function gradsOf(task: TaskStep): TaskGrads {
  const { model, batches, trainable, guards, options, shallow } = task
  const { value: loss, grads } = accumulatedGrads(shallow?.model ?? model, batches, trainable, options, shallow?.idle)
  try {
    return { loss, ...withPenalties(guards, task, grads) }
  } catch (error) {
    loss.dispose()
    throw error
  }
}

/**
 * Shows the guards the gradients of a step and adds their penalties.
 *
 * @param grads of the task; they are freed, or returned, and freed also where a guard fails
 */
export function withPenalties(guards: readonly Guard[], step: GuardedStep, grads: Record<string, Tensor>): Omit<TaskGrads, 'loss'> {
  let sums = grads
  const penalties: (number | Scalar)[] = []
  try {
    for (const guard of guards) guard.beforeStep?.(step.trainable, grads)
    for (const guard of guards) {
      const added = guard.penalty?.(step)
      if (added === undefined) continue
      penalties.push(added.value)
      const before = sums
      sums = tf.tidy(() => Object.fromEntries(Object.entries(before).map(([name, grad]) => {
        const more = added.grads[name]
        return [name, more === undefined ? grad.clone() : tf.add(grad, more)]
      })))
      tf.dispose([...Object.values(before), ...Object.values(added.grads)])
    }
    if (guards.every((guard) => guard.penalty === undefined)) return { grads: sums }
    return { grads: sums, penalty: tf.tidy(() => penalties.reduce<Scalar>((sum, value) => tf.add(sum, value), tf.scalar(0))) }
  } catch (error) {
    tf.dispose(sums)
    throw error
  } finally {
    tf.dispose(penalties)
  }
}

/** What is known of a step before the weights change. */
interface StepNumbers {
  readonly losses: readonly number[]
  readonly penalties: readonly number[]
  /** Of the gradients before they were clipped. */
  readonly norm: number
  /** Whether norm and losses are, and there was an update. */
  readonly isFinite: boolean
}

/**
 * Clips gradients, and updates with them where they and the losses are finite: the one place of a step that waits for the device.
 *
 * @param grads are freed, and losses and penalties too, also where there is no memory to clip them
 * @param update is given the clipped ones, and the losses
 */
export async function updateWith(
  grads: Readonly<Record<string, Tensor>>,
  { tasks, losses, penalties = [], maxGradNorm }: {
    readonly tasks: readonly TaskStep[]
    readonly losses: readonly Scalar[]
    readonly penalties?: readonly Scalar[]
    readonly maxGradNorm: number
  },
  update: (clipped: Readonly<Record<string, Tensor>>, losses: readonly number[]) => void,
): Promise<StepNumbers> {
  let clipped: Readonly<Record<string, Tensor>> = {}
  try {
    const scalars = [() => globalNorm(grads), ...[...losses, ...penalties].map((scalar) => () => scalar)]
    const [norm = NaN, ...numbers] = (await Promise.all(scalars.map(read))).map(([number = NaN]) => number)
    const known = { norm, losses: numbers.slice(0, losses.length), penalties: numbers.slice(losses.length) }
    const isFinite = [norm, ...known.losses].every((value) => Number.isFinite(value))
    if (isFinite) {
      clipped = clipByGlobalNorm(grads, norm, maxGradNorm)
      update(clipped, known.losses)
      for (const { guards, trainable } of tasks) for (const guard of guards) guard.afterStep?.(trainable)
    }
    return { ...known, isFinite }
  } finally {
    tf.dispose([grads, clipped, losses, penalties] as TensorContainer)
  }
}
