// What the rows of each task must have to be learned from.

import type { TaskRecord } from '../base/tasks/task.ts'
import type { Model } from '../base/model.ts'
import type { BatchOptions } from './batches.ts'
import { checkExamples, rowCount, type Examples } from './examples.ts'
import { rowOf } from './padding.ts'

const TARGETS = ['labels', 'tokenLabels', 'spans', 'positives'] as const

/** What is missing for the task, or is of another. */
export function missingLabels({ name, target, prepare }: TaskRecord, examples: Examples): string[] {
  const given = TARGETS.filter((field) => examples[field] !== undefined)
  if (target !== undefined && examples[target.field] === undefined) return [`expected ${target.what}`]
  if (prepare === undefined) return []
  return given.filter((field) => field !== 'tokenLabels').map((field) => `${field}: a model for ${name} learns from the ids themselves, or from tokenLabels; leave ${field} out`)
}

/**
 * All that is wrong with rows that a model is to learn from or be measured on.
 *
 * @param ownLoss labels are those of a loss of one's own
 */
export function rowProblems(model: Model, examples: Examples, ownLoss = false): string[] {
  const { record, limits, parts: { labels, architecture } } = model
  const { numeric = false, named = false, language = false } = record
  const classes = ownLoss ? undefined : language ? limits?.vocabSize : named ? labels.length : undefined
  const one = classes === 1 && !numeric ? ['labels: the model has one class, of which there is nothing to learn; give it more, or load it with { problemType: \'regression\' }'] : []
  const options = { numeric, ...(classes === undefined ? {} : { classes }) }
  const problems = [...one, ...(ownLoss ? [] : missingLabels(record, examples)), ...checkExamples(examples, options, limits)]
  const tokensAlone = limits !== undefined && examples.pixels === undefined && examples.decoderIds === undefined
  if (tokensAlone || problems.length > 0) return problems
  return Array.from({ length: rowCount(examples) }, (_, row) => architecture.check(rowOf(examples, row), limits).map((problem) => `row ${row}: ${problem}`)).flat()
}

/** How the rows of a task become batches that it learns from. */
export function batchOptionsFor({ prepare, numeric = false }: TaskRecord): Pick<BatchOptions, 'transform' | 'numeric'> {
  return { ...(prepare === undefined ? {} : { transform: prepare }), ...(numeric ? { numeric } : {}) }
}
