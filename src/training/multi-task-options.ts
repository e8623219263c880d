// What `trainTasks` takes, and what can be wrong with it.

import type { Variable } from '@tensorflow/tfjs-core'
import { adaptersOf } from '../base/adapter/attached.ts'
import { adapterNamed } from '../base/adapter/named.ts'
import type { Model } from '../base/model.ts'
import type { Names } from '../base/options.ts'
import { shown } from '../errors.ts'
import { withAdapters } from '../manage/active.ts'
import { areBatches, readyBatches, type BatchSource, type Examples } from './batches.ts'
import type { Guard } from './guard.ts'
import { rowProblems } from './objectives.ts'
import { powerProblems } from './power.ts'
import type { TaskWeighting } from './task-weights.ts'
import type { TrainerOptions } from './trainer-options.ts'

/** One of several tasks that are trained at once. */
export interface TrainingTask {
  readonly name: string
  /** What it is learned by, where the tasks are of several kinds: models on one body, see `withHead`. @default that of the options */
  readonly model?: Model
  /** Names of the adapters of its model that are enabled, and trained, for it; what two tasks share is one: see `shareAdapter`. */
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
export interface MultiTaskOptions extends Pick<TrainerOptions, 'batchSize' | 'learningRate' | 'schedule' | 'warmup' | 'weightDecay' | 'maxGradNorm' | 'seed' | 'power'> {
  /** That of the tasks without one of their own. @default none */
  readonly model?: Model
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

export const MULTI_TASK_OPTIONS: Names<MultiTaskOptions> = {
  model: true, tasks: true, steps: true, mixing: true, weighting: true, surgery: true, signal: true, batchSize: true, learningRate: true, schedule: true, warmup: true,
  weightDecay: true, maxGradNorm: true, seed: true, power: true,
}

/** What a task trains, by `<adapter>/<name>`. */
export function trainableOf(model: Model, adapters: readonly string[]): Record<string, Variable> {
  return Object.fromEntries(adapters.flatMap((name) =>
    Object.entries(adapterNamed(model, name).trainable).map(([key, variable]) => [`${name}/${key}`, variable])))
}

/** All that is wrong with them. */
export function problemsOf({ model: common, tasks, steps, batchSize, mixing = 'all', weighting = 'fixed', surgery, power }: MultiTaskOptions): string[] {
  const problems: string[] = []
  const names = tasks.map(({ name }) => name)
  if (tasks.length === 0) problems.push('tasks: expected at least one')
  if (new Set(names).size < names.length) problems.push(`tasks: expected names that differ, got ${names.join(', ')}`)
  if (!Number.isInteger(steps) || steps < 1) problems.push(`steps: expected an integer of at least 1, got ${shown(steps)}`)
  for (const { name, model = common, adapters, weight = 1, train } of tasks) {
    if (model === undefined) {
      problems.push(`task ${name}: expected a model, its own or that of all tasks, got none`)
      continue
    }
    const there = adaptersOf(model).map((adapter) => adapter.name)
    const missing = adapters.filter((adapter) => !there.includes(adapter))
    if (adapters.length === 0) problems.push(`task ${name}: expected an adapter to train, got none`)
    if (missing.length > 0) problems.push(`task ${name}: no adapter ${missing.join(', ')}; the model has ${there.join(', ') || 'none'}`)
    if (!(weight > 0)) problems.push(`task ${name}: expected a weight above 0, got ${weight}`)
    if (missing.length === 0) problems.push(...rowProblems(withAdapters(model, adapters), train).map((problem) => `task ${name}: ${problem}`))
    if (areBatches(train) && train.count < 1) problems.push(`task ${name}: expected batches, got none`)
  }
  if (batchSize !== undefined && tasks.length > 0 && tasks.every(({ train }) => areBatches(train))) problems.push(readyBatches('batchSize'))
  if (power !== undefined) problems.push(...powerProblems(power))
  if (mixing !== 'all' && !(mixing > 0)) problems.push(`mixing: expected 'all' or a temperature above 0, got ${mixing}`)
  if (!['fixed', 'uncertainty', 'descent'].includes(weighting)) problems.push(`weighting: expected 'fixed', 'uncertainty' or 'descent', got ${shown(weighting)}`)
  if (surgery !== undefined && !['PCGrad', 'CAGrad'].includes(surgery)) problems.push(`surgery: expected 'PCGrad' or 'CAGrad', got ${shown(surgery)}`)
  if (mixing !== 'all' && (surgery !== undefined || weighting !== 'fixed')) problems.push("surgery and weighting other than 'fixed' compare tasks in one step: they need mixing 'all'")
  return problems
}
