// A quadratic penalty, with its gradient in closed form:
//
//   (strength / 2) Σ F (θ − θ*)²,   gradient: strength F (θ − θ*)

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import type { Penalty, Trainable } from '../training/guard.ts'
import { checkRecords, mapTensors, tensorOf, type Tensors } from './records.ts'

/** What tensors are held to, and how hard each of their elements. */
export interface Anchor {
  readonly center: Tensors
  /** Of the same names, of the same shapes or one number for all elements. */
  readonly importance: Tensors
}

/** The penalty of the anchored tensors; the caller disposes it. */
export function quadraticPenalty(trainable: Trainable, { center, importance }: Anchor, strength: number): Penalty & { readonly value: Scalar } {
  const terms: Tensor[] = []
  const grads: Record<string, Tensor> = {}
  const value = tf.tidy(() => {
    for (const [name, weight] of Object.entries(trainable)) { // not in the center's order, which a file changes: to the bit the same sum
      const distance = tf.sub(weight, tensorOf(center, name))
      const grad = tf.mul(tf.mul(tensorOf(importance, name), distance), strength)
      terms.push(tf.sum(tf.mul(grad, distance)))
      grads[name] = tf.keep(grad)
    }
    return tf.mul<Scalar>(tf.addN(terms), 0.5)
  })
  return { value, grads }
}

/** Copies that stay as they are when a trained tensor changes, and when a tidy ends: the guard's own. */
export function copies(record: Tensors): Record<string, Tensor> {
  return kept(mapTensors(record, (_, tensor) => tensor))
}

/** The same tensors, which no tidy frees any more. */
export function kept<T extends Tensors>(record: T): T {
  for (const tensor of Object.values(record)) tf.keep(tensor)
  return record
}

/** Several records of the same names as one: `center.<name>`, `importance.<name>` and so on. */
export function joinRecords(records: Readonly<Record<string, Tensors>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(records).flatMap(([what, record]) =>
    Object.entries(record).map(([name, tensor]) => [`${what}.${name}`, tensor])))
}

/**
 * Copies of such records, taken apart again.
 *
 * @param like the record whose names and shapes they have to have; default those of the first
 * @throws InputError when names or shapes differ, or a number is not finite; it lists all
 */
export function splitRecords<K extends string>(caller: string, state: Tensors, parts: readonly K[], like?: Tensors): Record<K, Tensors> {
  const records = parts.map((what) => {
    const own = Object.entries(state).filter(([name]) => name.startsWith(`${what}.`))
    return [what, Object.fromEntries(own.map(([name, tensor]) => [name.slice(what.length + 1), tensor]))] as const
  })
  const labelled = records.map(([what, record]) => [`the state's ${what}`, record] as const)
  checkRecords(caller, like === undefined ? labelled : [['the guard', like], ...labelled])
  return Object.fromEntries(records.map(([what, record]) => [what, copies(record)])) as Record<K, Tensors>
}

/** @throws InputError when it is not a finite number of at least 0 */
export function checkStrength(caller: string, name: string, value: number): void {
  if (!(typeof value === 'number' && value >= 0 && value < Infinity)) throw new InputError(`${caller}: expected ${name} as a number of at least 0, got ${shown(value)}.`)
}

/** What a training is told that is given a guard of no strength. */
export function noStrength(guard: string, name: string): string {
  return `${guard}: ${name} is 0: it holds nothing, and the training is what it would be without it. Give ${name} above 0, or leave the guard out.`
}

/** What a training is told that is given a guard which holds nothing any more. */
export function disposed(guard: string): InputError {
  return new InputError(`${guard}: the guard was disposed, and holds nothing any more. Dispose it after the training, or make another.`)
}
