import { InputError } from '../../errors.ts'
import { tokenIds, type Batch } from '../batch.ts'
import { IGNORED_LABEL } from '../ops/cross-entropy.ts'

/**
 * Causal LM: the labels are the ids, or the batch's own where it has one for each token, as from `tokenLabels`. Padding does
 * not count, nor does the first token of a row, which nothing predicts.
 *
 * @throws InputError when the batch has labels of another kind
 * @example
 * const batches = prepareBatches({ ids: [[5, 6, 7], [8, 9]] }, { batchSize: 2, transform: nextTokenLabels })
 */
export function nextTokenLabels<B extends Batch>(batch: B): B {
  const ids = tokenIds(batch, 'nextTokenLabels')
  const { mask, length, labels = ids } = batch
  if (labels.length !== ids.length) {
    throw new InputError(`nextTokenLabels: expected ${ids.length} labels, one for each token, or none; the batch has ${labels.length}. Give a causal LM tokenLabels.`)
  }
  const isToken = (i: number): boolean => mask === undefined || mask[i] === 1
  const counts = (i: number): boolean => isToken(i) && i % length > 0 && isToken(i - 1)
  return { ...batch, labels: labels.map((label, i) => (counts(i) ? label : IGNORED_LABEL)) }
}
