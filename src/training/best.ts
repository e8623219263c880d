import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { EvaluateEvent } from './events.ts'
import { measurements } from './watch.ts'

/** Which evaluation counts as the best, and when training stops without a better one. */
export interface BestOptions {
  /** Measurement of an evaluation, by its name in the event: `accuracy`, `f1`, ... */
  readonly metric: string
  /** @default false: a higher value is better */
  readonly lowerIsBetter?: boolean
  /** Evaluations in a row that are no better after which training ends. @default Infinity: it does not */
  readonly patience?: number
  /** How much better an evaluation has to be to count as better. @default 0 */
  readonly minDelta?: number
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

  /** @throws InputError when the event has no such measurement */
  see(event: EvaluateEvent): void {
    const { metric, lowerIsBetter = false, minDelta = 0 } = this.#options
    const measured = measurements(event)
    const value = measured.get(metric)
    if (value === undefined) {
      throw new InputError(`best.metric: expected one of ${[...measured.keys()].join(', ')}, got ${JSON.stringify(metric)}.`)
    }
    const gain = this.#state === undefined ? Infinity : lowerIsBetter ? this.#state.value - value : value - this.#state.value
    if (gain > minDelta) this.restore({ value, step: event.step, since: 0 }, this.#trainable)
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

  /** Puts the best weights into the trained tensors. */
  apply(): void {
    tf.tidy(() => {
      for (const [name, tensor] of Object.entries(this.#weights)) this.#trainable[name]?.assign(tensor.clone())
    })
  }

  dispose(): void {
    tf.dispose(this.#weights)
    this.#weights = {}
  }
}
