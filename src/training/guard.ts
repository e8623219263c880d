// What keeps a model from forgetting while it is trained on something else, as the trainer sees it.

import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import type { Batch } from '../base/batch.ts'
import type { Model } from '../base/model.ts'

/** Trained tensors by name. */
export type Trainable = Readonly<Record<string, Variable>>

/** Where a training stands when a guard is asked. */
export interface GuardedStep {
  readonly model: Model
  readonly trainable: Trainable
  /** The rows of the step. */
  readonly batches: readonly Batch[]
}

/** What is added to the loss, and to the gradients, by name. The caller disposes it. */
export interface Penalty {
  /** A number, or a scalar, which the step reads together with its loss. */
  readonly value: number | Scalar
  readonly grads: Readonly<Record<string, Tensor>>
}

/** Guards a training against forgetting: `new Trainer({ …, guards: [guard] })`. */
export interface Guard {
  /** What it is and its settings; a training is continued from a checkpoint only with guards of the same. */
  readonly name: string
  /**
   * Looks whether it fits what is about to be trained; called before the first step.
   *
   * @throws InputError when the trained tensors are not those that it guards, with every difference
   */
  check(trainable: Trainable): void
  /** What a user should know before the first step, such as that it holds nothing; the training tells it as a `warning`. Asked after `check`. */
  warning?(): string | undefined | Promise<string | undefined>
  /** What is added in each step; not asked when it has nothing to add. */
  penalty?(step: GuardedStep): Penalty
  /** Sees the gradients of the task alone, without penalties and not clipped, before the weights change. */
  beforeStep?(trainable: Trainable, grads: Readonly<Record<string, Tensor>>): void
  /** Sees the weights that the optimiser has made; left out where a step is skipped. */
  afterStep?(trainable: Trainable): void
  /** In its place where a step is skipped, since its gradients were not finite. */
  afterSkip?(trainable: Trainable): void
  /** What it has gathered during the training, for a checkpoint; the tensors stay its own. */
  state?(): Readonly<Record<string, Tensor>>
  /** Goes on from such a state; copies the tensors. */
  restore?(state: Readonly<Record<string, Tensor>>): void
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
