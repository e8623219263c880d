/** How well each class is found, with the numbers of scikit-learn. */
import { checkClasses, classNumbers, scores, type PrecisionRecallF1 } from './metrics.ts'

/** A class, or a mean over all of them. */
export interface ClassScores extends PrecisionRecallF1 {
  readonly name: string
  /** Rows of the class; of a mean all rows. */
  readonly support: number
}

/** Each class by itself, and all together. */
export interface ClassificationReport {
  /** In the order of their numbers. */
  readonly classes: readonly ClassScores[]
  readonly accuracy: number
  /** The plain mean over the classes. */
  readonly macro: ClassScores
  /** Each class by its rows. */
  readonly weighted: ClassScores
  /** The same as a text with a line for each class. */
  readonly table: string
}

/**
 * Which class is taken for which: in row i and column j the number of rows of class i that were said to be of class j.
 *
 * @param predictions class of each row @param labels true class of each row, by number, or by name where the names are given
 * @param classes how many there are, or their names: `model.labels`
 * @throws InputError when there are no rows, the two differ in number, or a number is no class
 * @example
 * confusionMatrix([1, 0, 1, 1], [1, 0, 0, 1], 2) // [[1, 1], [0, 2]]
 */
export function confusionMatrix(predictions: ArrayLike<number>, labels: ArrayLike<number | string>, classes: number | readonly string[]): number[][] {
  const names = typeof classes === 'number' ? [] : classes
  return counted('confusionMatrix', predictions, classNumbers(labels, names), typeof classes === 'number' ? classes : classes.length)
}

function counted(caller: string, predictions: ArrayLike<number>, labels: ArrayLike<number>, classes: number): number[][] {
  checkClasses(caller, predictions, labels, classes)
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  for (let i = 0; i < labels.length; i++) {
    const row = matrix[labels[i] ?? 0] ?? []
    row[predictions[i] ?? 0] = (row[predictions[i] ?? 0] ?? 0) + 1
  }
  return matrix
}

/**
 * Precision, recall, F1 and the number of rows of each class, the plain mean over the classes and the mean by rows.
 *
 * @param predictions class of each row @param labels true class of each row, by number or name
 * @param names of the classes, in order: `model.labels`
 * @throws InputError when there are no rows, the two differ in number, or a number is no class
 * @example
 * const { classes } = await predict(model, train)
 * const report = classificationReport(classes, train.labels, model.labels)
 * console.log(report.table, report.macro.f1)
 */
export function classificationReport(predictions: ArrayLike<number>, labels: ArrayLike<number | string>, names: readonly string[]): ClassificationReport {
  const matrix = counted('classificationReport', predictions, classNumbers(labels, names), names.length)
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  const rows = labels.length
  const right = (i: number): number => matrix[i]?.[i] ?? 0
  const classes = names.map((name, i): ClassScores => {
    const support = sum(matrix[i] ?? [])
    return { name, ...scores({ right: right(i), predicted: sum(matrix.map((row) => row[i] ?? 0)), actual: support }), support }
  })
  const mean = (name: string, weight: (of: ClassScores) => number): ClassScores => {
    const of = (value: keyof PrecisionRecallF1): number => sum(classes.map((each) => weight(each) * each[value]))
    return { name, precision: of('precision'), recall: of('recall'), f1: of('f1'), support: rows }
  }
  const accuracy = sum(names.map((_, i) => right(i))) / rows
  const [macro, weighted] = [mean('macro average', () => 1 / names.length), mean('weighted average', ({ support }) => support / rows)]
  return { classes, accuracy, macro, weighted, table: tableOf([...classes, macro, weighted], accuracy) }
}

function tableOf(rows: readonly ClassScores[], accuracy: number): string {
  const lines = [
    ['', 'precision', 'recall', 'F1', 'rows'],
    ...rows.map(({ name, precision, recall, f1, support }) => [name, ...[precision, recall, f1].map((value) => value.toFixed(3)), String(support)]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  const text = lines.map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '))
  return [...text, `accuracy ${accuracy.toFixed(3)}`].join('\n')
}
