// A model that learns several tasks one after the other, and what is left of each after every one.

import { InputError, shown } from '../errors.ts'
import { continualMeasures, type ContinualMeasures } from './continual.ts'

/** How `learnInSequence` trains and measures. */
export interface LearnInSequenceOptions<Task> {
  /** Trains on a task. What guards have to be told before or after it is told here. */
  readonly train: (task: Task, index: number) => unknown
  /** Accuracy on a task, of the model as it is now. */
  readonly evaluate: (task: Task, index: number) => number | Promise<number>
}

/** The measures and what they come from. */
export interface LearnedSequence extends Required<ContinualMeasures> {
  /** Row i has the accuracy on every task after training on task i. */
  readonly accuracies: readonly (readonly number[])[]
  /** The accuracy on every task before any training. */
  readonly untrained: readonly number[]
}

/**
 * Trains on tasks one after the other and measures all of them before the first and after each: (tasks + 1) · tasks
 * measurements.
 *
 * @param tasks in the order of training, of any kind
 * @throws InputError when there are no tasks, or a measurement is not a finite number
 * @example
 * const learned = await learnInSequence([train, { ...train, labels: [1, 0] }], {
 *   train: (task) => new Trainer({ model, train: task }).fit(),
 *   evaluate: async (task) => accuracy((await predict(model, task)).classes, task.labels),
 * })
 * console.log(learned.averageAccuracy, learned.forgetting)
 */
export async function learnInSequence<Task>(
  tasks: readonly Task[],
  { train, evaluate }: LearnInSequenceOptions<Task>,
): Promise<LearnedSequence> {
  const given: unknown = tasks
  if (!Array.isArray(given)) throw new InputError(`learnInSequence: expected a list of tasks, got ${shown(tasks)}.`)
  for (const [name, work] of Object.entries({ train, evaluate })) if (typeof work !== 'function') throw new InputError(`learnInSequence: ${name}: expected a function of a task, got ${shown(work)}.`)
  if (tasks.length === 0) throw new InputError('learnInSequence: expected at least one task, got none.')
  const measureAll = async (): Promise<number[]> => {
    const row: number[] = []
    for (const [index, task] of tasks.entries()) row.push(await evaluate(task, index))
    return row
  }
  const untrained = await measureAll()
  const accuracies: number[][] = []
  for (const [index, task] of tasks.entries()) {
    await train(task, index)
    accuracies.push(await measureAll())
  }
  const measures = continualMeasures(accuracies, untrained)
  return { ...measures, forwardTransfer: measures.forwardTransfer ?? NaN, accuracies, untrained }
}
