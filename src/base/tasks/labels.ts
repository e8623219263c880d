import { InputError, shown } from '../../errors.ts'
import type { ConfigJson } from '../architecture.ts'
import { settingsReader } from '../settings.ts'
import { classifiesRows, isTask, taskOfType, taskRecord, TASKS, type ProblemType, type Task } from './task.ts'

/** Classes of a checkpoint whose config.json does not say how many it has, as in transformers. */
const USUAL = 2

/**
 * Names of the classes: those in `id2label`, or LABEL_0, LABEL_1 … for `num_labels` of them, or for two where the file has neither.
 *
 * @param file the file's path, as errors name it
 * @throws CheckpointError when they are not the names of classes 0, 1 …
 */
export function labelsOf(config: ConfigJson, task: Task, file = 'The configuration'): readonly string[] {
  if (taskRecord(task).named !== true) return []
  const read = settingsReader(config, { file, what: `a model for ${task}` })
  const count = read.integer('num_labels', { min: 1, max: 2 ** 20, fallback: USUAL })
  if (!read.has('id2label')) {
    read.done()
    return Array.from({ length: count }, (_, id) => `LABEL_${id}`)
  }
  const names = read.section('id2label')
  const given = config['id2label'] as Readonly<Record<string, unknown>>
  const ids = typeof given === 'object' && !Array.isArray(given) ? Object.keys(given) : []
  const wrong = ids.find((id, index) => id !== String(index))
  read.check(wrong === undefined, `id2label: expected the ids 0, 1 … up to ${ids.length - 1}, got ${shown(wrong)}`)
  read.check(!read.has('num_labels') || count === ids.length, `num_labels: expected ${ids.length}, as id2label has, got ${count}`)
  const labels = ids.map((id) => names.text(id))
  read.done()
  return labels
}

/** @throws InputError where a task is none, or labels are no names of classes that differ */
export function checkTaskAndLabels(caller: string, task: unknown, labels: unknown): void {
  const problems: string[] = []
  if (typeof task !== 'string' || !isTask(task)) {
    const ofPeft = taskOfType(task)
    problems.push(`task: expected ${ofPeft === undefined ? `one of ${TASKS.join(', ')}` : `'${ofPeft}'`}, got ${shown(task)}`)
  }
  const areNames = Array.isArray(labels) && labels.every((label) => typeof label === 'string') && new Set(labels).size === labels.length
  if (labels !== undefined && !areNames) problems.push(`labels: expected names of classes that differ, as in ['ham', 'spam'], got ${shown(labels)}`)
  if (problems.length > 0) throw new InputError(`${caller}: the options cannot be used:`, problems)
}

/** Names of a trained head's classes that would name another row of it: what each is there, and what it was asked to be. */
export function movedLabels(trained: readonly string[], asked: readonly string[]): string[] {
  const bare = (label: string): string => label.trim().toLowerCase()
  const places = new Map(trained.map((label, id) => [bare(label), id]))
  return asked.flatMap((label, id) => {
    const place = places.get(bare(label))
    return place === undefined || place === id ? [] : [`${shown(label)} is class ${place} there, and class ${id} in \`labels\``]
  })
}

/** @throws InputError where config.json says nothing of classes, and there is no trained head that has two */
export function requireLabels(config: ConfigJson, task: Task): void {
  if (taskRecord(task).named !== true || (config['id2label'] ?? config['num_labels'] ?? null) !== null) return
  throw new InputError(`labels: ${task} needs the names of its classes, as in labels: ['ham', 'spam'].`)
}

const PROBLEM_TYPES: readonly ProblemType[] = ['regression', 'single_label_classification', 'multi_label_classification']

/**
 * What the outputs of a classifier of rows are: as asked, else as `problem_type` says, else numbers where there is one output and one
 * class a row where there are several, as in transformers. Undefined for other tasks.
 *
 * @throws CheckpointError when the setting is none of the three, InputError when what was asked for is not
 */
export function problemOf(
  config: ConfigJson, task: Task, outputs: number, { asked, file = 'The configuration' }: { readonly asked: ProblemType | undefined; readonly file?: string },
): ProblemType | undefined {
  if (!classifiesRows(task)) return undefined
  if (asked !== undefined && !PROBLEM_TYPES.includes(asked)) throw new InputError(`problemType: expected ${PROBLEM_TYPES.join(', ')}, got ${shown(asked)}.`)
  const read = settingsReader(config, { file, what: `a model for ${task}` })
  const problem = asked ?? read.oneOf('problem_type', PROBLEM_TYPES, outputs === 1 ? 'regression' : 'single_label_classification')
  read.done()
  return problem
}
