// What a task is measured by: what the model said of each label that counts beside what is right, and numbers made of the two.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Batch } from '../batch.ts'
import { read } from '../engine/read.ts'
import { IGNORED_LABEL } from '../ops/cross-entropy.ts'
import { accuracy, pearson, precisionRecallF1, spearman } from './metrics.ts'

/** One entry for each label. */
export interface Observed {
  readonly predicted: readonly number[]
  readonly actual: readonly number[]
}

/** How a task is measured. */
export interface Measure {
  /** What is to be noted of a batch; the output is the model's for it. */
  readonly observe: (output: Tensor, batch: Pick<Batch, 'labels'>) => Promise<Observed>
  /** @param classes how many outputs a row, or token, has */
  readonly measures: (observed: Observed, classes: number) => Readonly<Record<string, number>>
}

/** The likeliest class of each row, or token, that has a label. */
export const CLASSES: Measure = {
  observe: async (logits, { labels = [] }) => {
    const classes = await read<'int32'>(() => tf.argMax(logits, -1))
    const counted = Array.from(labels.keys()).filter((i) => labels[i] !== IGNORED_LABEL)
    return { predicted: counted.map((i) => classes[i] ?? NaN), actual: counted.map((i) => labels[i] ?? NaN) }
  },
  measures: ({ predicted, actual }, classes) => ({
    accuracy: accuracy(predicted, actual),
    f1: precisionRecallF1(predicted, actual, classes === 2 ? { positive: 1 } : 'macro').f1,
  }),
}

/** The numbers themselves; of several outputs each correlation is the mean over them. */
export const NUMBERS: Measure = {
  observe: async (output, { labels = [] }) => ({ predicted: Array.from(await output.data<'float32'>()), actual: Array.from(labels) }),
  measures: ({ predicted, actual }, outputs) => {
    const mean = (of: (x: readonly number[], y: readonly number[]) => number): number => {
      const column = (values: readonly number[], j: number): number[] => values.filter((_, i) => i % outputs === j)
      const each = Array.from({ length: outputs }, (_, j) => of(column(predicted, j), column(actual, j)))
      return each.reduce((sum, value) => sum + value, 0) / outputs
    }
    const mse = predicted.reduce((sum, value, i) => sum + (value - (actual[i] ?? NaN)) ** 2, 0) / predicted.length
    return { mse, pearson: mean(pearson), spearman: mean(spearman) }
  },
}

/** Whether each label is there: its logit is above 0, which is a probability above a half. */
export const LABEL_SETS: Measure = {
  observe: async (logits, { labels = [] }) => ({
    predicted: Array.from(await logits.data<'float32'>(), (logit) => (logit > 0 ? 1 : 0)),
    actual: Array.from(labels, (label) => (label > 0.5 ? 1 : 0)),
  }),
  measures: ({ predicted, actual }, classes) => {
    const f1 = (of: (i: number) => boolean): number => precisionRecallF1(predicted.filter((_, i) => of(i)), actual.filter((_, i) => of(i))).f1
    const rows = Array.from({ length: predicted.length / classes }, (_, row) => row * classes)
    const isRight = (start: number): boolean => predicted.slice(start, start + classes).every((value, j) => value === actual[start + j])
    return {
      accuracy: rows.filter(isRight).length / rows.length, // of whole rows
      microF1: f1(() => true),
      macroF1: Array.from({ length: classes }, (_, j) => f1((i) => i % classes === j)).reduce((sum, value) => sum + value, 0) / classes,
    }
  },
}
