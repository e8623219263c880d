import { setImmediate } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'
import type { Variable } from '@tensorflow/tfjs-core'
import { InputError, TrainingError } from '../errors.ts'
import type { LossOptions } from '../base/architecture.ts'
import { adaptersOf } from '../base/attach.ts'
import type { Model } from '../base/model.ts'
import { randomStream } from '../base/random.ts'
import type { Guard } from '../forgetting/guard.ts'
import { accumulatedGrads } from './accumulate.ts'
import { withLayersDropped } from './adapter-drop.ts'
import { AdamW, type ParameterGroup } from './adamw.ts'
import { prepareBatches, type BatchSource, type Examples, type PaddedBatch } from './batches.ts'
import { Best, type BestOptions } from './best.ts'
import { clipByGlobalNorm } from './clip.ts'
import type { EvaluateEvent, StepEvent, TrainerEvent } from './events.ts'
import { addPenalties } from './guarded.ts'
import { measure } from './measure.ts'
import { missingLabels, transformFor } from './objectives.ts'
import { keepCheckpoint, resume, settingsOf, type CheckpointOptions, type Position } from './resume.ts'
import { linear, type DecayOptions, type Schedule } from './schedules.ts'
import type { Watcher } from './watch.ts'

export interface TrainerOptions {
  /** A model with at least one adapter; the tensors of all enabled adapters are trained. */
  readonly model: Model
  /** Rows with labels, or batches made of them in another way. */
  readonly train: Examples | BatchSource
  /** Rows to measure on. @default none */
  readonly evaluate?: Examples
  /** Steps between measurements. @default those of an epoch */
  readonly evaluateEvery?: number
  /** Passes over the rows. @default 1 */
  readonly epochs?: number
  /** Rows in a batch. @default 32 */
  readonly batchSize?: number
  /** Batches in a step: the gradients are those of one batch of all their rows, in the memory of one. @default 1 */
  readonly accumulate?: number
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
  /** Layers run again in the backward pass instead of being kept for it: less memory, more time. @default false */
  readonly recompute?: boolean
  /** Leaves adapters out of a random number of first layers in each step; see `withLayersDropped`. @default false */
  readonly adapterDrop?: boolean
  /** Rows of like length share a batch, chosen among this many batches at a time. @default 1: no regrouping */
  readonly bucketWindow?: number
  /** Row numbers in the order to train on, in place of a shuffle. */
  readonly order?: readonly number[] | Int32Array
  /** Ends training after so many steps; the schedule is made for them. @default as many as the epochs have */
  readonly maxSteps?: number
  /** Ends training after the step in which so much time is over, resumed runs counting anew. @default Infinity */
  readonly maxSeconds?: number
  /** Ends with the weights of the best evaluation instead of the last, and after `patience` no better ones. @default the last */
  readonly best?: BestOptions
  /** Share of each target that is spread over all classes. @default 0 */
  readonly labelSmoothing?: number
  /** How much each class counts in the loss. @default 1 for each */
  readonly classWeights?: ArrayLike<number>
  /** What keeps the model from forgetting what it was trained for before: `ewc`, `l2Sp` and others. @default none */
  readonly guards?: readonly Guard[]
  /** Keeps checkpoints in a folder, and goes on from the newest one that is there. @default none */
  readonly checkpoints?: CheckpointOptions
  /**
   * What to do where loss or gradients are not finite: end with an error, or leave the weights as they are and go on, ten
   * times in a row at most. @default 'throw'
   */
  readonly nonFinite?: 'throw' | 'skip'
}

export interface RunOptions {
  /** Ends training after the step in progress, with a checkpoint where there are any. */
  readonly signal?: AbortSignal
}

export interface FitOptions extends RunOptions {
  readonly onEvent?: (event: TrainerEvent) => void
  /** Progress, logs and the like; each is closed at the end, also when training fails. */
  readonly watchers?: readonly Watcher[]
}

/** Steps in a row that may be skipped: after more of them something is wrong that does not pass. */
const MOST_SKIPPED = 10

/** The batches of one step. */
interface Group {
  readonly epoch: number
  readonly batches: readonly PaddedBatch[]
  readonly waited: number
}

/** Trains what is attached to a model. */
export class Trainer {
  readonly #options: TrainerOptions
  readonly #source: BatchSource
  readonly #trainable: Readonly<Record<string, Variable>>

  /** @throws InputError when nothing is attached, or the rows or settings cannot be used */
  constructor(options: TrainerOptions) {
    const problems = problemsOf(options)
    if (problems.length > 0) throw new InputError('Trainer: the options cannot be used:', problems)
    this.#options = options
    this.#trainable = trainableOf(options.model)
    for (const guard of options.guards ?? []) guard.check(this.#trainable)
    this.#source = sourceOf(options)
  }

  /** Optimiser steps in all. */
  get steps(): number {
    const { maxSteps = Infinity, epochs = maxSteps === Infinity ? 1 : Infinity } = this.#options
    return Math.min(this.#stepsInEpoch * epochs, maxSteps)
  }

  get #stepsInEpoch(): number {
    return Math.ceil(this.#source.count / (this.#options.accumulate ?? 1))
  }

  /**
   * Trains step by step; leaving the loop stops the training with the weights of the last step.
   *
   * @throws TrainingError when the loss or its gradients are not finite; weights stay those of the step before.
   *   CheckpointError when a checkpoint cannot be written, or the folder's are of another training
   * @example for await (const event of trainer.run()) if (event.type === 'step') console.log(event.loss)
   */
  async *run({ signal }: RunOptions = {}): AsyncGenerator<TrainerEvent, void> {
    const { learningRate = 5e-4, weightDecay = 0.01, groups = [], checkpoints, evaluate, maxSeconds = Infinity } = this.#options
    const { evaluateEvery = this.#stepsInEpoch, guards = [] } = this.#options
    const begin = performance.now()
    const optimizer = new AdamW(this.#trainable, { learningRate, weightDecay, groups })
    const best = this.#options.best === undefined ? undefined : new Best(this.#options.best, this.#trainable)
    const progress = { optimizer, best, guards, trainable: this.#trainable, settings: settingsOf(this.#options, this.steps, this.#trainable) }
    try {
      let position: Position = { step: 0, skipped: 0 }
      const found = checkpoints === undefined ? undefined : await resume(checkpoints.folder, progress)
      if (found !== undefined) {
        position = found.position
        yield { type: 'resume', step: position.step, refused: found.refused }
      }
      for await (const group of this.#groups(position.step, best)) {
        const event = this.#step(group, optimizer, position)
        position = { step: event.step, skipped: event.skipped === true ? position.skipped + 1 : 0 }
        yield event
        await setImmediate() // lets signals and timers of the program through
        const isLast = event.step === this.steps
        if (evaluate !== undefined && (isLast || event.step % evaluateEvery === 0)) {
          const measured = await this.#evaluate(evaluate, event)
          best?.see(measured)
          yield measured
        }
        const reason = isLast ? undefined : stopReason(signal, performance.now() - begin >= maxSeconds * 1000)
        if (checkpoints !== undefined && (isLast || reason !== undefined || event.step % (checkpoints.every ?? this.#stepsInEpoch) === 0)) {
          yield { type: 'checkpoint', step: event.step, path: await keepCheckpoint(checkpoints, progress, position) }
        }
        if (reason !== undefined) {
          yield { type: 'stop', step: event.step, reason }
          return
        }
      }
      if (best?.isOver === true) yield { type: 'stop', step: position.step, reason: 'no better evaluation' }
      best?.apply()
    } finally {
      optimizer.dispose()
      best?.dispose()
    }
  }

  /**
   * Trains to the end.
   *
   * @throws TrainingError, CheckpointError as `run` does
   */
  async fit({ onEvent, watchers = [], signal }: FitOptions = {}): Promise<void> {
    try {
      for await (const event of this.run(signal === undefined ? {} : { signal })) {
        onEvent?.(event)
        for (const watcher of watchers) watcher.onEvent(event)
      }
    } finally {
      for (const watcher of watchers) watcher.close?.()
    }
  }

  /** The batches of each step that is still to be done. */
  async *#groups(done: number, best: Best | undefined): AsyncGenerator<Group, void> {
    const { accumulate = 1 } = this.#options
    let step = done
    while (step < this.steps) {
      const epoch = Math.floor(step / this.#stepsInEpoch)
      let batches: PaddedBatch[] = []
      let asked = performance.now()
      let waited = 0
      for await (const batch of this.#source.epoch(epoch, (step % this.#stepsInEpoch) * accumulate)) {
        waited += performance.now() - asked
        batches.push(batch)
        if (batches.length === accumulate || batch.index === this.#source.count - 1) {
          if (best?.isOver === true || step === this.steps) return
          step++
          yield { epoch, batches, waited }
          batches = []
          waited = 0
        }
        asked = performance.now()
      }
      if (step < this.steps && step < (epoch + 1) * this.#stepsInEpoch) {
        throw new TrainingError(`Epoch ${epoch} ended before its ${this.#source.count} batches had come; is the data being written to?`)
      }
    }
  }

  #step({ epoch, batches, waited }: Group, optimizer: AdamW, { step, skipped }: Position): StepEvent {
    const start = performance.now()
    const { model, maxGradNorm = 1, seed = 0, recompute = false, learningRate: highest = 5e-4, warmup = 0, schedule = linear, nonFinite = 'throw', guards = [] } = this.#options
    const learningRate = highest * schedule({ totalSteps: this.steps, warmupSteps: Math.ceil(warmup * this.steps) })(step)
    const random = randomStream(seed, 'step', step)
    const run = (idle?: ReadonlySet<Variable>): ReturnType<typeof accumulatedGrads> =>
      accumulatedGrads(model, batches, this.#trainable, () => ({ training: true, seed: random(), recompute, ...lossOptionsOf(this.#options) }), idle)
    const { loss, grads: own } = this.#options.adapterDrop === true ? withLayersDropped(model, { seed, step }, run) : run()
    const { grads, penalty } = addPenalties(guards, { model, trainable: this.#trainable, batches }, own)
    const clipped = clipByGlobalNorm(grads, maxGradNorm)
    tf.dispose(Object.values(grads))
    const isFinite = Number.isFinite(loss) && Number.isFinite(clipped.norm)
    try {
      if (!isFinite && (nonFinite === 'throw' || skipped === MOST_SKIPPED)) {
        throw new TrainingError(
          `Step ${step + 1}: the loss is ${loss} and the norm of its gradients ${clipped.norm}, at learning rate ${learningRate}` +
            `${skipped > 0 ? `, for the ${skipped + 1}th time in a row` : ''}. The weights are those of the step before. ` +
            'Try a lower learning rate, or more warm-up.',
        )
      }
      if (isFinite) {
        optimizer.step(clipped.grads, learningRate)
        for (const guard of guards) guard.afterStep?.(this.#trainable)
      }
    } finally {
      tf.dispose(Object.values(clipped.grads))
    }
    return {
      type: 'step',
      step: step + 1,
      steps: this.steps,
      epoch,
      loss,
      ...(penalty === undefined ? {} : { penalty }),
      learningRate,
      gradNorm: clipped.norm,
      milliseconds: performance.now() - start,
      waited,
      tokens: batches.reduce((sum, { mask }) => mask.reduce((tokens, bit) => tokens + bit, sum), 0),
      ...(isFinite ? {} : { skipped: true }),
    }
  }

  async #evaluate(rows: Examples, { step, epoch }: StepEvent): Promise<EvaluateEvent> {
    const { model, batchSize = 32 } = this.#options
    return { type: 'evaluate', step, epoch, ...(await measure(model, rows, batchSize)) }
  }
}

function problemsOf({ train, epochs, warmup = 0, best, evaluate, ...options }: TrainerOptions): string[] {
  const { accumulate, evaluateEvery, maxSteps, checkpoints } = options
  const counts = { epochs, accumulate, evaluateEvery, maxSteps, 'checkpoints.every': checkpoints?.every, 'checkpoints.limit': checkpoints?.limit }
  const problems = Object.entries(counts)
    .filter(([, count]) => count !== undefined && (!Number.isInteger(count) || count < 1))
    .map(([name, count]) => `${name}: expected an integer of at least 1, got ${String(count)}`)
  if (!(warmup >= 0 && warmup <= 1)) problems.push(`warmup: expected a share from 0 to 1, got ${warmup}`)
  if ('ids' in train) problems.push(...missingLabels(options.model.parts.task, train).map((problem) => `train: ${problem}`))
  if (best !== undefined && evaluate === undefined) problems.push('best: expected rows to evaluate on, got none')
  return problems
}

function sourceOf({ model, train, batchSize = 32, seed = 0, order, bucketWindow = 1 }: TrainerOptions): BatchSource {
  if (!('ids' in train)) return train
  const classes = model.parts.labels.length
  return prepareBatches(train, { batchSize, bucketWindow, order: order ?? { seed }, ...(classes > 0 ? { classes } : {}), ...transformFor(model.parts.task) })
}

function lossOptionsOf({ labelSmoothing, classWeights }: TrainerOptions): LossOptions {
  return { ...(labelSmoothing === undefined ? {} : { labelSmoothing }), ...(classWeights === undefined ? {} : { classWeights }) }
}

function stopReason(signal: AbortSignal | undefined, timeIsOver: boolean): string | undefined {
  if (signal?.aborted === true) return signal.reason instanceof Error || signal.reason === undefined ? 'asked to' : String(signal.reason)
  return timeIsOver ? 'maxSeconds is over' : undefined
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
