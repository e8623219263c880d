// The budget of AdaLoRA: what each rank is worth to the loss decides which of all modules' ranks stay. Zhang et al. 2023, arXiv:2303.10512
//
//   importance of a weight θ     I = |θ g|,  Ī ← β1 Ī + (1 − β1) I,  Ū ← β2 Ū + (1 − β2) |I − Ī|,  s = Ī Ū
//   of rank i of a module        s(E_i) + mean of s(A_i) + mean of s(B_i)
//   ranks left behind step t     all until t_i, target behind T − t_f, between them target + (all − target) (1 − (t − t_i) / (T − t_f − t_i))³
//   penalty                      strength / 2n Σ over n modules of ‖A Aᵀ − 1‖ + ‖Bᵀ B − 1‖
//
// It guards nothing from being forgotten; it is a guard of the trainer, whose penalty and state it has.
//
// As in PEFT, the weights are those behind the step, and the gradients have the penalty in them. Differs from PEFT, which is given gradients
// that may be clipped: here they are not.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { Adapter } from '../base/adapter/adapter.ts'
import { read } from '../base/engine/read.ts'
import { checkNames, type Names } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import { copies, disposed, joinRecords, kept, splitRecords } from './quadratic.ts'
import { mapTensors, tensorOf, valueOf, type Tensors } from './records.ts'
import type { Guard, Penalty, Trainable } from '../training/guard.ts'

/** What `rankBudget` takes. */
export interface RankBudgetOptions {
  /** Steps of the training, T: the budget ends with them. */
  readonly steps: number
  /** Mean rank of a module at the end, at most `initRank`. @default 8 */
  readonly targetRank?: number
  /** Steps at the start in which no rank is taken. @default 0 */
  readonly initialSteps?: number
  /** Steps at the end in which what is left stays. @default 0 */
  readonly finalSteps?: number
  /** Every how many steps ranks are taken. @default 1 */
  readonly interval?: number
  /** How slowly importance follows the steps, in (0, 1). @default 0.85 */
  readonly beta1?: number
  /** How slowly its uncertainty does, in (0, 1). @default 0.85 */
  readonly beta2?: number
  /** Strength of the penalty that holds A and B near to orthonormal; 0 leaves it out. @default 0.5 */
  readonly orthogonality?: number
}

/** A guard that takes ranks from the modules that need them least. */
export interface RankBudget extends Guard {
  /** How many ranks each module has left, by its path. @throws InputError when it was disposed */
  ranks(): Promise<Readonly<Record<string, number>>>
  /** Frees what it has gathered. */
  dispose(): void
}

/**
 * The budget of an AdaLoRA (Zhang et al. 2023, arXiv:2303.10512): begins with all ranks and takes the least important ones of all modules
 * together, until `targetRank` is left on average. What is taken is 0 from then on, and is not in the adapter's files.
 *
 * @param adapter an attached `adalora`; give the budget to its training alone
 * @throws InputError when the adapter is no AdaLoRA, or with everything that is wrong with the options
 * @example
 * const adapter = attach(model, adalora({ initRank: 12, alpha: 32 }))
 * const budget = rankBudget(adapter, { steps: 500, targetRank: 4, initialSteps: 50, finalSteps: 200 })
 * await new Trainer({ model, train, maxSteps: 500, guards: [budget] }).fit()
 * console.log(await budget.ranks())
 * budget.dispose()
 */
export function rankBudget(adapter: Adapter, options: RankBudgetOptions): RankBudget {
  const settings = checked(adapter, options)
  const { steps, targetRank, initialSteps, finalSteps, interval, orthogonality } = settings
  const modules = adapter.sites.map(({ name }) => name)
  const own = (record: Tensors): Tensors => Object.fromEntries(modules.flatMap((module) => PARTS.map((part) => [`${module}.${part}`, tensorOf(record, `${module}.${part}`)])))
  const sizes = modules.map((module) => tensorOf(adapter.trainable, `${module}.E`).size)
  const [all, target] = [sizes.reduce((sum, size) => sum + size, 0), targetRank * modules.length]
  const last = steps - finalSteps

  let gathered: Gathered = { importance: zerosLike(own(adapter.trainable)), uncertainty: zerosLike(own(adapter.trainable)) }
  let left = tf.keep(tf.ones<tf.Rank.R1>([all])) // 1 for each rank that stays, module by module
  let place = tf.keep(tf.tensor1d([0, 0])) // the step, and whether the last ranks were taken
  let [step, isFinal, isDisposed] = [0, false, false]
  let grads: Tensors = {}
  const tensors = (): Tensor[] => [gathered.importance, gathered.uncertainty, grads].flatMap((record) => Object.values(record))
  const replace = (next: Gathered): void => {
    tf.dispose(Object.values(gathered).flatMap((record: Tensors) => Object.values(record)))
    gathered = next
  }
  const endStep = (): void => {
    tf.dispose(Object.values(grads))
    grads = {}
  }
  /** Takes ranks until `budget` of all modules are left. */
  const take = (budget: number): void => {
    if (budget >= all) return
    const next = tf.tidy(() => tf.keep(mostImportant(modules, gathered, budget)))
    left.dispose()
    left = next
  }
  const clear = (trainable: Trainable): void => tf.tidy(() => {
    tf.split(left, sizes).forEach((part, i) => {
      const singular = trainable[`${modules[i] ?? ''}.E`]
      singular?.assign(tf.mul(singular, part))
    })
  })
  /** From the last step on the ranks are those of the target. */
  const conclude = (trainable: Trainable): void => {
    if (step < last) return
    if (!isFinal) take(target)
    isFinal = true
    clear(trainable)
  }
  return {
    name: `rankBudget(${Object.entries(settings).map(([key, value]) => `${key} ${value}`).join(', ')})`,
    check(trainable) {
      if (isDisposed) throw disposed('rankBudget')
      const missing = Object.keys(own(adapter.trainable)).filter((name) => trainable[name]?.shape.join() !== adapter.trainable[name]?.shape.join())
      if (missing.length > 0) throw new InputError('rankBudget: the training does not have these tensors of its adapter:', missing)
    },
    warning: () => step < steps ? undefined : `rankBudget: its ${steps} steps are over: it takes no more ranks, and holds those that it has taken at 0.`,
    beforeStep(_, all) {
      endStep() // of a step that failed
      grads = copies(own(all))
      step++
    },
    ...(orthogonality === 0 ? {} : {
      penalty({ trainable }) {
        const penalty = orthogonalityPenalty(modules, trainable, orthogonality)
        const before = grads
        grads = kept(mapTensors(before, (name, grad) => {
          const more = penalty.grads[name]
          return more === undefined ? grad : tf.add(grad, more)
        }))
        tf.dispose(Object.values(before))
        return penalty
      },
    } satisfies Pick<Guard, 'penalty'>),
    afterStep(trainable) {
      if (step < last) replace(follow(gathered, trainable, grads, settings))
      endStep()
      const isTaken = step > initialSteps && step < last && step % interval === 0
      if (isTaken) {
        take(Math.trunc((all - target) * (1 - (step - initialSteps) / (last - initialSteps)) ** 3 + target))
        clear(trainable)
      }
      conclude(trainable)
    },
    afterSkip(trainable) {
      endStep()
      conclude(trainable)
    },
    state() {
      place.dispose()
      place = tf.keep(tf.tensor1d([step, Number(isFinal)]))
      return { ...joinRecords({ ...gathered }), left, place }
    },
    restore({ left: flags, place: counted, ...state }) {
      if (flags?.size !== all || counted?.size !== 2) {
        throw new InputError(`rankBudget: expected the state of a budget of ${all} ranks, got ${flags === undefined ? 'another guard\'s' : `one of ${flags.size}`}. Give the guards in the order in which they were saved, of an adapter of the same ranks.`)
      }
      replace(splitRecords('rankBudget', state, ['importance', 'uncertainty'], gathered.importance))
      left.dispose()
      left = tf.keep(tf.clone(flags as Tensor1D))
      step = valueOf(() => tf.slice(counted, 0, 1))
      isFinal = valueOf(() => tf.slice(counted, 1, 1)) === 1
    },
    async ranks() {
      if (isDisposed) throw disposed('rankBudget')
      const flags = await read(() => left)
      let from = 0
      return Object.fromEntries(modules.map((module, i) => [module, flags.slice(from, (from += sizes[i] ?? 0)).reduce((sum, flag) => sum + flag, 0)]))
    },
    dispose() {
      tf.dispose([...tensors(), left, place])
      isDisposed = true
    },
  }
}

const PARTS = ['A', 'E', 'B'] as const

interface Gathered {
  readonly importance: Tensors
  readonly uncertainty: Tensors
}

function zerosLike(record: Tensors): Tensors {
  return kept(mapTensors(record, (_, tensor) => tf.zerosLike(tensor)))
}

/** The importance behind a step. */
function follow({ importance, uncertainty }: Gathered, weights: Tensors, grads: Tensors, { beta1, beta2 }: Pick<Settings, 'beta1' | 'beta2'>): Gathered {
  const now = mapTensors(grads, (name, grad) => tf.abs(tf.mul(tensorOf(weights, name), grad)))
  const mixed = (before: Tensor, value: Tensor, beta: number): Tensor => tf.add(tf.mul(before, beta), tf.mul(value, 1 - beta))
  const mean = mapTensors(importance, (name, before) => mixed(before, tensorOf(now, name), beta1))
  const spread = mapTensors(uncertainty, (name, before) => mixed(before, tf.abs(tf.sub(tensorOf(now, name), tensorOf(mean, name))), beta2))
  tf.dispose(Object.values(now))
  return { importance: kept(mean), uncertainty: kept(spread) }
}

/** 1 for the `count` most important ranks, 0 for the others; of equal ones the first are kept. Call inside a tidy. */
function mostImportant(modules: readonly string[], { importance, uncertainty }: Gathered, count: number): Tensor1D {
  const scoreOf = (name: string): Tensor => tf.mul(tensorOf(importance, name), tensorOf(uncertainty, name))
  const scores = tf.concat(modules.map((module) =>
    tf.addN([scoreOf(`${module}.E`), tf.mean(scoreOf(`${module}.A`), 1), tf.mean(scoreOf(`${module}.B`), 0)]) as Tensor1D))
  const { indices } = tf.topk(scores, count)
  return tf.scatterND(tf.expandDims(indices, 1), tf.ones([count]), [scores.size])
}

/** strength / 2n Σ ‖M‖ over A Aᵀ − 1 and Bᵀ B − 1 of n modules; d‖M‖ / dA = 2 M A / ‖M‖. */
function orthogonalityPenalty(modules: readonly string[], trainable: Trainable, strength: number): Penalty {
  const factor = strength / (2 * modules.length)
  const grads: Record<string, Tensor> = {}
  const value = tf.tidy(() => {
    const norms = modules.flatMap((module) => (['A', 'B'] as const).map((part): Scalar => {
      const tensor = tensorOf(trainable, `${module}.${part}`) as Tensor2D
      const gap = tf.sub<Tensor2D>(tf.matMul(tensor, tensor, part === 'B', part === 'A'), tf.eye(tensor.shape[part === 'A' ? 0 : 1]))
      const norm = tf.norm(gap) as Scalar
      const product = part === 'A' ? tf.matMul(gap, tensor) : tf.matMul(tensor, gap)
      grads[`${module}.${part}`] = tf.keep(tf.mul(product, tf.div(2 * factor, tf.maximum(norm, 1e-30))))
      return norm
    }))
    return tf.mul<Scalar>(tf.addN(norms), factor)
  })
  return { value, grads }
}

type Settings = Required<RankBudgetOptions>

function checked(adapter: Adapter, options: RankBudgetOptions): Settings {
  checkNames('rankBudget', options, NAMES)
  if (adapter.method.name !== 'adalora') throw new InputError(`rankBudget: expected an AdaLoRA, attach(model, adalora({ … })), got ${adapter.method.name}.`)
  const settings: Settings = { targetRank: 8, initialSteps: 0, finalSteps: 0, interval: 1, beta1: 0.85, beta2: 0.85, orthogonality: 0.5, ...options }
  const { steps, targetRank, initialSteps, finalSteps, interval, beta1, beta2, orthogonality } = settings
  const problems: string[] = []
  for (const [name, value, least] of [['steps', steps, 1], ['targetRank', targetRank, 1], ['initialSteps', initialSteps, 0], ['finalSteps', finalSteps, 0], ['interval', interval, 1]] as const) {
    if (!Number.isInteger(value) || value < least) problems.push(`${name}: expected an integer of at least ${least}, got ${shown(value)}`)
  }
  for (const [name, value] of Object.entries({ beta1, beta2 })) if (!(value > 0 && value < 1)) problems.push(`${name}: expected a number in (0, 1), got ${shown(value)}`)
  if (!(orthogonality >= 0 && orthogonality < Infinity)) problems.push(`orthogonality: expected a number of at least 0, got ${shown(orthogonality)}`)
  if (initialSteps + finalSteps >= steps) problems.push(`initialSteps and finalSteps: expected less than steps (${shown(steps)}) together, got ${shown(initialSteps)} and ${shown(finalSteps)}, between which no rank would be taken`)
  else if (finalSteps > steps - 2) problems.push(`steps, finalSteps: expected two steps at least before the last ones, in which it is seen what matters, got ${shown(steps)} and ${shown(finalSteps)}`)
  const ranks = adapter.sites.map(({ name }) => adapter.trainable[`${name}.E`]?.size ?? 0)
  const mean = ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length
  if (targetRank > mean) problems.push(`targetRank: expected at most ${mean}, what the adapter's modules have on average, got ${shown(targetRank)}`)
  if (problems.length > 0) throw new InputError('rankBudget: the options cannot be used:', problems)
  return settings
}

const NAMES: Names<RankBudgetOptions> = {
  steps: true, targetRank: true, initialSteps: true, finalSteps: true, interval: true, beta1: true, beta2: true, orthogonality: true,
}
