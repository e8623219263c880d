// Several tasks trained at once on one model: each with adapters of its own, those that two tasks name being shared.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import type { Model } from '../base/model.ts'
import { adaptersOf, holdAttached } from '../base/adapter/attached.ts'
import { randomStream, type RandomStream } from '../base/random.ts'
import { InputError, TrainingError, shown } from '../errors.ts'
import type { Guard } from './guard.ts'
import { adapterNamed } from '../base/adapter/named.ts'
import { withAdapters } from '../manage/active.ts'
import { AdamW } from './adamw.ts'
import { areBatches, readyBatches, type BatchSource, type Examples, type PaddedBatch } from './batches.ts'
import { averseToConflicts, projectConflicts, sumGrads } from './gradient-surgery.ts'
import { listen } from './interrupt.ts'
import { explaining } from './memory.ts'
import { rowProblems } from './objectives.ts'
import { gradsOf, updateWith, type TaskStep } from './step.ts'
import { taskWeights, type TaskWeighting } from './task-weights.ts'
import { sourceOf, withDefaults, type TrainerOptions } from './trainer-options.ts'
import { nextTurn } from './turn.ts'
import { idleRate } from './warnings.ts'
import { checkNames, type Names } from '../base/options.ts'

/** One of several tasks that are trained at once. */
export interface TrainingTask {
  readonly name: string
  /** Names of the adapters that are enabled, and trained, for it. */
  readonly adapters: readonly string[]
  /** Rows with labels, or batches made of them in another way. */
  readonly train: Examples | BatchSource
  /** Factor on its loss. @default 1 */
  readonly weight?: number
  /**
   * What keeps its adapters from forgetting: penalties count with the task's loss, by its weight. The trained tensors are
   * named `<adapter>/<name>`. @default none
   */
  readonly guards?: readonly Guard[]
}

/** What `trainTasks` trains, and how. */
export interface MultiTaskOptions extends Pick<TrainerOptions, 'batchSize' | 'learningRate' | 'schedule' | 'warmup' | 'weightDecay' | 'maxGradNorm' | 'seed'> {
  readonly model: Model
  readonly tasks: readonly TrainingTask[]
  readonly steps: number
  /**
   * `'all'`: each step sums the losses of all tasks. A temperature T: each step is one task's, drawn with a probability
   * that goes as the number of its batches to the power 1/T: 1 as often as it is large, Infinity all alike. @default 'all'
   */
  readonly mixing?: 'all' | number
  /** What a task's loss counts for, beside its own weight. @default 'fixed' */
  readonly weighting?: TaskWeighting
  /**
   * What is done where the tasks' gradients are opposed: `'PCGrad'`, see `projectConflicts`, or `'CAGrad'`, see `averseToConflicts`; with
   * mixing 'all' alone. @default the plain sum
   */
  readonly surgery?: 'PCGrad' | 'CAGrad'
  /** Ends training after the step in progress. @default none */
  readonly signal?: AbortSignal
}

const NAMES: Names<MultiTaskOptions> = {
  model: true, tasks: true, steps: true, mixing: true, weighting: true, surgery: true, signal: true, batchSize: true, learningRate: true, schedule: true, warmup: true,
  weightDecay: true, maxGradNorm: true, seed: true,
}

/** What happened in one step of `trainTasks`. */
export interface MultiTaskEvent {
  readonly step: number
  readonly steps: number
  /** Loss of each task that the step trained, without its weight. */
  readonly losses: Readonly<Record<string, number>>
  /** Factor on each task's loss in this step. */
  readonly weights: Readonly<Record<string, number>>
  /** How training ended, in the last event: `'stopped'` by a signal, so that what is trained is half trained. */
  readonly end?: 'finished' | 'stopped'
}

/** A task's side of one step. */
interface Part {
  readonly name: string
  readonly task: TaskStep
  /** Without its weight. */
  readonly loss: Scalar
  readonly weight: number
  /** Of the weighted loss, by adapter and name. */
  readonly grads: Readonly<Record<string, Tensor>>
}

/**
 * Trains several tasks at once, an event each step. The tasks have the model's head in common unless an adapter of theirs
 * brings another.
 *
 * @throws InputError listing everything wrong with tasks and options; TrainingError when a loss or its gradients are not finite, with the
 *   weights of the step before
 * @example
 * const batches = prepareBatches(train, { batchSize: 2 })
 * const task = (name: string) => ({ name, adapters: ['spam'], train: batches })
 * for await (const { losses } of trainTasks({ model, tasks: [task('one'), task('two')], steps: 2 })) console.log(losses)
 */
export async function* trainTasks(options: MultiTaskOptions): AsyncGenerator<MultiTaskEvent, void> {
  checkNames('trainTasks', options, NAMES)
  const { model, tasks, steps, mixing = 'all', weighting = 'fixed', surgery, signal, ...given } = options
  const { learningRate, weightDecay, maxGradNorm, warmup, schedule, seed } = withDefaults(given)
  const problems = problemsOf(options)
  if (problems.length > 0) throw new InputError('trainTasks: the options cannot be used:', problems)
  for (const { adapters, guards = [] } of tasks) for (const guard of guards) guard.check(trainableOf(model, adapters))
  const multiplier = schedule({ totalSteps: steps, warmupSteps: Math.ceil(warmup * steps) })
  const weights = taskWeights(weighting, tasks.map(({ name }) => name), learningRate)
  // an optimiser for each adapter: one that a step does not train stays as it is, its moments too
  const optimizers = new Map([...new Set(tasks.flatMap(({ adapters }) => adapters))].map((name) =>
    [name, new AdamW(trainableOf(model, [name]), { learningRate, weightDecay })]))
  const sources = new Map(tasks.map(({ name, adapters, train }) => [name, sourceOf(withDefaults({ ...given, model: withAdapters(model, adapters), train }))]))
  const batches = new Map([...sources].map(([name, source]) => [name, endless(source)]))
  const draw = randomStream(seed, 'tasks')

  const partOf = async ({ name, adapters, weight: fixed = 1, guards = [] }: TrainingTask, step: number): Promise<Part> => {
    const batch = (await batches.get(name)?.next())?.value as PaddedBatch // endless
    await sources.get(name)?.warn?.(model)
    const weight = fixed * (await weights.factorOf(name))
    const forward = { training: true, seed: randomStream(seed, 'step', step, name)() }
    const task: TaskStep = { model: withAdapters(model, adapters), trainable: trainableOf(model, adapters), batches: [batch], guards, options: () => forward }
    const { loss, grads, penalty } = gradsOf(task)
    penalty?.dispose()
    const weighted = tf.tidy(() => Object.fromEntries(Object.entries(grads).map(([key, grad]) => [key, tf.mul(grad, weight)])))
    tf.dispose(grads)
    return { name, task, loss, weight, grads: weighted }
  }
  const update = async (parts: readonly Part[], step: number): Promise<readonly number[]> => {
    const grads = parts.map((part) => part.grads)
    const summed = surgery === undefined ? sumGrads(grads) : surgery === 'PCGrad' ? projectConflicts(grads, step) : await averseToConflicts(grads)
    const rate = learningRate * multiplier(step)
    const shares = { tasks: parts.map(({ task }) => task), losses: parts.map(({ loss }) => loss), maxGradNorm }
    const { norm, losses, isFinite } = await updateWith(summed, shares, (clipped, values) => {
      for (const [adapter, optimizer] of optimizers) {
        const own = Object.fromEntries(Object.entries(clipped).filter(([key]) => key.startsWith(`${adapter}/`)))
        if (Object.keys(own).length > 0) optimizer.step(own, rate)
      }
      weights.learn(parts.map(({ name, weight }, i) => ({ name, weight, loss: values[i] ?? NaN })), rate)
    })
    if (isFinite) return losses
    const bad = parts.filter((_, i) => !Number.isFinite(losses[i])).map(({ name }) => name)
    const found = bad.length > 0
      ? `the loss of ${bad.join(', ')} is not finite`
      : `the norm of the gradients is ${norm}, with the losses ${parts.map(({ name }, i) => `${name} ${losses[i] ?? NaN}`).join(', ')}`
    throw new TrainingError(`Step ${step + 1}: ${found}. The weights are those of the step before. Try a lower learning rate.`)
  }
  for (const text of [idleRate(learningRate, multiplier, { from: 0, to: steps }), ...(await guardWarnings(tasks))]) if (text !== undefined) console.warn(`trainTasks: ${text}`)
  const release = signal === undefined ? undefined : listen(signal)
  const free = holdAttached(model)
  try {
    for (let step = 0; step < steps; step++) {
      const parts: Part[] = []
      const losses = await explaining(step + 1, async () => {
        try {
          const chosen = mixing === 'all' ? tasks : [pick(tasks, [...sources.values()], mixing, draw)]
          for (const task of chosen) parts.push(await partOf(task, step))
          return await update(parts, step)
        } finally {
          tf.dispose(parts.map(({ loss, grads }) => ({ loss, grads })))
        }
      })
      const byTask = (values: readonly (number | undefined)[]): Record<string, number> => Object.fromEntries(parts.map(({ name }, i) => [name, values[i] ?? NaN]))
      await nextTurn()
      const end = step + 1 === steps ? 'finished' : signal?.aborted === true ? 'stopped' : undefined
      yield { step: step + 1, steps, losses: byTask(losses), weights: byTask(parts.map(({ weight }) => weight)), ...(end === undefined ? {} : { end }) }
      if (end !== undefined) return
    }
  } finally {
    free()
    release?.()
    for (const each of batches.values()) await each.return()
    for (const optimizer of optimizers.values()) optimizer.dispose()
    weights.dispose()
  }
}

/**
 * How often each task comes: in proportion to its size to the power 1 / temperature.
 *
 * @param sizes above 0
 * @param temperature above 0; 1 by size, Infinity all alike
 */
export function mixingShares(sizes: readonly number[], temperature: number): number[] {
  const powers = sizes.map((size) => size ** (1 / temperature))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

function pick(tasks: readonly TrainingTask[], sources: readonly BatchSource[], temperature: number, draw: RandomStream): TrainingTask {
  const shares = mixingShares(sources.map(({ count }) => count), temperature)
  let left = draw() / 2 ** 32
  const index = shares.findIndex((share) => (left -= share) < 0)
  return tasks.at(index) as TrainingTask // −1, by rounding, is the last one
}

/** What the guards of the tasks have to say, each once. */
async function guardWarnings(tasks: readonly TrainingTask[]): Promise<(string | undefined)[]> {
  const guards = new Set(tasks.flatMap(({ guards = [] }) => guards))
  return await Promise.all([...guards].map(async (guard) => await guard.warning?.()))
}

async function* endless(source: BatchSource): AsyncGenerator<PaddedBatch, void> {
  for (let epoch = 0; ; epoch++) yield* source.epoch(epoch)
}

function trainableOf(model: Model, adapters: readonly string[]): Record<string, Variable> {
  return Object.fromEntries(adapters.flatMap((name) =>
    Object.entries(adapterNamed(model, name).trainable).map(([key, variable]) => [`${name}/${key}`, variable])))
}

function problemsOf({ model, tasks, steps, batchSize, mixing = 'all', weighting = 'fixed', surgery }: MultiTaskOptions): string[] {
  const problems: string[] = []
  const there = adaptersOf(model).map(({ name }) => name)
  const names = tasks.map(({ name }) => name)
  if (tasks.length === 0) problems.push('tasks: expected at least one')
  if (new Set(names).size < names.length) problems.push(`tasks: expected names that differ, got ${names.join(', ')}`)
  if (!Number.isInteger(steps) || steps < 1) problems.push(`steps: expected an integer of at least 1, got ${shown(steps)}`)
  for (const { name, adapters, weight = 1, train } of tasks) {
    const missing = adapters.filter((adapter) => !there.includes(adapter))
    if (adapters.length === 0) problems.push(`task ${name}: expected an adapter to train, got none`)
    if (missing.length > 0) problems.push(`task ${name}: no adapter ${missing.join(', ')}; the model has ${there.join(', ') || 'none'}`)
    if (!(weight > 0)) problems.push(`task ${name}: expected a weight above 0, got ${weight}`)
    if (missing.length === 0) problems.push(...rowProblems(withAdapters(model, adapters), train).map((problem) => `task ${name}: ${problem}`))
    if (areBatches(train) && train.count < 1) problems.push(`task ${name}: expected batches, got none`)
  }
  if (batchSize !== undefined && tasks.length > 0 && tasks.every(({ train }) => areBatches(train))) problems.push(readyBatches('batchSize'))
  if (mixing !== 'all' && !(mixing > 0)) problems.push(`mixing: expected 'all' or a temperature above 0, got ${mixing}`)
  if (!['fixed', 'uncertainty', 'descent'].includes(weighting)) problems.push(`weighting: expected 'fixed', 'uncertainty' or 'descent', got ${shown(weighting)}`)
  if (surgery !== undefined && !['PCGrad', 'CAGrad'].includes(surgery)) problems.push(`surgery: expected 'PCGrad' or 'CAGrad', got ${shown(surgery)}`)
  if (mixing !== 'all' && (surgery !== undefined || weighting !== 'fixed')) problems.push("surgery and weighting other than 'fixed' compare tasks in one step: they need mixing 'all'")
  return problems
}
