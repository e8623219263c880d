// Elastic weight consolidation: what mattered for earlier tasks is held where it was, by its Fisher information.
//
//   separate   (strength / 2) Σ_t Σ F_t (θ − θ_t)²     Kirkpatrick et al. 2017, arXiv:1612.00796, a penalty for each task
//   online     (strength / 2) Σ F̃ (θ − θ_t)²           Schwarz et al. 2018, arXiv:1805.06370; F̃ ← gamma F̃ + F_t, θ_t the
//                                                     latest
//
// Normalised, F_t is that of the task divided by its mean over all elements, as Schwarz et al. do where the losses of tasks are of different
// sizes: so that what a strength does depends neither on them nor on how sure of its rows the model was.
//
// A sum of squares around several centers is one square around their weighted mean, and a constant:
//   A (θ − m)² + F (θ − θ_t)² = (A + F) (θ − m')² + A F / (A + F) (θ_t − m)²,   m' = m + F / (A + F) (θ_t − m)
// so that the memory of the separate penalties does not grow with the tasks either.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import { read } from '../base/engine/read.ts'
import { sayNothing } from '../base/adapter/as-attached.ts'
import type { Guard, Penalty, Trainable } from '../training/guard.ts'
import { disposed, checkStrength, copies, joinRecords, kept, noStrength, quadraticPenalty, splitRecords, type Anchor } from './quadratic.ts'
import { areTensors, checkAlike, checkRecords, holds, mapTensors, tensorOf, valueOf, type Tensors } from './records.ts'
import { printOf, toldOf } from './told-of.ts'
import { checkNames } from '../base/options.ts'

/** What `ewc` takes. */
export interface EwcOptions {
  /** Multiplies the penalty, which has a factor of 1/2 of its own as in the paper. At least 0; about 10 with `normalize`. */
  readonly strength: number
  /**
   * Divides the information of each task by its mean over all elements, F / mean(F). Take it where a task was learned until the model is
   * sure of every row: its information is then near zero, and what strength it needs cannot be known. @default false
   */
  readonly normalize?: boolean
  /**
   * Online EWC: how much of the earlier tasks' information is kept when a task is added, from 0 to 1; the weights are held
   * to the latest. @default a penalty for each task
   */
  readonly gamma?: number
}

/** A guard that remembers the tasks it was told of. */
export interface Ewc extends Guard {
  /** That of the options; may be set anew between trainings, as `chooseStrength` does. */
  strength: number
  /**
   * Remembers a task.
   *
   * @param weights what was trained on it, as it is now: `adapter.trainable`; copied
   * @param fisher of the same names and shapes, numbers of at least 0: see `diagonalFisher`; copied
   * @throws InputError when names or shapes differ, from those of earlier tasks too, or a number is not finite; it lists all
   */
  addTask(weights: Tensors, fisher: Tensors): void
  /** Always there, and asks for nothing but the weights: a loop of one's own can use it on any record of variables. */
  penalty(step: { readonly trainable: Trainable }): Penalty
  /** Says where it holds next to nothing, as with information near zero. */
  warning(): Promise<string | undefined>
  /** Frees what it remembers. */
  dispose(): void
}

/**
 * Elastic weight consolidation, for any number of tasks (arXiv:1612.00796, arXiv:1805.06370). A guard without tasks adds
 * nothing. A training with a guard that holds next to nothing begins with a `warning` event that says so.
 *
 * @throws InputError when strength or gamma are out of range
 * @example
 * const guard = ewc({ strength: 10, normalize: true })
 * const importance = await diagonalFisher(model, adapter.trainable, train)
 * guard.addTask(adapter.trainable, importance)
 * await new Trainer({ model, train, guards: [guard] }).fit()
 * guard.dispose()
 */
export function ewc(options: EwcOptions): Ewc {
  checkNames('ewc', options, { strength: true, normalize: true, gamma: true })
  const { normalize = false, gamma } = options
  let strength = checkedStrength(options.strength)
  if (gamma !== undefined && !(gamma >= 0 && gamma <= 1)) throw new InputError(`ewc: expected gamma from 0 to 1, got ${gamma}.`)
  let anchor: Anchor | undefined
  let isDisposed = false
  let isSet = false // who sets it anew, to 0 as well, tries what it does
  let wasUntrained = false
  let isTwice = false
  const tasks = new Set<string>()
  const told = toldOf()
  /** Σ over the elements, of the separate penalties. */
  let constant: Tensor | undefined
  const check = (trainable: Trainable): void => {
    if (isDisposed) throw disposed('ewc')
    if (anchor === undefined) return
    checkAlike('ewc', [['the guard', anchor.center], ['the training', trainable]])
    told.look(trainable)
  }
  const dispose = (): void => {
    tf.dispose([...Object.values(anchor?.center ?? {}), ...Object.values(anchor?.importance ?? {})])
    constant?.dispose()
    anchor = constant = undefined
  }
  return {
    get name() { return `ewc(${strength}${normalize ? ', normalize' : ''}${gamma === undefined ? '' : `, gamma ${gamma}`})` },
    get strength() { return strength },
    set strength(value) {
      strength = checkedStrength(value)
      isSet = true
    },
    check,
    addTask(weights, fisher) {
      const earlier = anchor === undefined ? [] : [['the earlier tasks', anchor.center] as const]
      checkRecords('ewc', [['the weights', weights], ['the information', fisher], ...earlier], areTensors(fisher) ? negative(fisher) : [])
      const information = normalize ? normalized(fisher) : fisher
      const { added, ...next } = nextOf(anchor, weights, information, gamma)
      if (normalize) tf.dispose(Object.values(information))
      const sum = tf.keep(tf.tidy(() => tf.add(added, constant ?? 0)))
      added.dispose()
      dispose()
      anchor = next
      constant = sum
      isDisposed = false
      wasUntrained ||= sayNothing(weights)
      const print = [weights, fisher].map(printOf).join()
      isTwice ||= tasks.has(print)
      tasks.add(print)
      told.tell(weights)
    },
    penalty({ trainable }) {
      if (anchor === undefined) return { value: 0, grads: {} }
      const { value, grads } = quadraticPenalty(trainable, anchor, strength)
      const sum = tf.tidy(() => tf.add<Scalar>(value, tf.mul(constant ?? 0, strength / 2)))
      value.dispose()
      return { value: sum, grads }
    },
    async warning() {
      if (strength === 0) return isSet ? undefined : noStrength('ewc', 'strength')
      if (anchor === undefined) return 'ewc: it was told of no task yet, and holds nothing: guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows)), when a task has been learned.'
      if (wasUntrained) return UNTRAINED
      if (isTwice) return 'ewc: it was told of one task twice, with the same weights and the same information, and holds it twice as hard. Call addTask once after each task.'
      const isOther = told.warning('ewc', 'Tell it of the adapter that is trained: guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows)).')
      if (isOther !== undefined) return isOther
      const { importance } = anchor
      const [total = NaN] = await read(() => totalOf(importance))
      const added = (strength / 2) * total * MOVE ** 2
      if (normalize ? total > 0 : added >= HELD) return undefined
      return `ewc: moving every weight by ${MOVE} adds ${added.toPrecision(1)} to the loss: next to nothing is held. The information of the tasks is near zero, `
        + `as it is where the model was sure of every row. ${normalize ? 'Train the tasks for fewer steps.' : 'Take normalize: true, with a strength of about 10.'}`
    },
    state: (): Tensors => (anchor === undefined || constant === undefined ? {} : { ...joinRecords({ ...anchor }), constant }),
    restore(state) {
      const isEmpty = Object.keys(state).length === 0 // of a guard without tasks
      isDisposed = false
      const next = isEmpty ? undefined : splitRecords('ewc', state, ['center', 'importance'])
      dispose()
      anchor = next
      constant = state['constant'] === undefined ? undefined : tf.keep(state['constant'].clone())
      const isOneTask = constant !== undefined && valueOf(() => constant as Tensor) === 0
      told.restore(isOneTask ? anchor?.center : undefined)
      wasUntrained = isTwice = false
    },
    dispose: () => {
      dispose()
      isDisposed = true
    },
  }
}

const UNTRAINED = 'ewc: it was told of an adapter that nobody had trained: what it holds is the base, not a task. Train the first task, then guard.addTask(adapter.trainable, '
  + 'await diagonalFisher(model, adapter.trainable, rows)).'

/** Weights move as far in a hundred steps or so; what that adds to the loss has to be felt beside it. */
const [MOVE, HELD] = [0.01, 1]

function checkedStrength(strength: number): number {
  checkStrength('ewc', 'strength', strength)
  return strength
}

/** Information of mean 1 over all elements; none stays none. The caller disposes it. */
function normalized(fisher: Tensors): Tensors {
  const count = Object.values(fisher).reduce((sum, { size }) => sum + size, 0)
  const mean = valueOf(() => totalOf(fisher)) / count
  return mapTensors(fisher, (_, tensor) => tf.mul(tensor, mean > 0 ? 1 / mean : 0))
}

/** The sum of all elements. */
function totalOf(record: Tensors): Scalar {
  return tf.addN(Object.values(record).map((tensor) => tf.sum<Scalar>(tensor)))
}

interface Next extends Anchor {
  /** What the constant grows by. */
  readonly added: Tensor
}

function nextOf(anchor: Anchor | undefined, weights: Tensors, fisher: Tensors, gamma: number | undefined): Next {
  if (anchor === undefined) return { center: copies(weights), importance: copies(fisher), added: tf.scalar(0) }
  return gamma === undefined ? joined(anchor, weights, fisher) : decayed(anchor, weights, fisher, gamma)
}

function decayed({ importance }: Anchor, weights: Tensors, fisher: Tensors, gamma: number): Next {
  const sum = mapTensors(importance, (name, before) => tf.add(tf.mul(before, gamma), tensorOf(fisher, name)))
  return { center: copies(weights), importance: kept(sum), added: tf.scalar(0) }
}

function joined({ center, importance }: Anchor, weights: Tensors, fisher: Tensors): Next {
  /** The new task's part in the importance; 0 / 0 counts as 1, what matters to none is held by none. */
  const share = (name: string): Tensor => {
    const sum = tf.add(tensorOf(importance, name), tensorOf(fisher, name))
    return tf.where(tf.greater(sum, 0), tf.div(tensorOf(fisher, name), sum), tf.onesLike(sum))
  }
  const distance = (name: string): Tensor => tf.sub(tensorOf(weights, name), tensorOf(center, name))
  const added = tf.tidy(() => {
    const terms = Object.entries(importance).map(([name, before]) => tf.sum(tf.mul(tf.mul(before, share(name)), tf.square(distance(name)))))
    return tf.addN(terms)
  })
  return {
    center: kept(mapTensors(center, (name, before) => tf.add(before, tf.mul(share(name), distance(name))))),
    importance: kept(mapTensors(importance, (name, before) => tf.add(before, tensorOf(fisher, name)))),
    added,
  }
}

function negative(fisher: Tensors): string[] {
  const wrong = Object.entries(fisher).filter(([, tensor]) => !holds(() => tf.logicalNot(tf.less(tensor, 0))))
  return wrong.map(([name]) => `the information: ${name} has numbers below 0`)
}
