// What is clear before the first step, and is no error: options without an effect, and rows of which little is learned or measured.

import type { LossOptions } from '../base/architecture.ts'
import type { Model } from '../base/model.ts'
import { recordWith } from '../base/tasks/task.ts'
import { areBatches, type BatchSource, type Examples } from './batches.ts'
import { rowCount } from './examples.ts'
import type { Schedule } from './schedules.ts'
import type { CompleteOptions, TrainerOptions } from './trainer-options.ts'

/** How long a training is, and of what. */
interface Course {
  readonly steps: number
  readonly stepsInEpoch: number
  /** Of an epoch. */
  readonly batches: number
  /** Names of the trained tensors. */
  readonly names: readonly string[]
  /** The steps that are left. */
  readonly from: number
  /** Steps that the Trainer has come to before. */
  readonly reached: number
  readonly multiplier: Schedule
}

/** Everything there is to say before the first step, but of memory. */
export async function warningsBefore(options: CompleteOptions<TrainerOptions>, source: BatchSource, course: Course): Promise<string[]> {
  const { model, guards, learningRate } = options
  const { from, steps, reached, multiplier } = course
  await source.warn?.(model)
  const ofGuards = await Promise.all(guards.map(async (guard) => await guard.warning?.()))
  const texts = [from > 0 ? undefined : trainsAgain(reached, steps), idleRate(learningRate, multiplier, { from, to: steps }), ...optionWarnings(options, course), ...rowWarnings(model, source, options), ...ofGuards]
  return texts.filter((text) => text !== undefined)
}

/** Options that do nothing, or something else than their number looks like. */
function optionWarnings({ evaluate, evaluateEvery, best, checkpoints, accumulate = 1, warmup, labelSmoothing, groups = [] }: TrainerOptions, { steps, stepsInEpoch, batches, names }: Course): string[] {
  const [every, saved, patience = Infinity] = [evaluateEvery ?? stepsInEpoch, checkpoints?.every ?? 0, best?.patience]
  const evaluations = Math.ceil(steps / every)
  const idle = groups.flatMap(({ match }, i) => (names.some(match) ? [] : [i]))
  const isHeld = names.every((name) => groups.find(({ match }) => match(name))?.learningRateScale === 0)
  return [
    ...(accumulate > batches ? [`accumulate: ${accumulate} batches are more than the ${batches} of an epoch: a step is an epoch`] : []),
    ...(labelSmoothing === 1 ? ['labelSmoothing: 1 is a share: all classes are as right as the label is, and nothing will be learned'] : []),
    ...idle.map((i) => `groups: group ${i} has none of the trained tensors, which are called as ${names[0]} is`),
    ...(isHeld ? ['groups: the learning rate of every trained tensor is 0. Nothing will be learned.'] : []),
    ...(warmup === 1 && steps > 1 ? [`warmup: 1 is a share: the learning rate rises in all ${steps} steps`] : []),
    ...(evaluate !== undefined && every > steps && evaluateEvery !== undefined ? [`evaluateEvery: ${every} steps are more than the ${steps} of the training: it is measured at its end alone`] : []),
    ...(patience < Infinity && patience >= evaluations ? [`best.patience: ${patience} evaluations without a better one cannot come, there are ${evaluations} in all: nothing will end the training early`] : []),
    ...(saved > steps ? [`checkpoints.every: ${saved} steps are more than the ${steps} of the training: its only checkpoint is that of the end`] : []),
  ]
}

/** That no step of a training would move anything. */
export function idleRate(learningRate: number, multiplier: Schedule, { from, to }: { readonly from: number; readonly to: number }): string | undefined {
  for (let step = from; step < to; step++) if (learningRate * multiplier(step) !== 0) return undefined
  const why = learningRate === 0 ? 'learningRate is 0' : `the schedule and its warm-up give ${learningRate} · 0`
  return `the learning rate is 0 in every step: ${why}. Nothing will be learned.`
}

/** That a Trainer begins anew. @param reached steps that it has come to before */
function trainsAgain(reached: number, steps: number): string | undefined {
  return reached === 0 ? undefined
    : `this Trainer has trained before, ${reached} of ${steps} steps: it begins anew at step 1, with the weights as they are now. For a longer training make one with more epochs; to go on with one that was stopped, give it checkpoints.`
}

/** Labels beyond it are far from the outputs of a head that begins near 0. */
const FAR = 20
/** Rows that are compared with each other. */
const MOST = 20_000

/** Rows of which little is learned, or whose measures say little. */
function rowWarnings(model: Model, train: BatchSource, { evaluate, loss }: { readonly evaluate?: Examples | BatchSource, readonly loss?: LossOptions['loss'] }): string[] {
  const rows = train.examples
  if (rows === undefined || rowCount(rows) > MOST) return []
  const { ids = [], positives = [], negatives, scores } = rows
  const [own, all] = [positives.filter((row, i) => textOf(row) === textOf(ids[i])).length, rowCount(rows)]
  const against = (negatives ?? []).filter((each, i) => textsOf(each).includes(textOf(positives[i]))).length
  const isByNumber = model.problem === 'regression' && recordWith(model.record, loss).numeric === true && typeof loss !== 'function'
  const farthest = isByNumber ? numbersIn(rows.labels).reduce((most, number) => Math.max(most, Math.abs(number)), 0) : 0
  return [
    ...(farthest > FAR ? [`train: labels of up to ${farthest}: the outputs begin near 0, and a step moves them by little. Let it learn (label - mean) / deviation, and turn its answers back.`] : []),
    ...(scores === undefined && own > all / 2 ? [`train: ${own} of ${all} positives are the texts themselves, of which nothing is learned`] : []),
    ...(against > all / 2 ? [`train: ${against} of ${all} rows have their own positive among their negatives, which is left out there`] : []),
    ...seenBefore(ids, evaluate === undefined || areBatches(evaluate) ? [] : evaluate.ids ?? []),
  ]
}

/** One or several in each row, by name or by place. */
function numbersIn(labels: Examples['labels'] = []): number[] {
  return Array.from(labels as ArrayLike<unknown>).flatMap((label) => (typeof label === 'object' && label !== null ? Object.values(label as Readonly<Record<string, unknown>>) : [label])).map(Number)
}

/** Measures of rows that were learned say how well they were learned by heart. */
function seenBefore(train: readonly Row[], evaluate: readonly Row[]): string[] {
  if (evaluate.length > MOST) return []
  const learned = new Set(train.map(textOf))
  const seen = evaluate.filter((row) => learned.has(textOf(row))).length
  return seen > evaluate.length / 2 ? [`evaluate: ${seen} of ${evaluate.length} rows are rows of train too: their measures do not say how good it is on others`] : []
}

type Row = ArrayLike<number>

function textOf(row: Row | undefined): string {
  return Array.from(row ?? []).join()
}

/** Of one row of ids, or of several. */
function textsOf(rows: Row | readonly Row[]): string[] {
  return typeof rows[0] === 'number' ? [textOf(rows as Row)] : Array.from(rows as readonly Row[], textOf)
}
