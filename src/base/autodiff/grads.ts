// The walk back along a tape: gradients of trained tensors, of all examples together or of each by itself.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { TrainingError } from '../../errors.ts'
import { record, type Node, type Parts, type Tape } from './tape.ts'

/** During a walk back that keeps the gradients of examples apart: how many there are, and of which tensors. */
let apart: { readonly count: number; readonly ids: ReadonlySet<number> } | undefined

/** How many examples the gradient of a trained tensor is to be kept apart for; undefined where their sum is asked for. */
export function examplesApart(trained: Tensor): number | undefined {
  return apart?.ids.has(trained.id) === true ? apart.count : undefined
}

/** A loss and its gradients, named as the trained tensors are. The caller disposes both. */
export interface ValueAndGrads {
  readonly value: Scalar
  readonly grads: Record<string, Tensor>
}

/** A gradient's name and numbers. The tensor is not the caller's. */
export type WhenWhole = (name: string, gradient: Tensor) => void

/**
 * Evaluates `loss` and differentiates it with respect to `trained`.
 *
 * @param loss a scalar, computed through `op`s
 * @param trained the tensors to differentiate by; nothing else receives a gradient
 * @param idle those of them that the loss may not depend on: their gradients are then zeros
 * @param whenWhole is told of gradients during the walk back, each as soon as nothing is left that adds to it; none of them where pieces
 *   are run again, which may
 * @throws TrainingError naming every trained tensor that the loss does not depend on
 * @example
 * const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
 */
export function valueAndGrads(
  loss: () => Scalar,
  trained: Readonly<Record<string, Variable>>,
  idle: ReadonlySet<Variable> = new Set(),
  whenWhole?: WhenWhole,
): ValueAndGrads {
  return differentiate(loss, trained, idle, undefined, whenWhole)
}

/**
 * The same, with the gradient of each example by itself where the operations on a tensor can tell them apart: its gradient
 * has then one axis more, (count, ...shape). Of a tensor with an operation that cannot, it is their sum.
 *
 * @param loss of `count` examples of equally many rows, one behind the other
 */
export function perExampleGrads(loss: () => Scalar, trained: Readonly<Record<string, Variable>>, count: number): ValueAndGrads {
  return differentiate(loss, trained, new Set(), count)
}

/** Runs f so that its operations know what depends on trained tensors, and keep nothing. */
export function probe<T>(trained: readonly Variable[], f: () => T): T {
  return record({ nodes: [], needed: new Set(trained.map(({ id }) => id)), held: [], probing: true, sharedByBatch: false, examplesApart: false }, f)
}

/** Bytes that a loss keeps for the walk back, which is not walked. */
export function bytesKept(loss: () => Scalar, trained: readonly Variable[]): number {
  const tape: Tape = { nodes: [], needed: new Set(trained.map(({ id }) => id)), held: [], probing: false, sharedByBatch: false, examplesApart: false }
  const before = tf.memory().numBytes
  try {
    record(tape, () => { tf.dispose(loss()) })
    return tf.memory().numBytes - before
  } finally {
    release(tape)
  }
}

function differentiate(
  loss: () => Scalar,
  trained: Readonly<Record<string, Variable>>,
  idle: ReadonlySet<Variable>,
  count: number | undefined,
  whenWhole?: WhenWhole,
): ValueAndGrads {
  const ids = new Set(Object.values(trained).map((variable) => variable.id))
  const tape: Tape = { nodes: [], needed: new Set(ids), held: [], probing: false, sharedByBatch: false, examplesApart: count !== undefined }
  let value: Scalar
  try {
    value = record(tape, () => tf.tidy(() => tf.keep(loss())))
  } catch (error) {
    release(tape)
    throw error
  }
  const gradients = new Map<number, Tensor>()
  if (tape.needed.has(value.id)) gradients.set(value.id, tf.keep(tf.onesLike(value)))
  try {
    walkBack(tape, gradients, count === undefined ? undefined : { count, ids }, whenWhole === undefined ? undefined : watchUses(tape, trained, gradients, whenWhole))
  } catch (error) {
    tf.dispose([value, ...gradients.values()])
    throw error
  }
  const grads: Record<string, Tensor> = {}
  const missing: string[] = []
  for (const [name, variable] of Object.entries(trained)) {
    const gradient = gradients.get(variable.id) ?? (idle.has(variable) ? tf.keep(tf.zerosLike(variable)) : undefined)
    if (gradient === undefined) missing.push(name)
    else grads[name] = gradient
  }
  if (missing.length > 0) {
    tf.dispose([value, ...Object.values(grads)])
    throw new TrainingError('The loss does not depend on these trained tensors; detach what is not used:', missing)
  }
  return { value, grads }
}

/** Gives what is to be called behind each node of the walk back, so that it tells when a gradient is whole. */
function watchUses(
  { nodes }: Tape, trained: Readonly<Record<string, Variable>>, gradients: ReadonlyMap<number, Tensor>, whenWhole: WhenWhole,
): ((node: Tape['nodes'][number]) => void) | undefined {
  if (nodes.some((node) => 'again' in node)) return undefined // what a piece uses is known when it runs again
  const inputsOf = (node: Tape['nodes'][number]): readonly (number | undefined)[] => ('again' in node ? [] : 'outputs' in node ? [node.input] : node.inputs)
  const names = new Map(Object.entries(trained).map(([name, { id }]) => [id, name]))
  const uses = new Map<number, number>()
  for (const id of nodes.flatMap(inputsOf)) if (id !== undefined && names.has(id)) uses.set(id, (uses.get(id) ?? 0) + 1)
  return (node) => {
    for (const id of inputsOf(node)) {
      const left = id === undefined ? undefined : uses.get(id)
      if (id === undefined || left === undefined) continue
      uses.set(id, left - 1)
      const gradient = gradients.get(id)
      if (left === 1 && gradient !== undefined) whenWhole(names.get(id) as string, gradient)
    }
  }
}

/** Consumes the tape from its end; leaves the gradients of the trained tensors in `gradients`. @param passed called behind each node */
function walkBack(tape: Tape, gradients: Map<number, Tensor>, examples: typeof apart, passed?: (node: Tape['nodes'][number]) => void): void {
  try {
    for (let node = tape.nodes.pop(); node !== undefined; node = tape.nodes.pop()) {
      if ('outputs' in node) joinBack(node, gradients)
      else throughBack(node, gradients, examples)
      passed?.(node)
    }
  } finally {
    release(tape)
  }
}

function throughBack(node: Exclude<Tape['nodes'][number], Parts>, gradients: Map<number, Tensor>, examples: typeof apart): void {
  const dy = gradients.get(node.output)
  gradients.delete(node.output)
  try {
    if (dy === undefined) return
    if ('again' in node) gradients.set(node.again(), tf.keep(dy.clone()))
    else stepBack(node, dy, gradients, node.sharedByBatch ? undefined : examples)
  } finally {
    tf.dispose([...node.saved])
    dy?.dispose()
  }
}

function stepBack({ vjp, saved, needs, inputs }: Node, dy: Tensor, gradients: Map<number, Tensor>, examples: typeof apart): void {
  let results: (Tensor | null)[] = []
  const before = apart
  apart = examples
  try {
    tf.tidy(() => {
      results = keepOwn(vjp(dy, saved, needs), dy, needs)
    })
  } finally {
    apart = before
  }
  results.forEach((dx, i) => {
    const id = inputs[i]
    if (dx !== null && id !== undefined) accumulate(gradients, id, dx)
  })
}

function joinBack({ outputs, input, join }: Parts, gradients: Map<number, Tensor>): void {
  const dys = outputs.map((id) => gradients.get(id))
  if (dys.every((dy) => dy === undefined)) return
  const dx = tf.keep(tf.tidy(() => join(dys)))
  for (const id of outputs) gradients.delete(id)
  tf.dispose(dys.filter((dy) => dy !== undefined))
  accumulate(gradients, input, dx)
}

function release(tape: Tape): void {
  for (const node of tape.nodes.splice(0)) tf.dispose([...node.saved])
  tf.dispose(tape.held.splice(0))
}

/** Each kept gradient is a tensor of its own, so that each can be disposed by itself. */
function keepOwn(results: readonly (Tensor | null)[], dy: Tensor, needs: readonly boolean[]): (Tensor | null)[] {
  const seen = new Set<number>([dy.id])
  return results.map((dx, i) => {
    if (dx === null || needs[i] !== true) return null
    const own = seen.has(dx.id) ? dx.clone() : dx
    seen.add(dx.id)
    return tf.keep(own)
  })
}

function accumulate(gradients: Map<number, Tensor>, id: number, dx: Tensor): void {
  const before = gradients.get(id)
  if (before === undefined) {
    gradients.set(id, dx)
    return
  }
  const rank = Math.min(before.rank, dx.rank)
  const joined = (gradient: Tensor): Tensor => (gradient.rank > rank ? tf.sum(gradient, 0) : gradient) // apart, and the other is a sum
  gradients.set(id, tf.keep(tf.tidy(() => tf.add(joined(before), joined(dx)))))
  before.dispose()
  dx.dispose()
}
