// Several tasks trained at once on one body: each with adapters of its own, what two tasks have in common being one.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import type { Model } from '../base/model.ts'
import { holdAttached } from '../base/adapter/attached.ts'
import { randomStream, type RandomStream } from '../base/random.ts'
import { InputError, TrainingError } from '../errors.ts'
import { withAdapters } from '../manage/active.ts'
import { AdamW } from './adamw.ts'
import type { BatchSource, PaddedBatch } from './batches.ts'
import { startCost, type Cost } from './cost.ts'
import { averseToConflicts, projectConflicts, sumGrads } from './gradient-surgery.ts'
import { listen } from './interrupt.ts'
import { explaining } from './memory.ts'
import { MULTI_TASK_OPTIONS, problemsOf, trainableOf, type MultiTaskOptions, type TrainingTask } from './multi-task-options.ts'
import { gradsOf, updateWith, type TaskStep } from './step.ts'
import { taskWeights } from './task-weights.ts'
import { sourceOf, withDefaults } from './trainer-options.ts'
import { nextTurn } from './turn.ts'
import { idleRate } from './warnings.ts'
import { countTokens } from '../base/batch.ts'
import { checkNames } from '../base/options.ts'

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
  /** What the training has cost, in the last event. */
  readonly cost?: Cost
}

/** One with its model. */
type Task = TrainingTask & { readonly model: Model }

/** A task's side of one step. */
interface Part {
  readonly name: string
  readonly task: TaskStep
  /** Without its weight. */
  readonly loss: Scalar
  readonly weight: number
  /** Of the weighted loss, by the names of what all tasks train. */
  readonly grads: Readonly<Record<string, Tensor>>
}

/**
 * Trains several tasks at once, an event each step. Tasks on one model have its head in common unless an adapter of theirs brings another; tasks of several
 * kinds have models of their own on one body, see `withHead`, in which one adapter can be shared, see `shareAdapter`.
 *
 * @throws InputError listing everything wrong with tasks and options; TrainingError when a loss or its gradients are not finite, with the
 *   weights of the step before
 * @example
 * const batches = prepareBatches(train, { batchSize: 2 })
 * const task = (name: string) => ({ name, adapters: ['spam'], train: batches })
 * for await (const { losses } of trainTasks({ model, tasks: [task('one'), task('two')], steps: 2 })) console.log(losses)
 */
export async function* trainTasks(options: MultiTaskOptions): AsyncGenerator<MultiTaskEvent, void> {
  checkNames('trainTasks', options, MULTI_TASK_OPTIONS)
  const { tasks: asked, steps, mixing = 'all', weighting = 'fixed', surgery, signal, power, ...given } = options
  const { learningRate, weightDecay, maxGradNorm, warmup, schedule, seed } = withDefaults(given)
  const problems = problemsOf(options)
  if (problems.length > 0) throw new InputError('trainTasks: the options cannot be used:', problems)
  const tasks = asked.map((task) => ({ ...task, model: task.model ?? options.model as Model })) // one of them is there, or it is a problem
  for (const { model, adapters, guards = [] } of tasks) for (const guard of guards) guard.check(trainableOf(model, adapters))
  const multiplier = schedule({ totalSteps: steps, warmupSteps: Math.ceil(warmup * steps) })
  const weights = taskWeights(weighting, tasks.map(({ name }) => name), learningRate)
  const names = namesOfAll(tasks)
  const optimizers = bySteps(tasks, names).map((variables) => ({ variables, optimizer: new AdamW(variables, { learningRate, weightDecay }) }))
  const sources = new Map(tasks.map(({ name, model, adapters, train }) => [name, sourceOf(withDefaults({ ...given, model: withAdapters(model, adapters), train }))]))
  const batches = new Map([...sources].map(([name, source]) => [name, endless(source)]))
  const draw = randomStream(seed, 'tasks')

  const partOf = async ({ name, model, adapters, weight: fixed = 1, guards = [] }: Task, step: number): Promise<Part> => {
    const batch = (await batches.get(name)?.next())?.value as PaddedBatch // endless
    await sources.get(name)?.warn?.(model)
    const weight = fixed * (await weights.factorOf(name))
    const forward = { training: true, seed: randomStream(seed, 'step', step, name)() }
    const task: TaskStep = { model: withAdapters(model, adapters), trainable: trainableOf(model, adapters), batches: [batch], guards, options: () => forward }
    const { loss, grads, penalty } = gradsOf(task)
    penalty?.dispose()
    cost.see({ tokens: countTokens(batch) })
    const weighted = tf.tidy(() => Object.fromEntries(Object.entries(grads).map(([key, grad]) => [names.get(task.trainable[key] as Variable) ?? key, tf.mul(grad, weight)])))
    tf.dispose(grads)
    return { name, task, loss, weight, grads: weighted }
  }
  const update = async (parts: readonly Part[], step: number): Promise<readonly number[]> => {
    const grads = parts.map((part) => part.grads)
    const summed = surgery === undefined ? sumGrads(grads) : surgery === 'PCGrad' ? projectConflicts(grads, step) : await averseToConflicts(grads)
    const rate = learningRate * multiplier(step)
    const shares = { tasks: parts.map(({ task }) => task), losses: parts.map(({ loss }) => loss), maxGradNorm }
    const { norm, losses, isFinite } = await updateWith(summed, shares, (clipped, values) => {
      for (const { variables, optimizer } of optimizers) {
        const own = Object.fromEntries(Object.entries(clipped).filter(([key]) => Object.hasOwn(variables, key)))
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
  const cost = startCost(power)
  const held = [...new Set(tasks.map(({ model }) => model))].map(holdAttached)
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
      yield { step: step + 1, steps, losses: byTask(losses), weights: byTask(parts.map(({ weight }) => weight)), ...(end === undefined ? {} : { end, cost: cost.end() }) }
      if (end !== undefined) return
    }
  } finally {
    cost.end()
    for (const free of held) free()
    release?.()
    for (const each of batches.values()) await each.return()
    for (const { optimizer } of optimizers) optimizer.dispose()
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

/** What all tasks train, each variable once: `<task>/<adapter>/<name>` of the first task that has it. */
function namesOfAll(tasks: readonly Task[]): ReadonlyMap<Variable, string> {
  const names = new Map<Variable, string>()
  for (const { name, model, adapters } of tasks) {
    for (const [key, variable] of Object.entries(trainableOf(model, adapters))) if (!names.has(variable)) names.set(variable, `${name}/${key}`)
  }
  return names
}

/** What is trained by the same tasks steps together: what a step does not train stays as it is, its moments too. */
function bySteps(tasks: readonly Task[], names: ReadonlyMap<Variable, string>): Record<string, Variable>[] {
  const trained = tasks.map(({ model, adapters }) => new Set(Object.values(trainableOf(model, adapters))))
  const groups = new Map<string, Record<string, Variable>>()
  for (const [variable, name] of names) {
    const by = trained.map((own) => own.has(variable)).join()
    groups.set(by, { ...groups.get(by), [name]: variable })
  }
  return [...groups.values()]
}

function pick<T>(tasks: readonly T[], sources: readonly BatchSource[], temperature: number, draw: RandomStream): T {
  const shares = mixingShares(sources.map(({ count }) => count), temperature)
  let left = draw() / 2 ** 32
  const index = shares.findIndex((share) => (left -= share) < 0)
  return tasks.at(index) as T // −1, by rounding, is the last one
}

/** What the guards of the tasks have to say, each once. */
async function guardWarnings(tasks: readonly TrainingTask[]): Promise<(string | undefined)[]> {
  const guards = new Set(tasks.flatMap(({ guards = [] }) => guards))
  return await Promise.all([...guards].map(async (guard) => await guard.warning?.()))
}

async function* endless(source: BatchSource): AsyncGenerator<PaddedBatch, void> {
  for (let epoch = 0; ; epoch++) yield* source.epoch(epoch)
}
