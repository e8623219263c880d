// What a training is made of, as `Trainer` is given it.

import type { Variable } from '@tensorflow/tfjs-core'
import type { LossOptions, OwnLoss } from '../base/architecture.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import { checkAlive, type Model } from '../base/model.ts'
import type { SimilarityLoss } from '../base/tasks/similarity.ts'
import type { Task } from '../base/tasks/task.ts'
import { InputError, shown } from '../errors.ts'
import type { Guard } from './guard.ts'
import type { ParameterGroup } from './adamw.ts'
import { areBatches, prepareBatches, readyBatches, type BatchSource, type Examples } from './batches.ts'
import { powerProblems, type PowerOptions } from './power.ts'
import { bestProblems, type BestOptions } from './best.ts'
import { weightProblems, weightsOfClasses, withClassNumbers } from './class-names.ts'
import { aloneInBatch, batchOptionsFor, rowProblems } from './objectives.ts'
import { measureProblems, type OwnMeasure } from './measure.ts'
import { linear, type DecayOptions, type Schedule } from './schedules.ts'
import type { Names } from '../base/options.ts'
import { several, type Workers } from './workers.ts'

/** What a `Trainer` trains, on what, and how. */
export interface TrainerOptions {
  /** A model with at least one adapter; the tensors of all enabled adapters are trained. */
  readonly model: Model
  /** Rows with labels, or batches made of them in another way. */
  readonly train: Examples | BatchSource
  /** Rows to measure on, or batches made of them in another way, of which those of epoch 0. @default none */
  readonly evaluate?: Examples | BatchSource
  /** Steps between measurements. @default those of an epoch */
  readonly evaluateEvery?: number
  /** Passes over the rows. @default 1 */
  readonly epochs?: number
  /** Rows in a batch that is made here: none beside batches that are made already. @default 32 */
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
  /** Tensors with a learning rate or decay of their own. @default none */
  readonly groups?: readonly ParameterGroup[]
  /** Largest norm of all gradients together; Infinity to leave them as they are. @default 1 */
  readonly maxGradNorm?: number
  /** Decides what is drawn: the order of the rows, the dropout. @default 0 */
  readonly seed?: number
  /** Gradient checkpointing: layers run again in the backward pass instead of being kept for it: less memory, more time. @default false */
  readonly gradientCheckpointing?: boolean
  /**
   * Keeps, from the first epoch on, what the layers below everything that is trained give for each row, and does not compute it again: in memory,
   * and then in a file. The model's own dropout has to be off, `loadModel(…, { dropout: false })`. @default false
   */
  readonly cacheFrozen?: boolean | CacheFrozenOptions
  /** Leaves adapters out of a random number of first layers in each step; see `withLayersDropped`. @default false */
  readonly adapterDrop?: boolean
  /** Rows of like length share a batch, chosen among this many batches at a time. @default 1: no regrouping */
  readonly bucketWindow?: number
  /** Row numbers in the order to train on, in place of a shuffle. @default none: they are shuffled */
  readonly order?: readonly number[] | Int32Array
  /** Ends training after so many steps; the schedule is made for them. @default as many as the epochs have */
  readonly maxSteps?: number
  /** Ends training after the step in which so much time is over, resumed runs counting anew. @default Infinity */
  readonly maxSeconds?: number
  /** Ends with the weights of the best evaluation instead of the last, and after `patience` no better ones. @default the last */
  readonly best?: BestOptions
  /** Share of each target that is spread over all classes. @default 0 */
  readonly labelSmoothing?: number
  /** How much each class counts in the loss: a number for each, or by the names of those that do not count 1. @default 1 for each */
  readonly classWeights?: ArrayLike<number> | Readonly<Record<string, number>>
  /** `contrastive`, `cosineSimilarity` or `coSent`, or a loss of one's own; what resumes a training goes by its name. @default the task's */
  readonly loss?: OwnLoss | SimilarityLoss
  /** Measures of one's own, beside the task's; see `evaluate`. @default none */
  readonly measure?: OwnMeasure
  /** What keeps the model from forgetting what it was trained for before: `ewc`, `l2Sp` and others. @default none */
  readonly guards?: readonly Guard[]
  /** Keeps checkpoints in a folder, and resumes from the newest one that is there. @default none */
  readonly checkpoints?: CheckpointOptions
  /**
   * What to do where loss or gradients are not finite: end with an error, or leave the weights as they are and go on, ten
   * times in a row at most. @default 'throw'
   */
  readonly nonFinite?: 'throw' | 'skip'
  /** For the energy and the CO2 of the `cost` in the last event. @default as far as the machine tells it */
  readonly power?: PowerOptions
  /**
   * Shares the training with other processes, each of which runs the same program: see `joinWorkers`. `batchSize` is each worker's; of
   * batches that are made already, each takes its share of the rows. @default this process alone
   */
  readonly distributed?: Workers
}

/** Tasks whose losses compare the rows of a batch with each other. */
const COMPARING: readonly Task[] = ['sentence-embedding', 'image-text']

export const TRAINER_OPTIONS: Names<TrainerOptions> = {
  model: true, train: true, evaluate: true, evaluateEvery: true, epochs: true, batchSize: true, accumulate: true, learningRate: true,
  schedule: true, warmup: true, weightDecay: true, groups: true, maxGradNorm: true, seed: true, gradientCheckpointing: true,
  cacheFrozen: true, adapterDrop: true, bucketWindow: true, order: true, maxSteps: true, maxSeconds: true, best: true, labelSmoothing: true,
  classWeights: true, loss: true, measure: true, guards: true, checkpoints: true, nonFinite: true, power: true, distributed: true,
}

type Defaults = Required<Pick<TrainerOptions,
  'batchSize' | 'accumulate' | 'learningRate' | 'schedule' | 'warmup' | 'weightDecay' | 'groups' | 'maxGradNorm' | 'seed' |
  'gradientCheckpointing' | 'adapterDrop' | 'bucketWindow' | 'maxSeconds' | 'guards' | 'nonFinite'>>

/** What holds of these where it is left out; of the others it depends on something else. */
export const DEFAULTS: Defaults = {
  batchSize: 32, accumulate: 1, learningRate: 5e-4, schedule: linear, warmup: 0, weightDecay: 0.01, groups: [], maxGradNorm: 1, seed: 0,
  gradientCheckpointing: false, adapterDrop: false, bucketWindow: 1, maxSeconds: Infinity, guards: [], nonFinite: 'throw',
}

export type CompleteOptions<O> = O & Defaults

/** Options of `Trainer` or `trainTasks` with what was left out, or given as undefined. */
export function withDefaults<O extends object>(options: O): CompleteOptions<O> {
  return { ...DEFAULTS, ...(Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as O) }
}

/** All that is wrong with them. */
export function problemsOf({ train, epochs, warmup = 0, best, evaluate, ...options }: TrainerOptions): string[] {
  const { accumulate, evaluateEvery, maxSteps, checkpoints } = options
  const counts = { epochs, accumulate, evaluateEvery, maxSteps, 'checkpoints.every': checkpoints?.every, 'checkpoints.limit': checkpoints?.limit }
  const problems = Object.entries(counts)
    .filter(([, count]) => count !== undefined && (!Number.isInteger(count) || count < 1))
    .map(([name, count]) => `${name}: expected an integer of at least 1, got ${shown(count)}`)
  const { learningRate, weightDecay, maxGradNorm, maxSeconds, labelSmoothing, guards = [] } = options
  for (const [name, number] of Object.entries({ learningRate, weightDecay, maxGradNorm, maxSeconds, labelSmoothing })) {
    if (number !== undefined && !(typeof number === 'number' && number >= 0)) problems.push(`${name}: expected a number of at least 0, got ${shown(number)}`)
  }
  if (!Array.isArray(guards)) problems.push('guards: expected a list, as in [guard]')
  else if (guards.some((guard: unknown) => typeof (guard as Partial<Guard> | null)?.check !== 'function')) problems.push(`guards: expected what ewc() and its like give, got ${guards.map(shown).join(', ')}`)
  else if (new Set(guards).size < guards.length) problems.push('guards: expected each once, got one twice, which would hold twice as hard')
  if (options.schedule !== undefined && typeof options.schedule !== 'function') problems.push(`schedule: expected a function that makes one, as in { schedule: cosine }, got ${shown(options.schedule)}`)
  if (checkpoints !== undefined && (typeof checkpoints.folder !== 'string' || checkpoints.folder === '')) problems.push(`checkpoints.folder: expected the path of a folder, got ${shown(checkpoints.folder)}`)
  if (!(warmup >= 0 && warmup <= 1)) problems.push(`warmup: expected a share from 0 to 1, got ${warmup}`)
  const rows = { train, ...(evaluate === undefined ? {} : { evaluate }) }
  problems.push(...measureProblems(options.model, options.measure), ...weightProblems(options.model, options.classWeights))
  for (const [name, examples] of Object.entries(rows)) {
    const found = rowProblems(options.model, examples, options.loss)
    problems.push(...(found.length > 0 ? found : aloneInBatch(options.model, examples, options.batchSize ?? DEFAULTS.batchSize, options.loss)).map((problem) => `${name}: ${problem}`))
  }
  const { task } = options.model.parts
  if (several(options.distributed) !== undefined && COMPARING.includes(task)) {
    problems.push(`distributed: expected a loss of each row by itself; those of '${task}' compare the rows of a batch, which workers share out`)
  }
  const makesBatches = { batchSize: evaluate === undefined || areBatches(evaluate), order: true, bucketWindow: true } // the rows to evaluate on are made batches too
  const idle = areBatches(train) ? (['batchSize', 'order', 'bucketWindow'] as const).filter((name) => makesBatches[name] && options[name] !== undefined) : []
  problems.push(...idle.map(readyBatches))
  if (evaluate === undefined) for (const name of ['best', 'evaluateEvery'] as const) if ({ best, evaluateEvery }[name] !== undefined) problems.push(`${name}: expected rows to evaluate on, got none`)
  if (best !== undefined) problems.push(...bestProblems(best))
  if (options.power !== undefined) problems.push(...powerProblems(options.power))
  problems.push(...cacheProblems(options))
  return problems
}

function cacheProblems({ cacheFrozen = false, adapterDrop = false }: Pick<TrainerOptions, 'cacheFrozen' | 'adapterDrop'>): string[] {
  if (cacheFrozen === false) return []
  const { memory = 0, dtype = 'float32', folder = '' }: Readonly<Partial<Record<keyof CacheFrozenOptions, unknown>>> = cacheFrozen === true ? {} : cacheFrozen
  const known: Names<CacheFrozenOptions> = { memory: true, dtype: true, folder: true }
  const strange = Object.keys(cacheFrozen).filter((name) => !Object.hasOwn(known, name))
  return [
    ...strange.map((name) => `cacheFrozen: expected memory, dtype or folder, got ${name}`),
    ...(typeof memory === 'number' && memory >= 0 ? [] : [`cacheFrozen.memory: expected a number of bytes of at least 0, got ${shown(memory)}`]),
    ...(dtype === 'float32' || dtype === 'bfloat16' ? [] : [`cacheFrozen.dtype: expected 'float32' or 'bfloat16', got ${shown(dtype)}`]),
    ...(typeof folder === 'string' ? [] : [`cacheFrozen.folder: expected the path of a folder, got ${shown(folder)}`]),
    ...(adapterDrop ? ['cacheFrozen: expected false beside adapterDrop, which leaves adapters out of other layers in each step'] : []),
  ]
}

/** The batches to train on. */
export function sourceOf(options: CompleteOptions<TrainerOptions>): BatchSource {
  const { model, train, seed, order, bucketWindow } = options
  if (areBatches(train)) return train
  const batchSize = rowsOfBatch(options)
  const classes = model.labels.length
  return prepareBatches(withClassNumbers(model, train), { batchSize, bucketWindow, order: order ?? { seed }, ...(classes > 0 ? { classes } : {}), ...batchOptionsFor(model) })
}

/** Rows of a batch, of all workers together. */
export function rowsOfBatch({ train, batchSize, distributed }: CompleteOptions<TrainerOptions>): number {
  return areBatches(train) ? batchSize : batchSize * (distributed?.count ?? 1)
}

export function lossOptionsOf({ model, labelSmoothing, classWeights, loss }: TrainerOptions): LossOptions {
  return {
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }), ...(classWeights === undefined ? {} : { classWeights: weightsOfClasses(model, classWeights) }),
    ...(loss === undefined ? {} : { loss }),
  }
}

/** The tensors of all enabled adapters; a name that two of them use is kept apart by the adapter's. */
export function trainableOf(model: Model): Readonly<Record<string, Variable>> {
  const adapters = model.attached.enabled
  const only = adapters.length === 1
  const trainable = Object.fromEntries(
    adapters.flatMap((adapter) =>
      Object.entries(adapter.trainable).map(([name, variable]) => [only ? name : `${adapter.name}/${name}`, variable]),
    ),
  )
  if (Object.keys(trainable).length > 0) return trainable
  const off = model.attached.adapters.map(({ name }) => `'${name}'`).join(', ')
  const why = adapters.length > 0
    ? `no tensor of ${off} is trained`
    : off === '' ? 'attach an adapter: attach(model, lora())' : `its adapters are switched off (${off}); enable one: setActive(model, …)`
  throw new InputError(`Trainer: the model has nothing to train; ${why}.`)
}

/** @throws InputError when a training would be another than the one that was made for these adapters: nothing of it, or not all, would be trained */
export function checkTrainable(model: Model, adapters: readonly Adapter[]): void {
  checkAlive(model, 'Trainer')
  const names = (of: readonly Adapter[]): string => of.map(({ name }) => `'${name}'`).join(', ') || 'none'
  const gone = adapters.filter(({ trainable }) => Object.values(trainable).some(({ isDisposed }) => isDisposed))
  if (gone.length > 0) throw new InputError(`Trainer: adapters that it was made to train are gone, detached or disposed: ${names(gone)}. Attach them, and make a new Trainer.`)
  const { enabled } = model.attached
  if (enabled.length === adapters.length && enabled.every((adapter) => adapters.includes(adapter))) return
  throw new InputError(`Trainer: it was made to train the adapters that were enabled then, ${names(adapters)}; now these are: ${names(enabled)}. Enable the same, or make a new Trainer.`)
}

/** Where and how rows of layers that do not change are kept. */
export interface CacheFrozenOptions {
  /** Bytes of rows that are kept in memory; those beyond go into a file. @default 2 ** 30, 1 GB */
  readonly memory?: number
  /** Numbers of 4 bytes, or rounded to 2. @default 'float32' */
  readonly dtype?: 'float32' | 'bfloat16'
  /** Where the file is, which is gone with the training, however that ends. @default the system's folder for temporary files */
  readonly folder?: string
}

/** Where a training keeps its state, and how often. */
export interface CheckpointOptions {
  /**
   * Folder of this training alone. One that holds checkpoints makes the training go on from the newest, with the very
   * weights that it would have had without the interruption: the same program is simply run again.
   */
  readonly folder: string
  /** Steps between two checkpoints; there is always one at the end. @default the steps of an epoch */
  readonly every?: number
  /** How many to have at most, the newest. @default 2 */
  readonly limit?: number
}
