// Guards against forgetting in a step of the training.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Guard, GuardedStep } from '../forgetting/guard.ts'

/** Gradients with the guards' in them, and the sum of the penalties; nothing where there are no guards. */
export interface Guarded {
  /** The caller disposes them. */
  readonly grads: Record<string, Tensor>
  readonly penalty?: number
}

/**
 * Shows the guards the gradients of a step and adds their penalties.
 *
 * @param grads of the task; they are freed, or returned, and freed also where a guard fails
 */
export function addPenalties(guards: readonly Guard[], step: GuardedStep, grads: Record<string, Tensor>): Guarded {
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

/** What the guards have gathered, each under its number. */
export function guardStates(guards: readonly Guard[]): Record<string, Tensor> {
  return Object.fromEntries(guards.flatMap((guard, i) =>
    Object.entries(guard.state?.() ?? {}).map(([name, tensor]) => [`${i}.${name}`, tensor])))
}

/** Gives each guard its own of such states. */
export function restoreGuards(guards: readonly Guard[], states: Readonly<Record<string, Tensor>>): void {
  for (const [i, guard] of guards.entries()) {
    const own = Object.entries(states).filter(([name]) => name.startsWith(`${i}.`))
    guard.restore?.(Object.fromEntries(own.map(([name, tensor]) => [name.slice(`${i}.`.length), tensor])))
  }
}
