// An adapter that does not fit a model: what the two are, in a sentence, in place of every key.

import { CheckpointError, shown } from '../../errors.ts'
import { classParams } from '../adapter/classes.ts'
import type { Model } from '../model.ts'
import { taskOfType, taskRecord, type Task } from '../tasks/task.ts'
import type { AdapterFile } from './named-tensors.ts'
import { readTrainedFor } from './trained-for.ts'

/** Keys that are shown where an adapter is another model's. */
const FEW = 5

/** The task that a file names, where it is another than the model's. */
function otherTask({ record, parts }: Model, { config: { task_type: type = null }, metadata, weights }: AdapterFile): { readonly name: string; readonly task: Task | undefined } | undefined {
  const own = readTrainedFor(metadata, weights)?.task
  if (own !== undefined) return own === parts.task ? undefined : { name: `'${own}'`, task: own }
  return type === null || type === record.peftType ? undefined : { name: `task_type ${shown(type)}`, task: taskOfType(type) }
}

/**
 * @throws CheckpointError when a file with a head is of another task than the model, whose head may have the same shape
 */
export function checkTask(model: Model, file: AdapterFile, folder: string): void {
  const error = taskError(model, file, folder)
  const heads = classParams(model.parts)
  if (error !== undefined && heads.some((name) => [...file.tensors.keys()].some((key) => `.${key}`.endsWith(`.${name}`)))) throw error
}

function taskError(model: Model, file: AdapterFile, folder: string, cause?: unknown): CheckpointError | undefined {
  const other = otherTask(model, file)
  if (other === undefined) return undefined
  const wayOut = other.task === undefined ? 'Load a model for that' : `Load the model with { task: '${other.task}' }${taskRecord(other.task).named === true ? ' and its labels' : ''}`
  return new CheckpointError(`${folder}: the adapter was trained for ${other.name}, and the model was loaded for '${model.parts.task}'. ${wayOut}.`, [], cause === undefined ? {} : { cause })
}

/** What is said in place of an error that lists the tensors which do not fit; the error itself where some of the tensors fit. */
export function misfit(model: Model, file: AdapterFile, folder: string, error: unknown): unknown {
  if (!(error instanceof CheckpointError)) return error
  const byTask = taskError(model, file, folder, error)
  if (byTask !== undefined) return byTask
  const { problems } = error
  if (problems.length <= FEW || problems.length < file.tensors.size) return error
  const base = file.config['base_model_name_or_path'] ?? file.config['model_name']
  const named = typeof base === 'string' && base !== model.parts.source ? ` (its settings name ${shown(base)})` : ''
  return new CheckpointError(
    `${folder}: the adapter was made for a model of another size or family${named} than this one, ${shown(model.parts.source)}. The first tensors that do not fit:`,
    [...problems.slice(0, FEW), `and ${problems.length - FEW} more`], { cause: error })
}
