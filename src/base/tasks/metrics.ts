/** Classification metrics with the numbers of scikit-learn; a quotient by zero is 0, as there. */
import { InputError, shown } from '../../errors.ts'

/** How well classes were found: each from 0 to 1. */
export interface PrecisionRecallF1 {
  /** Share of the predictions of a class that are right. */
  readonly precision: number
  /** Share of a class's rows that were found. */
  readonly recall: number
  /** Harmonic mean of the two. */
  readonly f1: number
}

/** One class seen against the rest, the plain mean over all classes that occur, or all decisions counted together. */
export type Average = { readonly positive: number } | 'macro' | 'micro'

/**
 * Share of predictions that equal their label.
 *
 * @param predictions class of each row
 * @param labels true class of each row
 * @throws InputError when there are no rows, or the two differ in number
 * @example
 * accuracy([1, 0, 1, 1], [1, 0, 0, 1]) // 0.75
 */
export function accuracy(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  return tally('accuracy', predictions, labels).right / labels.length
}

/**
 * Precision, recall and their harmonic mean.
 *
 * @param predictions class of each row
 * @param labels true class of each row
 * @param average the class that counts as positive, or how classes are combined (default: class 1 is positive).
 *   With 'micro' all three equal the accuracy.
 * @throws InputError when there are no rows, or the two differ in number
 * @example
 * precisionRecallF1([1, 0, 1, 1], [1, 0, 0, 1]).recall // 1
 * @example
 * precisionRecallF1([2, 0, 1], [2, 1, 1], 'macro').f1
 */
export function precisionRecallF1(
  predictions: ArrayLike<number>, labels: ArrayLike<number>, average: Average = { positive: 1 },
): PrecisionRecallF1 {
  const { classes, right } = tally('precisionRecallF1', predictions, labels)
  if (average === 'micro') {
    return scores({ right, predicted: labels.length, actual: labels.length })
  }
  if (average === 'macro') {
    const each = [...classes.values()].map(scores)
    const mean = (of: keyof PrecisionRecallF1): number => each.reduce((sum, score) => sum + score[of], 0) / each.length
    return { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') }
  }
  return scores(classes.get(average.positive) ?? { right: 0, predicted: 0, actual: 0 })
}

/**
 * Matthews correlation between predictions and labels, of two classes or more (Gorodkin's R_K): 1 when all are right,
 * 0 for guessing and for predictions that are all alike.
 *
 * @param predictions class of each row
 * @param labels true class of each row
 * @throws InputError when there are no rows, or the two differ in number
 * @example
 * matthews([1, 1, 0, 0], [1, 1, 0, 0]) // 1
 */
export function matthews(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  const { classes, right } = tally('matthews', predictions, labels)
  const total = labels.length
  const sum = (f: (count: Counts) => number): number => [...classes.values()].reduce((s, count) => s + f(count), 0)
  const covariance = right * total - sum(({ predicted, actual }) => predicted * actual)
  const predictedVariance = total ** 2 - sum(({ predicted }) => predicted ** 2)
  const actualVariance = total ** 2 - sum(({ actual }) => actual ** 2)
  return quotient(covariance, Math.sqrt(predictedVariance * actualVariance))
}

interface Counts {
  right: number
  predicted: number
  actual: number
}

function tally(caller: string, predictions: ArrayLike<number>, labels: ArrayLike<number>): {
  classes: Map<number, Counts>
  right: number
} {
  checkClasses(caller, predictions, labels)
  const classes = new Map<number, Counts>()
  const of = (label: number): Counts => {
    const counts = classes.get(label) ?? { right: 0, predicted: 0, actual: 0 }
    classes.set(label, counts)
    return counts
  }
  let right = 0
  for (let i = 0; i < labels.length; i++) {
    const predicted = of(predictions[i] as number) // i is below both lengths
    const actual = of(labels[i] as number)
    predicted.predicted += 1
    actual.actual += 1
    if (predicted === actual) {
      actual.right += 1
      right += 1
    }
  }
  return { classes, right }
}

/** Labels by name become those by number; what is no name stays, and is told by `checkClasses`. */
export function classNumbers(labels: ArrayLike<number | string>, names: readonly string[]): number[] {
  return Array.from(labels, (label) => (typeof label === 'string' && names.includes(label) ? names.indexOf(label) : label as number))
}

/** @throws InputError unless there are as many of both, and each is a class */
export function checkClasses(caller: string, predictions: ArrayLike<number>, labels: ArrayLike<number>, classes: number = Infinity): void {
  if (predictions.length !== labels.length) {
    throw new InputError(`${caller}: expected one prediction per label, got ${predictions.length} predictions and ${labels.length} labels.`)
  }
  if (labels.length === 0) throw new InputError(`${caller}: expected at least one row, got none.`)
  const wrong = [...notClasses('predictions', predictions, classes), ...notClasses('labels', labels, classes)]
  if (wrong.length > 0) throw new InputError(`${caller}: expected class numbers${classes === Infinity ? '' : ` below ${classes}`}; got:`, wrong)
}

/** Those that would be counted as a class of their own. */
function notClasses(name: string, values: ArrayLike<number>, classes: number): string[] {
  const wrong = Array.from(values, (value, row) => (Number.isSafeInteger(value) && value >= 0 && value < classes ? '' : `${shown(value)} in row ${row}`)).filter((text) => text !== '')
  return wrong.length === 0 ? [] : [`${name}: ${wrong.slice(0, 5).join(', ')}${wrong.length > 5 ? ` and ${wrong.length - 5} more` : ''}`]
}

/** The quotients of counted decisions; 0 where nothing was counted. */
export function scores({ right, predicted, actual }: Counts): PrecisionRecallF1 {
  return {
    precision: quotient(right, predicted),
    recall: quotient(right, actual),
    f1: quotient(2 * right, predicted + actual),
  }
}

function quotient(a: number, b: number): number {
  return b === 0 ? 0 : a / b
}

/**
 * Pearson's correlation of two series; 0 where one of them does not vary.
 *
 * @throws InputError when there are no numbers, or the two differ in number
 * @example pearson([1, 2, 3], [2, 4, 7])
 */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkPair('pearson', x, y)
  const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length
  const [mx, my] = [mean(x), mean(y)]
  let [xy, xx, yy] = [0, 0, 0]
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [(x[i] ?? NaN) - mx, (y[i] ?? NaN) - my]
    xy += dx * dy
    xx += dx * dx
    yy += dy * dy
  }
  return quotient(xy, Math.sqrt(xx * yy))
}

/**
 * Spearman's rank correlation, ties with their mean rank; 0 where one of the series does not vary.
 *
 * @throws InputError when there are no numbers, or the two differ in number
 * @example spearman([1, 2, 3], [1, 4, 9]) // 1
 */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkPair('spearman', x, y)
  return pearson(ranks(x), ranks(y))
}

function checkPair(caller: string, x: ArrayLike<number>, y: ArrayLike<number>): void {
  if (x.length !== y.length) throw new InputError(`${caller}: expected two series of one length, got ${x.length} and ${y.length} numbers.`)
  if (x.length === 0) throw new InputError(`${caller}: expected at least one number, got none.`)
}

/** From 1 on; equal numbers have the mean of their ranks. */
function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => (values[a] ?? NaN) - (values[b] ?? NaN))
  const result = new Float64Array(values.length)
  for (let start = 0; start < order.length;) {
    let end = start
    while (end < order.length && values[order[end] ?? 0] === values[order[start] ?? 0]) end++
    for (const i of order.slice(start, Math.max(end, start + 1))) result[i] = (start + 1 + end) / 2
    start = Math.max(end, start + 1) // NaN is not equal to itself
  }
  return result
}
