import { InputError, shown } from '../errors.ts'
import type { Architecture } from './architecture.ts'
import type { Limits } from './token-input.ts'

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

/** @throws InputError with everything that is wrong with the batch, by a family's own rules */
export function checkBatch(architecture: Pick<Architecture, 'check'>, batch: Batch, limits?: Limits): void {
  const problems = architecture.check(batch, limits)
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
