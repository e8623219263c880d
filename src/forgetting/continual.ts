// What is left of each task after the others: measures of a sequence of tasks, from a matrix of accuracies R in which
// R[i][j] is that on task j after training on tasks 0 to i.

import { InputError } from '../errors.ts'

/** Measures of a sequence of tasks; the accuracies' unit. */
export interface ContinualMeasures {
  /** Mean over the tasks after the last one. */
  readonly averageAccuracy: number
  /** Mean over all tasks but the last of the best earlier accuracy − the last (arXiv:1801.10112). At best below 0. */
  readonly forgetting: number
  /** Mean over all tasks but the last of the last accuracy − that right after the task (arXiv:1706.08840). */
  readonly backwardTransfer: number
  /**
   * Mean over all tasks but the first of the accuracy just before the task − that of the untrained model
   * (arXiv:1706.08840); there where the untrained model's accuracies are given.
   */
  readonly forwardTransfer?: number
}

/**
 * Measures forgetting and transfer in a sequence of tasks.
 *
 * @param accuracies row i has the accuracy on every task after training on task i; as many rows as tasks. For one task
 *   forgetting and the transfers are 0
 * @param untrained the accuracy on each task before any training. Default: forward transfer is left out
 * @throws InputError when the matrix is empty or not square, or a number is not finite; it lists all
 * @example
 * const { forgetting } = continualMeasures([[0.9, 0.5], [0.7, 0.8]], [0.5, 0.5]) // 0.2: the first task has lost it
 */
export function continualMeasures(accuracies: readonly (readonly number[])[], untrained?: readonly number[]): ContinualMeasures {
  const tasks = accuracies.length
  const rows = [...accuracies.map((row, i) => [`row ${i}`, row] as const), ...(untrained === undefined ? [] : [['untrained', untrained] as const])]
  const problems = rows.flatMap(([label, row]) =>
    row.length === tasks && row.every(Number.isFinite) ? [] : [`${label}: expected ${tasks} finite numbers, one for each task, got ${row.join(', ')}`])
  if (tasks === 0) problems.push('expected at least one task, got none')
  if (problems.length > 0) throw new InputError('continualMeasures: the accuracies cannot be used:', problems)
  const at = (i: number, j: number): number => accuracies[i]?.[j] ?? NaN
  const last = tasks - 1
  const earlier = Array.from({ length: last }, (_, task) => task)
  const best = (task: number): number => Math.max(...earlier.map((i) => at(i, task)))
  return {
    averageAccuracy: mean(accuracies[last] ?? []),
    forgetting: mean(earlier.map((task) => best(task) - at(last, task))),
    backwardTransfer: mean(earlier.map((task) => at(last, task) - at(task, task))),
    ...(untrained === undefined ? {} : { forwardTransfer: mean(earlier.map((before) => at(before, before + 1) - (untrained[before + 1] ?? NaN))) }),
  }
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, x) => sum + x, 0) / values.length
}
