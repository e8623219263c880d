/**
 * AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101), with the numbers of torch.optim.AdamW:
 *
 *   m ← m + (1 - β1)(g - m)        v ← β2 v + (1 - β2) g²
 *   θ ← (1 - lr·decay) θ - lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε)
 */
import * as tf from '@tensorflow/tfjs-core'
import { choose, fused, type Forms } from '../base/engine/kernels.ts'
import { CheckpointError, InputError, TrainingError } from '../errors.ts'

/** Tensors for which some settings differ, as in LoRA+ or where biases do not decay. */
export interface ParameterGroup {
  /** Whether the tensor of this name is in the group; of several groups the first that matches counts. */
  readonly match: (name: string) => boolean
  /** Factor on the learning rate, or one for each number of steps taken: 0 leaves the tensors where they are. @default 1 */
  readonly learningRateScale?: number | ((step: number) => number)
  /** @default the optimiser's own */
  readonly weightDecay?: number
}

/** AdamW's settings, under the paper's names. */
export interface AdamWOptions {
  /** Step size, unless a step is given another. */
  readonly learningRate: number
  /** Decay of the mean gradient. @default 0.9 */
  readonly beta1?: number
  /** Decay of the mean squared gradient. @default 0.999 */
  readonly beta2?: number
  /** Added to the root of the mean squared gradient after its bias correction. @default 1e-8 */
  readonly epsilon?: number
  /** Share of the weight that a step of size 1 takes away. @default 0.01 */
  readonly weightDecay?: number
  /** Tensors with a learning rate or decay of their own. @default none */
  readonly groups?: readonly ParameterGroup[]
}

/** All that a later run needs to go on: `exp_avg.<name>` and `exp_avg_sq.<name>`, shaped as the trained tensors. */
export interface AdamWState {
  /** Steps taken. */
  readonly step: number
  /** Of them, those in which a tensor was idle, by its name; tensors that never were are left out. */
  readonly idle?: Readonly<Record<string, number>>
  readonly tensors: Readonly<Record<string, tf.Tensor>>
}

/** One trained tensor with its moments and its settings. */
interface Slot {
  readonly variable: tf.Variable
  readonly mean: tf.Variable
  readonly square: tf.Variable
  readonly learningRateScale: (step: number) => number
  readonly weightDecay: number
}

/**
 * Trains a record of variables by AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101), with PyTorch's numbers. Owns the
 * moments, not the variables.
 *
 * @example
 * const optimizer = new AdamW(adapter.trainable, { learningRate: 5e-4 })
 * optimizer.step(grads, 5e-4 * schedule(optimizer.steps))
 */
export class AdamW {
  readonly #slots: ReadonlyMap<string, Slot>
  readonly #options: Required<Omit<AdamWOptions, 'groups'>>
  #steps = 0
  readonly #idle = new Map<string, number>()

  /**
   * @param variables the tensors to train by name (float32)
   * @throws InputError listing every setting out of range
   */
  constructor(variables: Readonly<Record<string, tf.Variable>>, options: AdamWOptions) {
    const { learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01, groups = [] } = options
    this.#options = { learningRate, beta1, beta2, epsilon, weightDecay }
    checkOptions(this.#options, groups)
    // The largest first: where memory runs out, it does before anything has moved.
    const bySize = Object.entries(variables).sort(([, a], [, b]) => b.size - a.size)
    this.#slots = new Map(bySize.map(([name, variable]) => {
      const group = groups.find(({ match }) => match(name))
      const scale = group?.learningRateScale ?? 1
      const zeros = (): tf.Variable => tf.tidy(() => tf.variable(tf.zerosLike(variable), false))
      return [name, {
        variable,
        mean: zeros(),
        square: zeros(),
        learningRateScale: typeof scale === 'function' ? scale : () => scale,
        weightDecay: group?.weightDecay ?? weightDecay,
      }]
    }))
  }

  /** Steps taken, those before a restored checkpoint included. */
  get steps(): number {
    return this.#steps
  }

  /**
   * Moves every variable one step against its gradient.
   *
   * @param grads one gradient per variable, by the same names; not disposed
   * @param learningRate of this step (default: the optimiser's)
   * @param idle variables that had no part in the step: they and their moments stay as they are, and the step does not count
   *   for them, as in torch for a parameter without a gradient
   * @throws InputError listing names without a gradient, gradients of unknown names and wrong shapes; nothing has moved then.
   *   TrainingError where the engine fails when some have moved and others have not
   */
  step(
    grads: Readonly<Record<string, tf.Tensor>>,
    learningRate: number = this.#options.learningRate,
    idle: ReadonlySet<tf.Variable> = new Set(),
  ): void {
    const shapes = new Map([...this.#slots].map(([name, { variable }]) => [name, variable.shape]))
    const rates = new Map([...this.#slots].map(([name, { learningRateScale }]) => [name, learningRate * learningRateScale(this.#steps)]))
    const problems = [
      ...nonNegative('learningRate', learningRate),
      ...(learningRate >= 0 ? [...rates].flatMap(([name, rate]) => nonNegative(`learning rate of ${name}`, rate)) : []),
      ...compare(shapes, grads, 'gradient'),
    ]
    if (problems.length > 0) throw new InputError('AdamW: the gradients do not fit the trained tensors.', problems)

    const { beta1, beta2, epsilon } = this.#options
    const step = this.#steps + 1
    let moved = 0
    for (const [name, { variable, mean, square, weightDecay }] of this.#slots) {
      if (idle.has(variable)) continue
      const missed = this.#idle.get(name) ?? 0
      const learned = rates.get(name) ?? NaN // of the same names
      const numbers: StepNumbers = {
        beta1, beta2, epsilon,
        rate: learned / (1 - beta1 ** (step - missed)),
        rootCorrection: Math.sqrt(1 - beta2 ** (step - missed)),
        kept: 1 - learned * weightDecay,
      }
      try {
        tf.tidy(() => {
          const tensors: StepTensors = [variable, mean, square, grads[name] as tf.Tensor] // compared above
          const [nextVariable, nextMean, nextSquare] = choose(STEP, tensors)(tensors, numbers)
          variable.assign(nextVariable)
          mean.assign(nextMean)
          square.assign(nextSquare)
        })
        moved++
      } catch (cause) {
        if (moved === 0) throw cause
        throw new TrainingError(
          `AdamW: step ${step} failed when ${moved} of ${this.#slots.size} tensors had moved: the weights are between two steps. ` +
            `Go on from a checkpoint, or load the adapter again. (${cause instanceof Error ? cause.message : String(cause)})`, [], { cause })
      }
    }
    this.#steps = step
    for (const [name, { variable }] of this.#slots) if (idle.has(variable)) this.#idle.set(name, (this.#idle.get(name) ?? 0) + 1)
  }

  /** Copies of the moments and the number of steps, for a checkpoint. The caller disposes the tensors. */
  state(): AdamWState {
    const tensors: Record<string, tf.Tensor> = {}
    for (const [key, moment] of this.#moments()) tensors[key] = moment.clone()
    return { step: this.#steps, ...(this.#idle.size === 0 ? {} : { idle: Object.fromEntries(this.#idle) }), tensors }
  }

  /**
   * Goes on from a state: the next steps are those that the optimiser it came from would have taken.
   *
   * @param state as `state` gave it; its tensors are copied, not disposed
   * @throws CheckpointError listing missing and unknown tensors and wrong shapes; nothing has changed then
   */
  restore(state: AdamWState): void {
    const moments = this.#moments()
    const shapes = new Map([...moments].map(([key, moment]) => [key, moment.shape]))
    const problems = compare(shapes, state.tensors, 'moment')
    if (!Number.isSafeInteger(state.step) || state.step < 0) {
      problems.push(`step: expected a natural number, got ${state.step}`)
    }
    if (problems.length > 0) {
      throw new CheckpointError('AdamW: the checkpoint is of another set of trained tensors. ' +
        'Attach the adapter it was saved with, or start with a new optimiser.', problems)
    }
    tf.tidy(() => {
      for (const [key, moment] of moments) moment.assign((state.tensors[key] as tf.Tensor).clone()) // compared above
    })
    this.#steps = state.step
    this.#idle.clear()
    for (const [name, count] of Object.entries(state.idle ?? {})) this.#idle.set(name, count)
  }

  /** Frees the moments. The variables stay. */
  dispose(): void {
    for (const moment of this.#moments().values()) moment.dispose()
  }

  /** The moments by torch's words for them, which are the keys in a checkpoint. */
  #moments(): Map<string, tf.Variable> {
    return new Map([...this.#slots].flatMap(([name, { mean, square }]) =>
      [[`exp_avg.${name}`, mean], [`exp_avg_sq.${name}`, square]] as const))
  }
}

interface StepNumbers {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** The learning rate over the mean's correction. */
  readonly rate: number
  readonly rootCorrection: number
  /** What weight decay leaves of the variable. */
  readonly kept: number
}

/** Variable, mean, square and gradient. */
type StepTensors = readonly [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]

/** The next variable, mean and square. */
const STEP: Forms<(tensors: StepTensors, numbers: StepNumbers) => readonly [tf.Tensor, tf.Tensor, tf.Tensor]> = {
  fused: (tensors, { beta1, beta2, epsilon, rate, rootCorrection, kept }) => {
    const numbers = tf.tensor1d([1 - beta1, beta2, 1 - beta2, epsilon, rate, rootCorrection, kept])
    return fused('AdamW', [...tensors, numbers], {}, 3) as [tf.Tensor, tf.Tensor, tf.Tensor]
  },
  composed: ([variable, mean, square, grad], { beta1, beta2, epsilon, rate, rootCorrection, kept }) => {
    const nextMean = tf.add(mean, tf.mul(tf.sub(grad, mean), 1 - beta1))
    const nextSquare = tf.add(tf.mul(square, beta2), tf.mul(tf.square(grad), 1 - beta2))
    const scale = tf.add(tf.div(tf.sqrt(nextSquare), rootCorrection), epsilon)
    return [tf.sub(tf.mul(variable, kept), tf.mul(tf.div(nextMean, scale), rate)), nextMean, nextSquare]
  },
}

function compare(expected: ReadonlyMap<string, readonly number[]>, got: Readonly<Record<string, tf.Tensor>>, what: string): string[] {
  const problems: string[] = []
  for (const [name, shape] of expected) {
    const tensor = got[name]
    if (tensor === undefined) problems.push(`${name}: no ${what}`)
    else if (tensor.shape.join() !== shape.join()) {
      problems.push(`${name}: expected a ${what} of shape [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`)
    }
  }
  for (const name of Object.keys(got)) if (!expected.has(name)) problems.push(`${name}: a ${what}, but no such trained tensor`)
  return problems
}

function checkOptions(options: Required<Omit<AdamWOptions, 'groups'>>, groups: readonly ParameterGroup[]): void {
  const problems = [
    ...nonNegative('learningRate', options.learningRate),
    ...belowOne('beta1', options.beta1),
    ...belowOne('beta2', options.beta2),
    ...nonNegative('epsilon', options.epsilon),
    ...nonNegative('weightDecay', options.weightDecay),
    ...groups.flatMap((group, i) => [
      ...(typeof group.learningRateScale === 'number' ? nonNegative(`groups[${i}].learningRateScale`, group.learningRateScale) : []),
      ...nonNegative(`groups[${i}].weightDecay`, group.weightDecay ?? 0),
    ]),
  ]
  if (problems.length > 0) throw new InputError('AdamW: settings out of range. Correct these:', problems)
}

function nonNegative(name: string, value: number): string[] {
  return value >= 0 && Number.isFinite(value) ? [] : [`${name}: expected a number of at least 0, got ${value}`]
}

function belowOne(name: string, value: number): string[] {
  return value >= 0 && value < 1 ? [] : [`${name}: expected a number from 0 to below 1, got ${value}`]
}
