// Reverse-mode differentiation that keeps only what it must.
//
// tfjs's own tape records every kernel run while it is on and frees nothing until the walk back has ended. Here an
// operation states what its backward pass needs: nothing is recorded when no input depends on a trained tensor, only
// what `save` was given stays alive, and saved tensors and output gradients are freed as the walk goes back.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { TrainingError } from '../errors.ts'

/** Keeps tensors for the backward pass; does nothing when there will be none. */
export type Save = (...tensors: readonly Tensor[]) => void

/** Gradients for the inputs from the output's: one for each input, null where `needs` is false. */
export type Vjp = (dy: Tensor, saved: readonly Tensor[], needs: readonly boolean[]) => (Tensor | null)[]

interface Node {
  readonly output: number // tensor ids
  readonly inputs: readonly number[]
  readonly needs: readonly boolean[]
  readonly saved: readonly Tensor[]
  readonly vjp: Vjp
  /** Its rows are not those of examples: see `joint`. */
  readonly joint: boolean
}

/** A piece that was run without keeping anything, to be run again when the walk back comes to it. */
interface Piece {
  readonly output: number
  readonly saved: readonly Tensor[]
  /** Records the piece on the tape; gives the id of its output this time. */
  readonly again: () => number
}

/** One tensor in several: see `split`. */
interface Parts {
  readonly outputs: readonly number[]
  readonly input: number
  readonly saved: readonly Tensor[]
  readonly join: (dys: readonly (Tensor | undefined)[]) => Tensor
}

interface Tape {
  readonly nodes: (Node | Piece | Parts)[]
  readonly needed: Set<number> // ids of tensors that depend on a trained one
  readonly held: Tensor[] // until the walk back has ended
  /** Notes what depends on a trained tensor, and keeps nothing. */
  readonly probing: boolean
  readonly joint: boolean
}

let current: Tape | undefined

/** During a walk back that keeps the gradients of examples apart: how many there are, and of which tensors. */
let apart: { readonly count: number; readonly ids: ReadonlySet<number> } | undefined

const nothing: Save = () => undefined

/**
 * Runs one differentiable operation.
 *
 * Inside `forward` nothing else is recorded, so it is free to use any tfjs operation. Every tensor that should
 * receive a gradient must be among `inputs`; one that is only caught by the closure counts as a constant.
 *
 * @param forward computes the output; `needs[i]` says whether input i will be asked for its gradient
 * @param vjp vector-Jacobian product; runs inside a tidy and may return `dy` itself. Of the forward pass's tensors only
 *   what was saved is still there, besides parameters.
 * @example
 * const square = (x) => op([x], (save) => { save(x); return tf.square(x) }, (dy, [x]) => [tf.mul(tf.mul(dy, x), 2)])
 */
export function op<T extends Tensor>(
  inputs: readonly Tensor[],
  forward: (save: Save, needs: readonly boolean[]) => T,
  vjp: Vjp,
): T {
  const tape = current
  const needs = inputs.map((input) => tape?.needed.has(input.id) ?? false)
  if (tape === undefined || !needs.includes(true)) return unrecorded(() => forward(nothing, needs))
  const saved: Tensor[] = []
  const save: Save = (...tensors) => {
    for (const tensor of tensors) saved.push(tf.keep(tensor.clone())) // a clone shares the data
  }
  const output = unrecorded(() => forward(tape.probing ? nothing : save, needs))
  tape.needed.add(output.id)
  if (!tape.probing) tape.nodes.push({ output: output.id, inputs: inputs.map((input) => input.id), needs, saved, vjp, joint: tape.joint })
  return output
}

/**
 * Takes x apart. An `op` for each part would give each a gradient as large as all of x, and add them.
 *
 * @param forward the parts of x
 * @param join the gradient of x from those of the parts; undefined where nothing depends on a part
 * @example const [left, right] = split(x, () => tf.split(x, 2, 1), ([a, b]) => tf.concat([a ?? zeros, b ?? zeros], 1))
 */
export function split<T extends Tensor>(x: Tensor, forward: () => T[], join: Parts['join']): T[] {
  const tape = current
  const parts = record(undefined, () => tf.tidy(forward))
  if (tape === undefined || !tape.needed.has(x.id)) return parts
  const outputs = parts.map(({ id }) => id)
  for (const id of outputs) tape.needed.add(id)
  if (!tape.probing) tape.nodes.push({ outputs, input: x.id, saved: [], join })
  return parts
}

/**
 * Brings a piece written in plain tfjs operations into the backward pass; tfjs differentiates that piece alone.
 * For small or unusual algebra: the piece is computed a second time during the backward pass.
 */
export function bridge<T extends Tensor>(inputs: readonly Tensor[], f: (...inputs: Tensor[]) => T): T {
  return op(
    inputs,
    (save) => {
      save(...inputs)
      return f(...inputs)
    },
    (dy, saved) => tf.grads(f)([...saved], dy),
  )
}

/**
 * Runs `piece` on x and keeps x alone of it: the walk back runs it a second time, and then with all that its operations
 * save, until it has passed them. What the piece does has to be the same both times.
 *
 * @param piece may use trained tensors from anywhere
 * @param used what the piece uses besides x and parameters: kept until the walk back has ended
 * @example const y = recomputed(x, (x) => layer(x, mask), [mask])
 */
export function recomputed<T extends Tensor>(x: T, piece: (x: T) => T, used: readonly Tensor[]): T {
  const tape = current
  if (tape === undefined || tape.probing) return piece(x)
  const output = record({ ...tape, probing: true }, () => tf.tidy(() => piece(x)))
  if (!tape.needed.has(output.id)) return output
  const start = tf.keep(x.clone())
  for (const tensor of used) if (!tensor.kept) tape.held.push(tf.keep(tensor)) // what is kept is another's, or held already
  tape.nodes.push({
    output: output.id,
    saved: [start],
    again: () => {
      if (tape.needed.has(x.id)) {
        tape.needed.add(start.id)
        tape.nodes.push({ output: start.id, inputs: [x.id], needs: [true], saved: [], vjp: (dy) => [dy], joint: false })
      }
      return record(tape, () => tf.tidy(() => piece(start).id))
    },
  })
  return output
}

/**
 * Runs what makes tensors that all examples of a batch share out of trained ones, as a network that makes a prefix: its
 * rows are not those of examples, so its gradients cannot be kept apart.
 */
export function joint<T>(f: () => T): T {
  return current === undefined ? f() : record({ ...current, joint: true }, f)
}

/** How many examples the gradient of a trained tensor is to be kept apart for; undefined where their sum is asked for. */
export function examplesApart(trained: Tensor): number | undefined {
  return apart?.ids.has(trained.id) === true ? apart.count : undefined
}

/** A loss and its gradients, named as the trained tensors are. The caller disposes both. */
export interface ValueAndGrads {
  readonly value: Scalar
  readonly grads: Record<string, Tensor>
}

/**
 * Evaluates `loss` and differentiates it with respect to `trained`.
 *
 * @param loss a scalar, computed through `op`s
 * @param trained the tensors to differentiate by; nothing else receives a gradient
 * @param idle those of them that the loss may not depend on: their gradients are then zeros
 * @throws TrainingError naming every trained tensor that the loss does not depend on
 * @example
 * const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
 */
export function valueAndGrads(
  loss: () => Scalar,
  trained: Readonly<Record<string, Variable>>,
  idle: ReadonlySet<Variable> = new Set(),
): ValueAndGrads {
  return differentiate(loss, trained, idle, undefined)
}

/**
 * The same, with the gradient of each example by itself where the operations on a tensor can tell them apart: its gradient
 * has then one axis more, (count, ...shape). Of a tensor with an operation that cannot, it is their sum.
 *
 * @param loss of `count` examples of equally many rows, one behind the other
 */
export function valueAndGradsApart(loss: () => Scalar, trained: Readonly<Record<string, Variable>>, count: number): ValueAndGrads {
  return differentiate(loss, trained, new Set(), count)
}

function differentiate(
  loss: () => Scalar,
  trained: Readonly<Record<string, Variable>>,
  idle: ReadonlySet<Variable>,
  count: number | undefined,
): ValueAndGrads {
  const ids = new Set(Object.values(trained).map((variable) => variable.id))
  const tape: Tape = { nodes: [], needed: new Set(ids), held: [], probing: false, joint: false }
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
    walkBack(tape, gradients, count === undefined ? undefined : { count, ids })
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

/** Consumes the tape from its end; leaves the gradients of the trained tensors in `gradients`. */
function walkBack(tape: Tape, gradients: Map<number, Tensor>, examples: typeof apart): void {
  try {
    for (let node = tape.nodes.pop(); node !== undefined; node = tape.nodes.pop()) {
      if ('outputs' in node) {
        joinBack(node, gradients)
        continue
      }
      const dy = gradients.get(node.output)
      gradients.delete(node.output)
      try {
        if (dy === undefined) continue
        if ('again' in node) gradients.set(node.again(), tf.keep(dy.clone()))
        else stepBack(node, dy, gradients, node.joint ? undefined : examples)
      } finally {
        tf.dispose([...node.saved])
        dy?.dispose()
      }
    }
  } finally {
    release(tape)
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

function record<T>(tape: Tape | undefined, f: () => T): T {
  const before = current
  current = tape
  try {
    return f()
  } finally {
    current = before
  }
}

function unrecorded<T extends Tensor>(f: () => T): T {
  return record(undefined, () => tf.tidy(f))
}
