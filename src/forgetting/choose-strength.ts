// How strong a guard may be: the highest strength with which the new task is still learned. De Lange et al. 2019, arXiv:1909.08383:
//
//   score_0          the new task learned without the guard
//   strength         highest · decay^k, for the first k with which score ≥ (1 − tolerance) score_0
//
// It needs no row of the old tasks. It costs a training without the guard, and one for each strength that is tried.

import * as tf from '@tensorflow/tfjs-core'
import { checkNames, type Names } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import type { Trainable } from '../training/guard.ts'
import { copies } from './quadratic.ts'

/** What `chooseStrength` tries, and how the outcome is measured. */
export interface ChooseStrengthOptions {
  /** Trains on the new task with a guard of that strength, from the weights as they are: each time the same training. */
  readonly train: (strength: number) => unknown
  /** How well the new task is learned, on rows that were held out: above 0, and the higher the better, such as an accuracy. */
  readonly evaluate: () => number | Promise<number>
  /** The first that is tried. @default 1000, for normalised information */
  readonly highest?: number
  /** What the next is of the one before, above 0 and below 1. @default 0.3 */
  readonly decay?: number
  /** Share of the score without guard that may be lost, from 0 to 1. @default 0.05 */
  readonly tolerance?: number
  /** Most strengths that are tried. @default 8 */
  readonly trials?: number
}

const NAMES: Names<ChooseStrengthOptions> = { train: true, evaluate: true, highest: true, decay: true, tolerance: true, trials: true }

/** A strength, and how well the new task was learned with it. */
export interface TriedStrength {
  readonly strength: number
  readonly score: number
}

/** What was found. */
export interface ChosenStrength extends TriedStrength {
  /** All that was tried, in order; the first is 0. */
  readonly tried: readonly TriedStrength[]
}

/**
 * The highest strength of a guard with which a new task is still learned (De Lange et al. 2019, arXiv:1909.08383). Needs rows of the new task
 * alone. Afterwards the weights are those of the training with the strength that was chosen, so that nothing is left to train.
 *
 * @param trainable what is trained: `adapter.trainable`
 * @throws InputError when an option is out of range, a score is no number above 0, or with none of the strengths the task is learned: the weights
 *   are then as they were
 * @example
 * const guard = ewc({ strength: 10, normalize: true })
 * guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, train))
 * const { strength } = await chooseStrength(adapter.trainable, {
 *   train: (strength) => {
 *     guard.strength = strength
 *     return new Trainer({ model, train, guards: [guard] }).fit()
 *   },
 *   evaluate: async () => (await evaluate(model, train)).accuracy ?? 0,
 * })
 * console.log(`strength ${strength}`)
 */
export async function chooseStrength(trainable: Trainable, options: ChooseStrengthOptions): Promise<ChosenStrength> {
  checkNames('chooseStrength', options, NAMES)
  const { train, evaluate, highest = 1000, decay = 0.3, tolerance = 0.05, trials = 8 } = options
  const problems = [
    ...(typeof train === 'function' && train.length > 0 ? [] : [`train: expected a function of the strength that it is to train with, as in (strength) => { guard.strength = strength; … }, got ${typeof train === 'function' ? 'one that takes none' : shown(train)}`]),
    ...(typeof evaluate === 'function' ? [] : [`evaluate: expected a function that measures the new task, got ${shown(evaluate)}`]),
    ...(highest > 0 && highest < Infinity ? [] : [`highest: expected a number above 0, got ${highest}`]),
    ...(decay > 0 && decay < 1 ? [] : [`decay: expected a number above 0 and below 1, got ${decay}`]),
    ...(tolerance >= 0 && tolerance <= 1 ? [] : [`tolerance: expected a share from 0 to 1, got ${tolerance}`]),
    ...(Number.isInteger(trials) && trials >= 1 ? [] : [`trials: expected an integer of at least 1, got ${shown(trials)}`]),
  ]
  if (problems.length > 0) throw new InputError('chooseStrength: the options cannot be used:', problems)
  const start = copies(trainable)
  const tried: TriedStrength[] = []
  const learn = async (strength: number): Promise<TriedStrength> => {
    for (const [name, variable] of Object.entries(trainable)) variable.assign(start[name] as tf.Tensor) // of the same names
    await train(strength)
    const found = { strength, score: await evaluate() }
    if (!(found.score > 0)) throw new InputError(`chooseStrength: expected evaluate to give a number above 0, got ${found.score} with strength ${strength}.`)
    tried.push(found)
    return found
  }
  let isFound = false
  try {
    const free = await learn(0)
    for (let trial = 0; trial < trials; trial++) {
      const found = await learn(highest * decay ** trial)
      isFound = found.score >= (1 - tolerance) * free.score
      if (isFound) return { ...found, tried }
    }
    throw new InputError('chooseStrength: the task is not learned with any of these strengths. Give more steps, trials or tolerance, or a lower highest:',
      tried.map(({ strength, score }) => `strength ${strength}: ${score}`))
  } finally {
    if (!isFound) for (const [name, variable] of Object.entries(trainable)) variable.assign(start[name] as tf.Tensor)
    tf.dispose(Object.values(start))
  }
}
