// What each task learns from.

import type { Task } from '../base/architecture.ts'
import type { BatchOptions, Examples } from './batches.ts'
import { nextTokenLabels } from './mask-tokens.ts'

/** What examples must have for a task; a causal LM learns from the ids themselves where they have no `tokenLabels`. */
const NEEDS: Readonly<Record<Task, readonly [field: keyof Examples, what: string] | undefined>> = {
  'feature-extraction': undefined,
  'sentence-embedding': ['positives', 'positives, a text for each row'],
  'sequence-classification': ['labels', 'labels, one for each row'],
  'token-classification': ['tokenLabels', 'tokenLabels, one for each token'],
  'question-answering': ['spans', 'spans, an answer for each row'],
  'masked-lm': ['tokenLabels', 'tokenLabels, or batches made with prepareBatches(rows, { transform: maskTokens({ tokenizer }), ... })'],
  'causal-lm': undefined,
}

/** Labels that are of another task, where this one has no need of any. */
const FOREIGN: Readonly<Partial<Record<Task, readonly (keyof Examples)[]>>> = { 'causal-lm': ['labels', 'spans', 'positives'] }

/** What is missing for the task, or is of another. */
export function missingLabels(task: Task, examples: Examples): string[] {
  const need = NEEDS[task]
  const foreign = (FOREIGN[task] ?? []).filter((name) => examples[name] !== undefined)
  return [
    ...(need === undefined || examples[need[0]] !== undefined ? [] : [`expected ${need[1]}`]),
    ...foreign.map((name) => `${name}: a causal LM learns from the ids themselves, or from tokenLabels; leave ${name} out`),
  ]
}

/** What makes labels where the task's come from the ids, or leaves out those that nothing predicts. */
export function transformFor(task: Task): Pick<BatchOptions, 'transform'> {
  return task === 'causal-lm' ? { transform: nextTokenLabels } : {}
}
