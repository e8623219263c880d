// What an adapter was trained for, where adapter_config.json has no field for it: the metadata of its weights say it, so that the
// names of the classes stay with the rows that they name. PEFT passes over them; of one more field in its settings it warns.

import { CheckpointError, shown } from '../../errors.ts'
import type { Adapter } from '../adapter/adapter.ts'
import { classParams, sameClasses, sameLabels, type Classes, type ClassOptions } from '../adapter/classes.ts'
import type { Pooling } from '../architecture.ts'
import { mergedField, readMerged, readPooling } from './own-metadata.ts'
import type { NamedTensors } from '../adapter/file-format.ts'
import type { Model } from '../model.ts'
import { labelsOf, movedLabels, problemOf } from '../tasks/labels.ts'
import { isTask, type Task } from '../tasks/task.ts'
import { parseStrictJson } from '../files/strict-json.ts'

export interface TrainedFor {
  readonly task: Task
  readonly classes: Classes
  /** How a row becomes one vector, where the task has one for each row. */
  readonly pooling?: Pooling
  readonly normalize?: boolean
  /** Adapters that its base had in its weights, which the files of the base do not have. */
  readonly merged?: readonly string[]
}

/** The tables of words in the file are not those of the base that it names, though they may be as large. */
const OWN_TABLES = { tables: 'own' }

export function hasOwnTables({ tables }: Readonly<Record<string, string>>): boolean {
  return tables === OWN_TABLES.tables
}

/** What goes into the metadata of an adapter's weights. */
export async function trainedForOf({ model: { parts: { task, pooling, head, grown, merged = [] } }, labels, problem, brought }: Adapter): Promise<Readonly<Record<string, string>>> {
  return {
    task,
    ...(labels.length === 0 ? {} : { id2label: JSON.stringify(Object.fromEntries(labels.map((label, id) => [id, label]))) }),
    ...(problem === undefined ? {} : { problem_type: problem }),
    ...(grown === undefined && brought.length === 0 ? {} : OWN_TABLES),
    ...(pooling === undefined ? {} : { pooling }),
    ...(head.embedding === undefined ? {} : { normalize: String(head.embedding.normalize) }),
    ...await mergedField(merged.filter(({ inFiles }) => !inFiles)),
  }
}

/** The same from a file; undefined where it is another library's. @throws CheckpointError when it cannot be read */
export function readTrainedFor({ task, id2label, problem_type, pooling, normalize, merged }: Readonly<Record<string, string>>, file: string): TrainedFor | undefined {
  if (task === undefined) return undefined
  if (!isTask(task)) throw new CheckpointError(`${file}: task, in its metadata: expected one that this library has, got ${shown(task)}`)
  const config = { ...(id2label === undefined ? {} : { id2label: parsed(id2label, file) }), ...(problem_type === undefined ? {} : { problem_type }) }
  const labels = id2label === undefined ? [] : labelsOf(config, task, file)
  const read = readPooling(pooling, file)
  const vector = { ...(read === undefined ? {} : { pooling: read }), ...(merged === undefined ? {} : { merged: readMerged(merged) }), ...(normalize === undefined ? {} : { normalize: normalize === 'true' }) }
  return { task, ...vector, classes: { labels, problem: problemOf(config, task, labels.length, { asked: undefined, file }) } }
}

/**
 * @throws CheckpointError when the adapter was trained on another way from a row to a vector, or on a model that had other adapters in its
 *   weights: every tensor would fit, and the answers would be others
 */
export async function checkBase({ parts }: Model, { task, pooling, merged = [] }: Partial<TrainedFor>, folder: string): Promise<void> {
  if (task === parts.task && pooling !== undefined && pooling !== parts.pooling) {
    throw new CheckpointError(`${folder}: the adapter was trained with pooling '${pooling}', and the model has '${parts.pooling ?? 'none'}'. Load the model with { pooling: '${pooling}' }.`)
  }
  const prints = await Promise.all((parts.merged ?? []).map(({ print }) => print))
  if (merged.every((print) => prints.includes(print))) return
  throw new CheckpointError(`${folder}: the adapter was trained on a model that had other adapters merged into it, and this one (${parts.source}) has not. ` +
    'Save that model, merge(model, adapter).save(folder), and load it from there: loadModel(folder), or loadAdapted(source, { base: folder }).')
}

function parsed(text: string, file: string): unknown {
  try {
    return parseStrictJson(text, 2)
  } catch (cause) {
    throw new CheckpointError(`${file}: id2label, in its metadata, is no JSON: ${(cause as Error).message}`, [], { cause })
  }
}

/**
 * The classes that a loaded adapter has: those that the options give, else those that its files name.
 *
 * @param file of its weights, with its tensors
 * @throws CheckpointError when they are other than the model's and the file has no head for them, or the same in another order than the
 *   model's or the file's
 */
export function classesFor(model: Model, trained: TrainedFor | undefined, { file, tensors, asked }: FileClasses): ClassOptions {
  const { parts } = model
  const hasHead = classParams(parts).some((name) => [...tensors.keys()].some((key) => `.${key}`.endsWith(`.${name}`)))
  const moved = hasHead && trained?.task === parts.task ? movedLabels(trained.classes.labels, asked.labels ?? []) : []
  if (moved.length > 0) {
    throw new CheckpointError(`${file}: the adapter's head was trained for the same classes in another order, and each would stand for another. Leave \`labels\` out, or give them as they are there:`, moved)
  }
  if (asked.labels !== undefined || asked.problemType !== undefined || trained?.task !== parts.task || sameClasses(trained.classes, parts)) return asked
  const { labels, problem } = trained.classes
  const own = { labels, ...(problem === undefined ? {} : { problemType: problem }) }
  const isReordered = !sameLabels(labels, parts.labels) && sameLabels([...labels].sort(), [...parts.labels].sort())
  if (hasHead && !isReordered) return own
  const [its, models] = [trained.classes, parts].map(asOptions)
  const between = `${file}: the adapter was trained for ${its}, and the model has ${models}`
  throw new CheckpointError(hasHead
    ? `${between}: the order differs, and each would stand for another. Load the model with ${its}; or give the adapter a head of its own, loadAdapter(model, source, ${its}).`
    : `${between}: the adapter has no head of its own. Load the model with ${its}; or, where they mean the same in this order, loadAdapter(model, source, ${models}).`)
}

interface FileClasses {
  readonly file: string
  readonly tensors: NamedTensors
  readonly asked: ClassOptions
}

function asOptions({ labels, problem = 'single_label_classification' }: Classes): string {
  return `{ labels: ${shown(labels)}${problem === 'single_label_classification' ? '' : `, problemType: '${problem}'`} }`
}
