// What the outputs of a classifier are. An adapter may have a head of its own, so that several of different sizes are on one base.

import { InputError, shown } from '../../errors.ts'
import type { Model } from '../model.ts'
import { problemOf } from '../tasks/labels.ts'
import { taskRecord, type ProblemType } from '../tasks/task.ts'

/** What the outputs of a model, or of an adapter with a head of its own, are. */
export interface Classes {
  /** Names of the classes, in order; none where the task has none. */
  readonly labels: readonly string[]
  /** Of sequence classification: what they are to each other. */
  readonly problem?: ProblemType | undefined
}

/** Classes of an adapter's own, as options give them. */
export interface ClassOptions {
  /**
   * Names of its own classes: it gets a new head for them, which is trained and takes the place of the model's where the adapter
   * is enabled. @default the model's classes and head
   */
  readonly labels?: readonly string[]
  /** Sequence classification: what its outputs are, as `loadModel` takes it. @default for the model's classes the model's, else as `loadModel` */
  readonly problemType?: ProblemType
}

/** @throws InputError when the task has no classes, or these are none; undefined where they are the model's */
export function ownClasses(what: string, { parts }: Model, { labels = parts.labels, problemType }: ClassOptions): Classes | undefined {
  if (labels === parts.labels && problemType === undefined) return undefined
  if (taskRecord(parts.task).named !== true) throw new InputError(`${what}: a model for '${parts.task}' has no classes: leave out labels and problemType.`)
  const isList = Array.isArray(labels) && labels.length > 0 && labels.every((label) => typeof label === 'string') && new Set(labels).size === labels.length
  if (!isList) throw new InputError(`${what}: labels: expected names of classes, each once, got ${shown(labels)}.`)
  const asked = problemType ?? (sameLabels(labels, parts.labels) ? parts.problem : undefined)
  const own = { labels, problem: problemOf({}, parts.task, labels.length, { asked }) }
  return sameClasses(own, parts) ? undefined : own
}

export function sameClasses(a: Classes, b: Classes): boolean {
  return sameLabels(a.labels, b.labels) && a.problem === b.problem
}

export function sameLabels(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((label, i) => label === b[i])
}

/** Full names of the parameters with a row for each class: those of the last linear place of the task's head. */
export function classParams({ task, sites }: Pick<Model['parts'], 'task' | 'sites'>): readonly string[] {
  if (taskRecord(task).named !== true) return []
  const last = sites.flatMap((site) => (site.kind === 'linear' && site.role === 'head' ? [site] : [])).at(-1)
  return last === undefined ? [] : [last.weight, ...(last.bias === undefined ? [] : [last.bias])]
}

/** The outermost modules of all that is not the encoder's. */
export function headModules(baseName: string, names: Iterable<string>): string[] {
  const own = [...names].filter((name) => !name.startsWith(`${baseName}.`))
  return [...new Set(own.map((name) => name.split('.', 1).join()))]
}
