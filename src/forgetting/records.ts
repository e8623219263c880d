// Records of tensors and what has to hold before several of them are mixed.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'

/** Tensors by name: the weights of a model, what an adapter trains, differences or importances of such. */
export type Tensors = Readonly<Record<string, Tensor>>

/**
 * Checks that records can be mixed tensor by tensor: the names and shapes of the first, and finite numbers.
 *
 * @param caller whose message it is
 * @param labelled the records with what each is called in the message
 * @param extra what else is wrong
 * @throws InputError with everything that is wrong in any of them
 */
export function checkRecords(
  caller: string,
  labelled: readonly (readonly [label: string, record: Tensors])[],
  extra: readonly string[] = [],
): void {
  refuse(caller, strangers(labelled))
  refuse(caller, [...extra, ...unlike(labelled), ...labelled.flatMap(([label, record]) => nonFinite(label, record))])
}

/** The same without a look at the numbers, for which it would have to wait. */
export function checkAlike(caller: string, labelled: readonly (readonly [label: string, record: Tensors])[]): void {
  refuse(caller, strangers(labelled))
  refuse(caller, unlike(labelled))
}

const isDisposed = (record: unknown): boolean => Object.values(record ?? {}).some((value) => value instanceof tf.Tensor && value.isDisposed)

/** Whether these are tensors by name. */
export function areTensors(given: unknown): given is Tensors {
  return typeof given === 'object' && given !== null && !(given instanceof Promise) && Object.values(given).every((value) => value instanceof tf.Tensor && !value.isDisposed)
}

/** What is given in place of tensors, such as an adapter or a promise of what `diagonalFisher` gives. */
export function strangers(labelled: readonly (readonly [label: string, record: unknown])[]): string[] {
  return labelled.filter(([, record]) => !areTensors(record)).map(([label, record]) =>
    `${label}: expected tensors by name, as adapter.trainable has them, got ${isDisposed(record) ? 'some that were disposed' : record instanceof Promise ? 'a promise: write `await` before what gives it' : record === undefined ? 'undefined' : 'something else'}`)
}

function refuse(caller: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new InputError(`${caller}: these cannot be used together:`, problems)
}

function unlike([first, ...others]: readonly (readonly [label: string, record: Tensors])[]): string[] {
  if (first === undefined) return ['expected at least one record, got none']
  const none = Object.keys(first[1]).length === 0 ? [`${first[0]} has no tensors`] : []
  return [...none, ...others.flatMap((other) => differences(first, other))]
}

function differences([label, record]: readonly [string, Tensors], [otherLabel, other]: readonly [string, Tensors]): string[] {
  const shared = Object.entries(record).flatMap(([name, { shape }]) => {
    const theirs = other[name]
    if (theirs === undefined) return [`${otherLabel} lacks ${name} [${shape.join(', ')}], which ${label} has`]
    if (theirs.shape.join() === shape.join()) return []
    return [`${name} is [${shape.join(', ')}] in ${label} and [${theirs.shape.join(', ')}] in ${otherLabel}`]
  })
  const more = Object.keys(other).filter((name) => record[name] === undefined)
  return [...shared, ...more.map((name) => `${otherLabel} has ${name}, which ${label} lacks`)]
}

/** A problem for each tensor that has NaN or an infinity in it. */
export function nonFinite(label: string, record: Tensors): string[] {
  const wrong = Object.entries(record).filter(([, tensor]) => !holds(() => tf.isFinite(tensor)))
  return wrong.map(([name]) => `${label}: ${name} has numbers that are not finite`)
}

/** Whether a condition is true of all elements. */
export function holds(condition: () => Tensor): boolean {
  return valueOf(() => tf.all(condition())) === 1
}

/** The number of a scalar, read at once: for what is asked between trainings. */
export function valueOf(scalar: () => Tensor): number {
  return tf.tidy(() => scalar().dataSync()[0] ?? NaN)
}

/** A record with the names of `record`; `make` runs in a tidy and may return what it was given. */
export function mapTensors(record: Tensors, make: (name: string, tensor: Tensor) => Tensor): Record<string, Tensor> {
  const one = (name: string, tensor: Tensor): Tensor => {
    const made = make(name, tensor)
    return made === tensor ? tensor.clone() : made
  }
  return tf.tidy(() => // frees those that are done where one throws
    Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, tf.tidy(() => one(name, tensor))])))
}

/** The tensor of a name that `checkRecords` has found. */
export function tensorOf(record: Tensors, name: string): Tensor {
  return record[name] as Tensor
}
