// One step of training, of one task or of several: gradients with the guards' penalties, clipped and, where finite, used.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { LossOptions } from '../base/architecture.ts'
import type { ForwardOptions } from '../base/model.ts'
import type { Guard, GuardedStep } from './guard.ts'
import { accumulatedGrads } from './accumulate.ts'
import type { withLayersDropped } from './adapter-drop.ts'
import type { PaddedBatch } from './batches.ts'
import { clipByGlobalNorm } from './clip.ts'

/** What a task trains in a step, on which batches. */
export interface TaskStep extends GuardedStep {
  readonly batches: readonly PaddedBatch[]
  readonly guards: readonly Guard[]
  /** Of each batch's forward pass and loss. */
  readonly options: () => ForwardOptions & LossOptions
  /** The model to train in place of the whole one, which the guards see. @default the whole one */
  readonly shallow?: ReturnType<typeof withLayersDropped>
}

/** What a task brings to a step. */
interface TaskGrads {
  readonly loss: number
  /** With the guards' in them. The caller disposes them. */
  readonly grads: Record<string, Tensor>
  /** The sum of the guards' penalties; absent where no guard has any. */
  readonly penalty?: number
}

/** The mean gradients of a task's batches, with the guards' penalties. The caller disposes them. */
export function gradsOf(task: TaskStep): TaskGrads {
  const { model, batches, trainable, guards, options, shallow } = task
  const { loss, grads } = accumulatedGrads(shallow?.model ?? model, batches, trainable, options, shallow?.idle)
  return { loss, ...addPenalties(guards, task, grads) }
}

/**
 * Shows the guards the gradients of a step and adds their penalties.
 *
 * @param grads of the task; they are freed, or returned, and freed also where a guard fails
 */
function addPenalties(guards: readonly Guard[], step: GuardedStep, grads: Record<string, Tensor>): Omit<TaskGrads, 'loss'> {
  let sums = grads
  let penalty = 0
  try {
    for (const guard of guards) guard.beforeStep?.(step.trainable, grads)
    for (const guard of guards) {
      const added = guard.penalty?.(step)
      if (added === undefined) continue
      penalty += added.value
      const before = sums
      sums = tf.tidy(() => Object.fromEntries(Object.entries(before).map(([name, grad]) => {
        const more = added.grads[name]
        return [name, more === undefined ? grad.clone() : tf.add(grad, more)]
      })))
      tf.dispose([...Object.values(before), ...Object.values(added.grads)])
    }
  } catch (error) {
    tf.dispose(sums)
    throw error
  }
  return { grads: sums, ...(guards.some((guard) => guard.penalty !== undefined) ? { penalty } : {}) }
}

/**
 * Clips gradients, and updates with them where they and the losses are finite.
 *
 * @param grads are freed, also where there is no memory to clip them
 * @param update is given the clipped ones
 * @returns the norm before, and whether there was an update
 */
export function updateWith(
  grads: Readonly<Record<string, Tensor>>,
  { tasks, losses, maxGradNorm }: { readonly tasks: readonly TaskStep[]; readonly losses: readonly number[]; readonly maxGradNorm: number },
  update: (clipped: Readonly<Record<string, Tensor>>) => void,
): { readonly norm: number; readonly isFinite: boolean } {
  let clipped: Readonly<Record<string, Tensor>> = {}
  try {
    const { norm, ...scaled } = clipByGlobalNorm(grads, maxGradNorm)
    clipped = scaled.grads
    const isFinite = [norm, ...losses].every((value) => Number.isFinite(value))
    if (isFinite) {
      update(clipped)
      for (const { guards, trainable } of tasks) for (const guard of guards) guard.afterStep?.(trainable)
    }
    return { norm, isFinite }
  } finally {
    tf.dispose([grads, clipped])
  }
}
