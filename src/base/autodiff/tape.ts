// Reverse-mode differentiation that keeps only what it must.
//
// tfjs's own tape records every kernel run while it is on and frees nothing until the walk back has ended. Here an
// operation states what its backward pass needs: nothing is recorded when no input depends on a trained tensor, only
// what `save` was given stays alive, and saved tensors and output gradients are freed as the walk goes back.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'

/** Keeps tensors for the backward pass; does nothing when there will be none. */
export type Save = (...tensors: readonly Tensor[]) => void

/** Gradients for the inputs from the output's: one for each input, null where `needs` is false. */
export type Vjp = (dy: Tensor, saved: readonly Tensor[], needs: readonly boolean[]) => (Tensor | null)[]

/** One operation. */
export interface Node {
  readonly output: number // tensor ids
  readonly inputs: readonly (number | undefined)[]
  readonly needs: readonly boolean[]
  readonly saved: readonly Tensor[]
  readonly vjp: Vjp
  /** Its rows are not those of examples: see `joint`. */
  readonly sharedByBatch: boolean
}

/** A piece that was run without keeping anything, to be run again when the walk back comes to it. */
interface Piece {
  readonly output: number
  readonly saved: readonly Tensor[]
  /** Records the piece on the tape; gives the id of its output this time. */
  readonly again: () => number
}

/** One tensor in several: see `split`. */
export interface Parts {
  readonly outputs: readonly number[]
  readonly input: number
  readonly saved: readonly Tensor[]
  readonly join: (dys: readonly (Tensor | undefined)[]) => Tensor
}

/** What a forward pass leaves for the walk back, in order. */
export interface Tape {
  readonly nodes: (Node | Piece | Parts)[]
  readonly needed: Set<number> // ids of tensors that depend on a trained one
  readonly held: Tensor[] // until the walk back has ended
  /** Notes what depends on a trained tensor, and keeps nothing. */
  readonly probing: boolean
  readonly sharedByBatch: boolean
  /** The gradients of examples are kept apart: each has equally many of the rows, one behind the other. */
  readonly examplesApart: boolean
}

let current: Tape | undefined

const nothing: Save = () => undefined

/**
 * Runs one differentiable operation.
 *
 * Inside `forward` nothing else is recorded, so it is free to use any tfjs operation. Every tensor that should
 * receive a gradient must be among `inputs`; one that is only caught by the closure counts as a constant.
 *
 * @param inputs an absent optional one is undefined
 * @param forward computes the output; `needs[i]` says whether input i will be asked for its gradient
 * @param vjp vector-Jacobian product; runs inside a tidy and may return `dy` itself. Of the forward pass's tensors only
 *   what was saved is still there, besides parameters.
 * @example
 * const square = (x: tf.Tensor) =>
 *   op([x], (save) => { save(x); return tf.square(x) }, (dy, [saved]) => [tf.mul(tf.mul(dy, saved as tf.Tensor), 2)])
 */
export function op<T extends Tensor>(
  inputs: readonly (Tensor | undefined)[],
  forward: (save: Save, needs: readonly boolean[]) => T,
  vjp: Vjp,
): T {
  const tape = current
  const needs = inputs.map((input) => input !== undefined && tape?.needed.has(input.id) === true)
  if (tape === undefined || !needs.includes(true)) return unrecorded(() => forward(nothing, needs))
  const saved: Tensor[] = []
  const save: Save = (...tensors) => {
    for (const tensor of tensors) saved.push(tf.keep(tensor.clone())) // a clone shares the data
  }
  const output = unrecorded(() => forward(tape.probing ? nothing : save, needs))
  tape.needed.add(output.id)
  if (!tape.probing) tape.nodes.push({ output: output.id, inputs: inputs.map((input) => input?.id), needs, saved, vjp, sharedByBatch: tape.sharedByBatch })
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
 *
 * @example const square = (x: tf.Tensor) => bridge([x], (each) => tf.square(each as tf.Tensor))
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
        tape.nodes.push({ output: start.id, inputs: [x.id], needs: [true], saved: [], vjp: (dy) => [dy], sharedByBatch: false })
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
export function sharedByBatch<T>(f: () => T): T {
  return current === undefined ? f() : record({ ...current, sharedByBatch: true }, f)
}

/** Whether what is being recorded would pass a gradient from x to a trained tensor. */
export function isDifferentiable(x: Tensor): boolean {
  return current?.needed.has(x.id) === true
}

/** Whether gradients are wanted of what runs now. */
export function isRecording(): boolean {
  return current !== undefined
}

/** Whether what is being recorded has to keep the rows of each example where they are. */
export function keepsExamplesApart(): boolean {
  return current?.examplesApart === true
}

/** Runs f so that its operations note themselves on the tape; on none where it is undefined. */
export function record<T>(tape: Tape | undefined, f: () => T): T {
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
