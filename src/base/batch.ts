import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'

/** Token rows of one length, as plain arrays. */
export interface Batch {
  /** Token ids, row after row: batch × length. */
  readonly ids: Int32Array
  /** 1 for a token, 0 for padding; batch × length. @default all 1 */
  readonly mask?: Int32Array
  /** Which text of a pair a token belongs to; batch × length. @default all 0 */
  readonly typeIds?: Int32Array
  /** What the task's loss is held against, see `Model.loss`; of classes, −100 counts for nothing. */
  readonly labels?: Int32Array | Float32Array
  readonly batch: number
  readonly length: number
}

/** A batch as tensors. */
export interface Input {
  readonly ids: Tensor1D // (B·T), int32
  readonly typeIds: Tensor1D // (B·T), int32
  readonly mask: Tensor2D // (B, T), float32
  readonly padded: boolean
  readonly batch: number
  readonly length: number
}

/** What a batch must keep to. */
export interface Limits {
  readonly vocabSize: number
  readonly maxLength: number
}

/** Checks a batch against a model's limits and makes its tensors; call inside a tidy. */
export function toInput(batch: Batch, limits: Limits): Input {
  checkBatch(batch, limits)
  const { ids, mask, typeIds, batch: B, length: T } = batch
  return {
    ids: tf.tensor1d(ids, 'int32'),
    typeIds: typeIds === undefined ? tf.zeros([B * T], 'int32') : tf.tensor1d(typeIds, 'int32'),
    mask: mask === undefined ? tf.ones([B, T]) : tf.tensor2d(Float32Array.from(mask), [B, T]),
    padded: mask?.includes(0) ?? false,
    batch: B,
    length: T,
  }
}

/** @throws InputError with everything that is wrong with the batch */
export function checkBatch({ ids, mask, typeIds, batch, length }: Batch, { vocabSize, maxLength }: Limits): void {
  const problems: string[] = []
  const size = batch * length
  if (batch < 1 || length < 1) problems.push(`expected at least one row and one token; got batch ${batch}, length ${length}`)
  for (const [name, array] of Object.entries({ ids, mask, typeIds })) {
    if (array !== undefined && array.length !== size) {
      problems.push(`${name}: expected batch × length = ${batch} × ${length} = ${size} numbers; got ${array.length}`)
    }
  }
  if (length > maxLength) {
    problems.push(`length ${length} is more than the ${maxLength} positions of the model; truncate (maxLength: ${maxLength})`)
  }
  const wrong = ids.findIndex((id) => id < 0 || id >= vocabSize)
  if (wrong >= 0) {
    problems.push(`ids[${wrong}] = ${ids[wrong] ?? ''} is outside the vocabulary of ${vocabSize}; is it this model's tokenizer?`)
  }
  if (problems.length > 0) throw new InputError('The batch does not fit the model:', problems)
}
