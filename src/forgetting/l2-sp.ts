// L2-SP: weights are pulled to where they started, and new ones to 0. Li et al. 2018, arXiv:1802.01483:
//
//   (alpha / 2) Σ (θ − θ_start)² + (beta / 2) Σ θ_new²

import * as tf from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { Guard, Trainable } from '../training/guard.ts'
import { disposed, checkStrength, joinRecords, kept, noStrength, quadraticPenalty, splitRecords, type Anchor } from './quadratic.ts'
import { checkAlike, checkRecords, mapTensors, type Tensors } from './records.ts'
import { toldOf } from './told-of.ts'
import { checkNames } from '../base/options.ts'

/** What `l2Sp` takes. */
export interface L2SpOptions {
  /** How strongly the starting point pulls. At least 0. */
  readonly alpha: number
  /** How strongly 0 pulls what has no starting point. At least 0. @default alpha */
  readonly beta?: number
  /** Names of the tensors without a starting point, such as a new head's. @default none */
  readonly fresh?: readonly string[]
}

/** A guard that holds weights to a starting point. */
export interface L2Sp extends Guard {
  /** Frees the starting point. */
  dispose(): void
}

/**
 * L2-SP (arXiv:1802.01483): a pull to the starting point in place of weight decay; train with `weightDecay: 0`.
 *
 * @param start the weights to be held to: `adapter.trainable` before the training; copied
 * @throws InputError when alpha or beta are out of range, a fresh tensor is not there, or a number is not finite
 * @example
 * const guard = l2Sp(adapter.trainable, { alpha: 0.1 })
 * await new Trainer({ model, train, weightDecay: 0, guards: [guard] }).fit()
 * guard.dispose()
 */
export function l2Sp(start: Tensors, options: L2SpOptions): L2Sp {
  checkNames('l2Sp', options, { alpha: true, beta: true, fresh: true })
  const { alpha, beta = alpha, fresh = [] } = options
  checkStrength('l2Sp', 'alpha', alpha)
  checkStrength('l2Sp', 'beta', beta)
  checkRecords('l2Sp', [['the start', start]])
  const unknown = fresh.filter((name) => start[name] === undefined)
  if (unknown.length > 0) throw new InputError('l2Sp: the start has no such tensors; fresh:', unknown)
  let anchor: Anchor = {
    center: kept(mapTensors(start, (name, tensor) => (fresh.includes(name) ? tf.zerosLike(tensor) : tensor))),
    importance: kept(mapTensors(start, (name) => tf.scalar(fresh.includes(name) ? beta : alpha))),
  }
  let isDisposed = false
  const told = toldOf()
  told.tell(start)
  return {
    name: `l2Sp(${[alpha, beta, ...fresh].join(', ')})`,
    check: (trainable: Trainable) => {
      if (isDisposed) throw disposed('l2Sp')
      checkAlike('l2Sp', [['the guard', anchor.center], ['the training', trainable]])
      told.look(trainable)
    },
    warning: () => alpha === 0 && beta === 0 ? noStrength('l2Sp', 'alpha')
      : told.warning('l2Sp', 'Make it of the adapter that is trained: l2Sp(adapter.trainable, { alpha }).'),
    penalty: ({ trainable }) => quadraticPenalty(trainable, anchor, 1),
    state: () => joinRecords({ center: anchor.center }),
    restore(state) {
      const { center } = splitRecords('l2Sp', state, ['center'], anchor.center)
      tf.dispose(Object.values(anchor.center))
      anchor = { ...anchor, center }
      told.restore(fresh.length === 0 ? center : undefined)
    },
    dispose: () => {
      tf.dispose([...Object.values(anchor.center), ...Object.values(anchor.importance)])
      isDisposed = true
    },
  }
}
