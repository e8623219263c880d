// What a task is measured by: what the model said of everything that counts beside what is right, and numbers made of the two.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Batch } from '../batch.ts'
import { read } from '../engine/read.ts'
import { IGNORED_LABEL } from '../ops/cross-entropy.ts'
import type { SpanTexts } from './span-measure.ts'
import { accuracy, pearson, precisionRecallF1, spearman } from './metrics.ts'

/** How rows are measured: what is noted of each batch, and numbers by name made of all that was noted. */
export interface Measure<Noted = unknown> {
  /** The output is the model's for the batch, and the caller's. */
  observe(output: Tensor, batch: MeasuredBatch): Noted | Promise<Noted>
  /** The numbers, once, of all batches. @param labels names of the model's classes */
  summarize(noted: readonly Noted[], labels: readonly string[]): Readonly<Record<string, number>>
}

/** Rows with their labels, and which of the examples each of them is. */
export type MeasuredBatch = Batch & { readonly rows: Int32Array }

/** What a model said of a row, beside what is right: of a class a row one number, of tokens one for each that counts. */
export interface ObservedRow {
  readonly predicted: readonly number[]
  readonly actual: readonly number[]
}

/** What a model said of all rows, in the order of the examples. */
export interface Observed extends ObservedRow {
  /** The same row by row. */
  readonly rows: readonly ObservedRow[]
  /** Names of the model's classes. */
  readonly labels: readonly string[]
}

/** A measure of what the model said of each row, by the row's number in the examples. */
export interface TaskMeasure extends Measure<ReadonlyMap<number, ObservedRow>> {
  /** @param textsOf the texts of a row's answer, where they are known */
  observe(output: Tensor, batch: MeasuredBatch, textsOf?: (row: number) => SpanTexts | undefined): Promise<ReadonlyMap<number, ObservedRow>>
}

/** The rows of all batches. */
export function together(noted: readonly ReadonlyMap<number, ObservedRow>[], labels: readonly string[]): Observed {
  const rows = noted.flatMap((each) => [...each]).sort(([a], [b]) => a - b).map(([, row]) => row)
  return { rows, predicted: rows.flatMap(({ predicted }) => predicted), actual: rows.flatMap(({ actual }) => actual), labels }
}

function byRow({ rows, labels = new Int32Array(), batch }: MeasuredBatch, said: ArrayLike<number>, counts?: (label: number) => boolean): Map<number, ObservedRow> {
  const width = labels.length / batch
  return new Map(Array.from(rows, (row, i) => {
    const places = Array.from({ length: width }, (_, j) => i * width + j).filter((place) => counts?.(labels[place] ?? NaN) ?? true)
    return [row, { predicted: places.map((place) => said[place] ?? NaN), actual: places.map((place) => labels[place] ?? NaN) }]
  }))
}

/** The likeliest class of each row, or token, that has a label. */
export const CLASSES: TaskMeasure = {
  observe: async (logits, batch) => byRow(batch, await read(() => tf.argMax(logits, -1)), (label) => label !== IGNORED_LABEL),
  summarize: (noted, labels) => {
    const { predicted, actual } = together(noted, labels)
    return {
      accuracy: accuracy(predicted, actual),
      f1: precisionRecallF1(predicted, actual, labels.length === 2 ? { positive: 1 } : 'macro').f1,
    }
  },
}

/** The numbers themselves; of several outputs each correlation is the mean over them. */
export const NUMBERS: TaskMeasure = {
  observe: async (output, batch) => byRow(batch, await output.data()),
  summarize: (noted, labels) => {
    const { predicted, actual, rows } = together(noted, labels)
    const column = (of: keyof ObservedRow, j: number): number[] => rows.map((row) => row[of][j] ?? NaN)
    const mean = (of: (x: readonly number[], y: readonly number[]) => number): number =>
      labels.reduce((sum, _, j) => sum + of(column('predicted', j), column('actual', j)), 0) / labels.length
    const mse = predicted.reduce((sum, value, i) => sum + (value - (actual[i] ?? NaN)) ** 2, 0) / predicted.length
    return { mse, pearson: mean(pearson), spearman: mean(spearman) }
  },
}

/** Whether each label is there: its logit is above 0, which is a probability above a half. */
export const LABEL_SETS: TaskMeasure = {
  observe: async (logits, batch) => {
    const labels = batch.labels?.map((label) => (label > 0.5 ? 1 : 0)) ?? new Int32Array()
    return byRow({ ...batch, labels }, (await logits.data()).map((logit) => (logit > 0 ? 1 : 0)))
  },
  summarize: (noted, labels) => {
    const { predicted, actual, rows } = together(noted, labels)
    const f1 = (of: (i: number) => boolean): number => precisionRecallF1(predicted.filter((_, i) => of(i)), actual.filter((_, i) => of(i))).f1
    return {
      accuracy: rows.filter((row) => row.predicted.every((value, j) => value === row.actual[j])).length / rows.length, // of whole rows
      microF1: f1(() => true),
      macroF1: labels.reduce((sum, _, j) => sum + f1((i) => i % labels.length === j), 0) / labels.length,
    }
  },
}
