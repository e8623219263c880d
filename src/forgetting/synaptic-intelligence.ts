// Synaptic intelligence: what lowered the loss along the way is held where it is. Zenke et al. 2017, arXiv:1703.04200:
//
//   in each step       ω ← ω − g Δθ                         g the gradient of the task's loss
//   at a task's end    Ω ← Ω + ω / ((θ − θ*)² + damping)     then θ* = θ, ω = 0
//   penalty            strength Σ Ω (θ − θ*)²
//
// ω of an element can come out below 0 where noise has moved it uphill; such a one counts as 0.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { Guard, Trainable } from '../training/guard.ts'
import { disposed, checkStrength, copies, joinRecords, kept, noStrength, quadraticPenalty, splitRecords } from './quadratic.ts'
import { checkAlike, checkRecords, holds, mapTensors, tensorOf, type Tensors } from './records.ts'
import { toldOf } from './told-of.ts'
import { checkNames } from '../base/options.ts'

/** What `synapticIntelligence` takes. */
export interface SynapticIntelligenceOptions {
  /** c in the paper: multiplies the penalty, which has no factor of 1/2. At least 0. */
  readonly strength: number
  /** ξ in the paper: keeps the importance of what hardly moved finite. Above 0. @default 0.1 */
  readonly damping?: number
}

/** A guard that learns what matters during the training itself. */
export interface SynapticIntelligence extends Guard {
  /** Ends a task: what was trained since the last one becomes what is held. */
  endTask(weights: Tensors): void
  /** Frees what it has gathered. */
  dispose(): void
}

/**
 * Synaptic intelligence (arXiv:1703.04200). Give it to the training of each task, the first too, which it only watches.
 *
 * @param start what is trained, before the first task: `adapter.trainable`; copied
 * @throws InputError when strength or damping are out of range, or a number is not finite
 * @example
 * const guard = synapticIntelligence(adapter.trainable, { strength: 1 })
 * await new Trainer({ model, train, guards: [guard] }).fit()
 * guard.endTask(adapter.trainable)
 * await new Trainer({ model, train, guards: [guard] }).fit()
 * guard.dispose()
 */
export function synapticIntelligence(start: Tensors, options: SynapticIntelligenceOptions): SynapticIntelligence {
  checkNames('synapticIntelligence', options, { strength: true, damping: true })
  const { strength, damping = 0.1 } = options
  checkStrength('synapticIntelligence', 'strength', strength)
  if (!(damping > 0 && damping < Infinity)) throw new InputError(`synapticIntelligence: expected damping above 0, got ${damping}.`)
  checkRecords('synapticIntelligence', [['the start', start]])
  let center: Tensors = copies(start)
  const zeros = (): Record<string, Tensor> => kept(mapTensors(center, (_, tensor) => tf.zerosLike(tensor)))
  let importance: Tensors = zeros()
  let path: Tensors = zeros() // ω
  let step: { readonly weights: Tensors; readonly grads: Tensors } | undefined

  let isDisposed = false
  let isLeft = false // a training has been watched whose task was neither ended nor gone on with
  let hasPath = false
  const told = toldOf()
  told.tell(start)
  const endStep = (): void => {
    if (step !== undefined) tf.dispose([...Object.values(step.weights), ...Object.values(step.grads)])
    step = undefined
  }
  const dispose = (): void => {
    endStep()
    tf.dispose([center, importance, path].flatMap((record) => Object.values(record)))
  }
  const replace = (next: { readonly center: Tensors; readonly importance: Tensors; readonly path: Tensors }): void => {
    dispose()
    ;({ center, importance, path } = next)
  }
  return {
    name: `synapticIntelligence(${strength}, damping ${damping})`,
    check: (trainable: Trainable) => {
      if (isDisposed) throw disposed('synapticIntelligence')
      checkAlike('synapticIntelligence', [['the guard', center], ['the training', trainable]])
      told.look(trainable)
    },
    penalty: ({ trainable }) => quadraticPenalty(trainable, { center, importance }, 2 * strength),
    beforeStep(trainable, grads) {
      endStep() // of a step that was skipped
      step = { weights: copies(trainable), grads: copies(grads) }
    },
    afterStep(trainable) {
      if (step === undefined) return
      const { weights, grads } = step
      const next = mapTensors(path, (name, sum) =>
        tf.sub(sum, tf.mul(tensorOf(grads, name), tf.sub(tensorOf(trainable, name), tensorOf(weights, name)))))
      tf.dispose(Object.values(path))
      path = kept(next)
      endStep()
      isLeft = true
      hasPath = true
    },
    warning: () => strength === 0 ? noStrength('synapticIntelligence', 'strength')
      : !isLeft ? told.warning('synapticIntelligence', 'Make it of the adapter that is trained: synapticIntelligence(adapter.trainable, { strength }).')
      : 'synapticIntelligence: it has watched a training whose task was not ended, and does not hold what was learned there. Between two tasks: guard.endTask(adapter.trainable).',
    endTask(weights) {
      if (!hasPath) throw new InputError('synapticIntelligence: endTask: it has watched no step of this task, and would hold nothing: give it to the training, new Trainer({ …, guards: [guard] }).')
      checkRecords('synapticIntelligence', [['the guard', center], ['the weights', weights]])
      const sum = mapTensors(importance, (name, before) => {
        const moved = tf.square(tf.sub(tensorOf(weights, name), tensorOf(center, name)))
        return tf.add(before, tf.div(tf.relu(tensorOf(path, name)), tf.add(moved, damping)))
      })
      replace({ center: copies(weights), importance: kept(sum), path: zeros() })
      told.tell(weights)
      isLeft = false
      hasPath = false
    },
    state: () => joinRecords({ center, importance, path }),
    restore(state) {
      replace(splitRecords('synapticIntelligence', state, ['center', 'importance', 'path'], center))
      const isEnded = Object.values(path).every((tensor) => holds(() => tf.equal(tensor, 0)))
      told.restore(isEnded ? center : undefined)
      isLeft = false
      hasPath = true
    },
    dispose: () => {
      dispose()
      isDisposed = true
    },
  }
}
