import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'

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
  /** Segments that the model tells apart; undefined where it has none and reads no `typeIds`. */
  readonly types?: number
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
export function checkBatch({ ids, mask, typeIds, batch, length }: Batch, { vocabSize, maxLength, types = Infinity }: Limits): void {
  const problems: string[] = []
  const size = batch * length
  if (!isCount(batch) || !isCount(length)) problems.push(`expected at least one row and one token; got batch ${shown(batch)}, length ${shown(length)}`)
  const check = (name: string, values: Int32Array | undefined, below: number, expected: string): void => {
    if (values === undefined) return
    problems.push(...integerProblems(name, values, (value) => value >= 0 && value < below, expected))
    if (values.length !== size) problems.push(`${name}: expected batch × length = ${batch} × ${length} = ${size} numbers; got ${values.length}`)
  }
  check('ids', ids, vocabSize, `token ids below ${vocabSize}, as this model's own tokenizer gives them`)
  check('mask', mask, 2, '1 for a token and 0 for padding')
  check('typeIds', typeIds, types, types === 1 ? '0, the only segment of the model' : `segments from 0 to ${types - 1}`)
  if (length > maxLength) {
    problems.push(`length ${length} is more than the ${maxLength} positions of the model; truncate (maxLength: ${maxLength})`)
  }
  if (problems.length > 0) throw new InputError('The batch does not fit the model:', problems)
}

/** Numbers of a kind listed, where there are many that are wrong. */
const LISTED = 8

/**
 * What is wrong with an array that must be an Int32Array: put into one, a fraction would be cut, and null and a text become 0.
 *
 * @param expected what the numbers should be
 */
export function integerProblems(name: string, values: Int32Array, fits: (value: number) => boolean, expected: string): string[] {
  const given: unknown = values
  if (!(given instanceof Int32Array) && !Array.isArray(given) && !ArrayBuffer.isView(given)) return [`${name}: expected an Int32Array, got ${shown(given)}`]
  const isRight = (value: unknown): boolean => Number.isInteger(value) && fits(value as number)
  const wrong: string[] = []
  for (let i = 0; i < values.length; i++) {
    if (isRight(values[i])) continue
    if (wrong.length === LISTED) {
      wrong.push('…')
      break
    }
    wrong.push(`${name}[${i}] = ${shown(values[i])}`)
  }
  if (wrong.length > 0) return [`${name}: expected ${expected}; got ${wrong.join(', ')}`]
  return given instanceof Int32Array ? [] : [`${name}: expected an Int32Array, got ${Array.isArray(given) ? 'an array' : `a ${(given as object).constructor.name}`}; make one with Int32Array.from`]
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}
