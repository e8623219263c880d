// What the rows of each task must have to be learned from.

import type { TaskRecord } from '../base/tasks/task.ts'
import type { BatchOptions, Examples } from './batches.ts'

const TARGETS = ['labels', 'tokenLabels', 'spans', 'positives'] as const

/** What is missing for the task, or is of another. */
export function missingLabels({ name, target, prepare }: TaskRecord, examples: Examples): string[] {
  const given = TARGETS.filter((field) => examples[field] !== undefined)
  if (target !== undefined && examples[target.field] === undefined) return [`expected ${target.what}`]
  if (prepare === undefined) return []
  return given.filter((field) => field !== 'tokenLabels').map((field) => `${field}: a model for ${name} learns from the ids themselves, or from tokenLabels; leave ${field} out`)
}

/** How the rows of a task become batches that it learns from. */
export function batchOptionsFor({ prepare, numeric = false }: TaskRecord): Pick<BatchOptions, 'transform' | 'numeric'> {
  return { ...(prepare === undefined ? {} : { transform: prepare }), ...(numeric ? { numeric } : {}) }
}
