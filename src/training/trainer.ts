import { setImmediate } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'
import type { Variable } from '@tensorflow/tfjs-core'
import { InputError, TrainingError } from '../errors.ts'
import { adaptersOf } from '../base/attach.ts'
import { valueAndGrads } from '../base/grads.ts'
import type { Model } from '../base/model.ts'
import { randomStream } from '../base/random.ts'
import { AdamW, type ParameterGroup } from './adamw.ts'
import { prepareBatches, type Batches, type Examples, type PaddedBatch } from './batches.ts'
import { clipByGlobalNorm } from './clip.ts'
import { accuracy, precisionRecallF1 } from './metrics.ts'
import { predict } from './predict.ts'
import { linear, type DecayOptions, type Schedule } from './schedules.ts'
import type { Watcher } from './watch.ts'

export interface TrainerOptions {
  /** A model with at least one adapter; the tensors of all enabled adapters are trained. */
  readonly model: Model
  /** Rows with labels. */
  readonly train: Examples
  /** Rows to measure on after each epoch. @default none */
  readonly evaluate?: Examples
  /** Passes over the rows. @default 1 */
  readonly epochs?: number
  /** Rows in a step. @default 32 */
  readonly batchSize?: number
  /** The highest learning rate of the schedule. @default 5e-4 */
  readonly learningRate?: number
  /** Shape of the learning rate over all steps. @default linear: falls to 0 */
  readonly schedule?: (options: DecayOptions) => Schedule
  /** Share of the steps in which the learning rate rises from 0. @default 0 */
  readonly warmup?: number
  /** AdamW's decoupled decay of everything trained. @default 0.01 */
  readonly weightDecay?: number
  /** Tensors with a learning rate or decay of their own. */
  readonly groups?: readonly ParameterGroup[]
  /** Largest norm of all gradients together; Infinity to leave them as they are. @default 1 */
  readonly maxGradNorm?: number
  /** Decides the order of the rows and the dropout. @default 0 */
  readonly seed?: number
  /** Rows of like length share a batch, chosen among this many batches at a time. @default 1: no regrouping */
  readonly bucketWindow?: number
  /** Row numbers in the order to train on, in place of a shuffle. */
  readonly order?: readonly number[] | Int32Array
}

/** One optimiser step is done. */
export interface StepEvent {
  readonly type: 'step'
  /** Steps done, from 1, and steps in all. */
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly loss: number
  readonly learningRate: number
  /** Norm of all gradients, before clipping. */
  readonly gradNorm: number
  readonly milliseconds: number
  /** Tokens in the step, padding left out. */
  readonly tokens: number
}

/** The held-out rows were measured. */
export interface EvaluateEvent {
  readonly type: 'evaluate'
  readonly step: number
  readonly epoch: number
  readonly accuracy: number
  /** Of class 1 for two classes, else the mean over classes. */
  readonly f1: number
}

export type TrainerEvent = StepEvent | EvaluateEvent

export interface FitOptions {
  readonly onEvent?: (event: TrainerEvent) => void
  /** Progress, logs and the like; each is closed at the end, also when training fails. */
  readonly watchers?: readonly Watcher[]
  /** Ends training after the step in progress. */
  readonly signal?: AbortSignal
}

/** Trains what is attached to a model. */
export class Trainer {
  readonly #options: TrainerOptions
  readonly #batches: Batches
  readonly #trainable: Readonly<Record<string, Variable>>

  /** @throws InputError when nothing is attached, or the rows or settings cannot be used */
  constructor(options: TrainerOptions) {
    const { model, train, batchSize = 32, seed = 0, order, bucketWindow = 1, epochs = 1, warmup = 0 } = options
    const problems: string[] = []
    if (!Number.isInteger(epochs) || epochs < 1) problems.push(`epochs: expected an integer of at least 1, got ${epochs}`)
    if (!(warmup >= 0 && warmup <= 1)) problems.push(`warmup: expected a share from 0 to 1, got ${warmup}`)
    if (train.labels === undefined) problems.push('train: expected labels, one for each row')
    if (problems.length > 0) throw new InputError('Trainer: the options cannot be used:', problems)
    const classes = model.parts.labels.length
    this.#options = options
    this.#trainable = trainableOf(model)
    this.#batches = prepareBatches(train, {
      batchSize,
      bucketWindow,
      order: order ?? { seed },
      ...(classes > 0 ? { classes } : {}),
    })
  }

  /** Optimiser steps in all. */
  get steps(): number {
    return this.#batches.count * (this.#options.epochs ?? 1)
  }

  /**
   * Trains step by step; leaving the loop stops the training with the weights of the last step.
   *
   * @throws TrainingError when the loss or its gradients are not finite; weights stay those of the step before
   * @example for await (const event of trainer.run()) if (event.type === 'step') console.log(event.loss)
   */
  async *run(): AsyncGenerator<TrainerEvent, void> {
    const { epochs = 1, learningRate = 5e-4, weightDecay = 0.01, groups = [], warmup = 0, schedule = linear } = this.#options
    const multiplier = schedule({ totalSteps: this.steps, warmupSteps: Math.ceil(warmup * this.steps) })
    const optimizer = new AdamW(this.#trainable, { learningRate, weightDecay, groups })
    try {
      for (let epoch = 0; epoch < epochs; epoch++) {
        for (const batch of this.#batches.epoch(epoch)) {
          yield this.#step(batch, optimizer, learningRate * multiplier(optimizer.steps))
          await setImmediate() // lets signals and timers of the program through
        }
        if (this.#options.evaluate !== undefined) yield await this.#evaluate(this.#options.evaluate, optimizer.steps, epoch)
      }
    } finally {
      optimizer.dispose()
    }
  }

  /** Trains to the end. @throws TrainingError as `run` does */
  async fit({ onEvent, watchers = [], signal }: FitOptions = {}): Promise<void> {
    try {
      for await (const event of this.run()) {
        onEvent?.(event)
        for (const watcher of watchers) watcher.onEvent(event)
        if (signal?.aborted === true) return
      }
    } finally {
      for (const watcher of watchers) watcher.close?.()
    }
  }

  #step(batch: PaddedBatch, optimizer: AdamW, learningRate: number): StepEvent {
    const start = performance.now()
    const { model, maxGradNorm = 1, seed = 0 } = this.#options
    const dropoutSeed = randomStream(seed, 'step', optimizer.steps)()
    const { value, grads } = valueAndGrads(() => model.loss(batch, { training: true, seed: dropoutSeed }), this.#trainable)
    const clipped = clipByGlobalNorm(grads, maxGradNorm)
    const loss = value.dataSync()[0] ?? NaN
    tf.dispose([value, ...Object.values(grads)])
    try {
      if (!Number.isFinite(loss) || !Number.isFinite(clipped.norm)) {
        throw new TrainingError(
          `Step ${optimizer.steps + 1}: the loss is ${loss} and the norm of its gradients ${clipped.norm}, at learning rate ` +
            `${learningRate}. The weights are those of the step before. Try a lower learning rate, or more warm-up.`,
        )
      }
      optimizer.step(clipped.grads, learningRate)
    } finally {
      tf.dispose(Object.values(clipped.grads))
    }
    return {
      type: 'step',
      step: optimizer.steps,
      steps: this.steps,
      epoch: batch.epoch,
      loss,
      learningRate,
      gradNorm: clipped.norm,
      milliseconds: performance.now() - start,
      tokens: batch.mask.reduce((sum, bit) => sum + bit, 0),
    }
  }

  async #evaluate(rows: Examples, step: number, epoch: number): Promise<EvaluateEvent> {
    const { model, batchSize = 32 } = this.#options
    const labels = rows.labels
    if (labels === undefined) throw new InputError('Trainer: evaluate: expected labels, one for each row')
    const { classes } = await predict(model, rows, batchSize)
    const { f1 } = precisionRecallF1(classes, labels, model.parts.labels.length === 2 ? { positive: 1 } : 'macro')
    return { type: 'evaluate', step, epoch, accuracy: accuracy(classes, labels), f1 }
  }
}

/** The tensors of all enabled adapters; a name that two of them use is kept apart by the adapter's. */
function trainableOf(model: Model): Readonly<Record<string, Variable>> {
  const adapters = adaptersOf(model).filter(({ enabled }) => enabled)
  const only = adapters.length === 1
  const trainable = Object.fromEntries(
    adapters.flatMap((adapter) =>
      Object.entries(adapter.trainable).map(([name, variable]) => [only ? name : `${adapter.name}/${name}`, variable]),
    ),
  )
  if (Object.keys(trainable).length > 0) return trainable
  throw new InputError('Trainer: the model has nothing to train; attach an adapter: attach(model, lora()).')
}
