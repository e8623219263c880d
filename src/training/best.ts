import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { nearTo, type Names } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import type { EvaluateEvent } from './events.ts'

/** Which evaluation counts as the best, and when training stops without a better one. */
export interface BestOptions {
  /** Measure of an evaluation, by its name in the event: `accuracy`, `f1`, `loss`, one of your own. */
  readonly metric: string
  /** @default true for `loss`, `mse` and `perplexity`, false for others; of a measure of your own that is called an error or a loss it has to be said */
  readonly lowerIsBetter?: boolean
  /** Evaluations in a row that are no better after which training ends. @default Infinity: it does not */
  readonly patience?: number
  /** How much better an evaluation has to be to count as better. @default 0 */
  readonly minDelta?: number
}

export const BEST_OPTIONS: Names<BestOptions> = { metric: true, lowerIsBetter: true, patience: true, minDelta: true }

/** Those whose best value is the lowest. */
const LOWER_IS_BETTER = ['loss', 'mse', 'perplexity']

/** Measures that the lowest value would be best of, by what they are called, where nobody has said so. */
const OF_ERRORS = /(loss|errors?|errorRate|mae|mse|perplexity|distance)$/i

/** All that is wrong with them. */
export function bestProblems({ metric, lowerIsBetter, patience = Infinity, minDelta = 0 }: BestOptions): string[] {
  const isCount = patience === Infinity || (Number.isInteger(patience) && patience >= 1)
  return [
    ...(isCount ? [] : [`best.patience: expected an integer of at least 1, got ${shown(patience)}`]),
    ...(typeof minDelta === 'number' && minDelta >= 0 ? [] : [`best.minDelta: expected a number of at least 0, got ${shown(minDelta)}`]),
    ...(lowerIsBetter === undefined || typeof lowerIsBetter === 'boolean' ? [] : [`best.lowerIsBetter: expected true or false, got ${shown(lowerIsBetter)}`]),
    ...(lowerIsBetter === undefined && !LOWER_IS_BETTER.includes(metric) && OF_ERRORS.test(metric) ? [`best.lowerIsBetter: expected true or false beside ${shown(metric)}, whose name says that the lowest may be best`] : []),
  ]
}

/** Value and step of the best evaluation, and how many have come since; survives JSON. */
export interface BestState {
  readonly value: number
  readonly step: number
  readonly since: number
}

/** Keeps a copy of the trained tensors of the best evaluation so far. */
export class Best {
  readonly #options: BestOptions
  readonly #trainable: Readonly<Record<string, Variable>>
  #state: BestState | undefined
  #weights: Record<string, Tensor> = {}

  constructor(options: BestOptions, trainable: Readonly<Record<string, Variable>>) {
    this.#options = options
    this.#trainable = trainable
  }

  get state(): BestState | undefined {
    return this.#state
  }

  /** The best weights; empty before the first evaluation. Not the caller's to dispose. */
  get weights(): Readonly<Record<string, Tensor>> {
    return this.#weights
  }

  /** @throws InputError when evaluations have no such measure */
  check(names: readonly string[]): void {
    const { metric } = this.#options
    if (names.includes(metric)) return
    const near = nearTo(metric, names)
    throw new InputError(`best.metric: expected one of ${names.join(', ')}, got ${shown(metric)}${near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`}`)
  }

  see({ step, [this.#options.metric]: measured }: EvaluateEvent): void {
    const { metric, lowerIsBetter = LOWER_IS_BETTER.includes(metric), minDelta = 0 } = this.#options
    const value = Number(measured)
    const before = this.#state?.value ?? NaN
    const isFirst = this.#state === undefined || (Number.isNaN(before) && !Number.isNaN(value))
    const gain = lowerIsBetter ? before - value : value - before
    if (isFirst || gain > minDelta) this.restore({ value, step, since: 0 }, this.#trainable)
    else if (this.#state !== undefined) this.#state = { ...this.#state, since: this.#state.since + 1 }
  }

  get isOver(): boolean {
    return (this.#state?.since ?? 0) >= (this.#options.patience ?? Infinity)
  }

  /** Goes on from an earlier state; copies the tensors. */
  restore(state: BestState, weights: Readonly<Record<string, Tensor>>): void {
    tf.dispose(this.#weights)
    this.#state = state
    this.#weights = tf.tidy(() => Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [name, tf.keep(tensor.clone())])))
  }

  /** What a user should know at the end: no evaluation could be told better than another. */
  get warning(): string | undefined {
    return Number.isNaN(this.#state?.value ?? 0) ? `best.metric: ${this.#options.metric} was not a number in any evaluation; the weights are those of the last step` : undefined
  }

  /** Puts the best weights into the trained tensors, where there are any. */
  apply(): void {
    if (this.warning !== undefined) return
    tf.tidy(() => {
      for (const [name, tensor] of Object.entries(this.#weights)) this.#trainable[name]?.assign(tensor.clone())
    })
  }

  dispose(): void {
    tf.dispose(this.#weights)
    this.#weights = {}
  }
}
