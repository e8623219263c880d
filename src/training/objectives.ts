// What each task learns from.

import type { Task } from '../base/architecture.ts'
import type { BatchOptions, Examples } from './batches.ts'
import { nextTokenLabels } from './mask-tokens.ts'

/** What examples must have for a task; a causal LM learns from the ids themselves. */
const NEEDS: Readonly<Record<Task, readonly [field: keyof Examples, what: string] | undefined>> = {
  'feature-extraction': undefined,
  'sentence-embedding': ['positives', 'positives, a text for each row'],
  'sequence-classification': ['labels', 'labels, one for each row'],
  'token-classification': ['tokenLabels', 'tokenLabels, one for each token'],
  'question-answering': ['spans', 'spans, an answer for each row'],
  'masked-lm': ['tokenLabels', 'tokenLabels, or batches made with prepareBatches(rows, { transform: maskTokens({ tokenizer }), ... })'],
  'causal-lm': undefined,
}

/** What is missing for the task. */
export function missingLabels(task: Task, examples: Examples): string[] {
  const need = NEEDS[task]
  return need === undefined || examples[need[0]] !== undefined ? [] : [`expected ${need[1]}`]
}

/** What makes labels where the task's come from the ids. */
export function transformFor(task: Task): Pick<BatchOptions, 'transform'> {
  return task === 'causal-lm' ? { transform: nextTokenLabels } : {}
}
