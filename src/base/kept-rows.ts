// What layers that never change give for the rows of a batch, from one pass to the next: `cacheFrozen` of a training.
//
// A batch whose rows are kept is known by itself. So whoever computes with it finds them, be it the step, an evaluation or a guard's
// teacher, and whichever model it is; what is a row's own is told by the keeper, from what the row holds. A stack of layers is kept at the last
// of them whose output depends on nothing that is trained, as the first pass that records gradients sees.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { isDifferentiable, isRecording } from './autodiff/tape.ts'
import type { Batch } from './batch.ts'
import type { Model } from './model.ts'

/** Where the tokens of a row stand among all that layers are given, those of padding left out. */
export type Span = readonly [start: number, end: number]

/** The tokens of each row of a batch. */
export interface Places {
  readonly spans: readonly Span[]
  /** All rows that layers are given. @default as many as they are given */
  readonly total?: number
}

/** What is known of one stack of layers, with what is attached to it. */
export interface StackState {
  /** The last layer that does not change; −1 where there is none, undefined before it is known. */
  last: number | undefined
  /** Passes of a training draw dropout in it, so that there is nothing of theirs to keep. */
  draws: boolean
}

/** One stack of layers, and a batch. */
export interface KeptStack {
  readonly state: StackState
  /** What its last layer that does not change gave for each row of the batch, (tokens, D) each; undefined unless all are there. */
  readonly rows: () => readonly Float32Array[] | undefined
  /** Takes that. @param rows lives for this call alone */
  readonly keep: (rows: Tensor2D, spans: readonly Span[]) => void
}

/** Keeps rows of one batch. */
export interface RowKeeper {
  /** Nothing is kept any more: the batch is one like others again. */
  readonly isOver: () => boolean
  /** @param of tells models, what is attached to them, and stacks of layers apart */
  readonly stack: (of: readonly (object | string)[]) => KeptStack
}

const keepers = new WeakMap<Batch, RowKeeper>()

/** From now on, passes over this batch look for rows there, and leave them there. */
export function keepRows(batch: Batch, keeper: RowKeeper): void {
  keepers.set(batch, keeper)
}

/** One pass over such a batch, or the part of it that is in a tower. */
export interface KeptPass {
  readonly batch: Batch
  readonly stack: (name: string) => KeptStack
  readonly training: boolean
  /** Whether dropout was drawn so far. */
  readonly draws: { any: boolean }
}

/** A model's pass over a batch; undefined where nothing is kept of it. */
export function keptPass({ parts, attached: { enabled } }: Pick<Model, 'parts' | 'attached'>, batch: Batch, training: boolean): KeptPass | undefined {
  const keeper = keepers.get(batch)
  if (keeper === undefined || keeper.isOver()) return undefined
  const { renewedAt = Infinity } = parts.architecture.text ?? {}
  const of = [parts, ...enabled, batch.length > renewedAt ? 'renewed' : ''] // all that decides what layers give for a row, beside the row
  return { batch, training, stack: (name) => keeper.stack([...of, name]), draws: { any: false } }
}

/** What is drawn in one tower counts there alone: of what it takes from another, the part that is drawn is drawn by the same settings. */
export function keptTower(kept: KeptPass): KeptPass {
  return { ...kept, draws: { any: false } }
}

/** The tokens of rows one behind the other. */
export function placesBetween(borders: readonly number[]): Places {
  return { spans: borders.slice(1).map((end, row) => [borders[row] ?? 0, end]), total: borders.at(-1) ?? 0 }
}

/** The tokens of each row of a padded batch: from its first to its last. */
export function placesIn({ mask, batch: B, length: T }: Pick<Batch, 'mask' | 'batch' | 'length'>): Required<Places> {
  const spans = Array.from({ length: B }, (_, row): Span => {
    const own = mask?.subarray(row * T, (row + 1) * T)
    return [row * T + Math.max(0, own?.indexOf(1) ?? 0), row * T + (own === undefined ? T : own.lastIndexOf(1) + 1)]
  })
  return { spans, total: B * T }
}

/** A stack of layers on its way through a pass. */
export interface KeptLayers {
  /** How many of its layers need not run, and what the last of those gives. */
  readonly begun: { readonly count: number; readonly rows: Tensor2D } | undefined
  /** Sees a layer's input and output. @param leaves it has made something else for layers above it */
  readonly see: (index: number, before: Tensor2D, after: Tensor2D, leaves: boolean) => void
  /** Sees what the stack gives. */
  readonly end: (count: number, rows: Tensor2D) => void
}

/** @param places of the batch's rows in x. Default: they are of one length @returns undefined where x has other rows too, which stand for no token of theirs */
export function keptLayers({ batch: { batch: B }, stack: stackOf, training, draws }: KeptPass, name: string, x: Tensor2D, places?: Places): KeptLayers | undefined {
  const N = x.shape[0]
  const { spans, total = N } = places ?? { spans: Array.from({ length: B }, (_, row): Span => [(row * N) / B, ((row + 1) * N) / B]) }
  if (total !== N) return undefined
  const stack = stackOf(name)
  const { state } = stack
  const { last } = state
  const isDrawn = training && state.draws
  const kept = last === undefined || last < 0 || isDrawn ? undefined : stack.rows()
  const fits = kept?.every(({ length }, row) => length === sizeOf(spans[row]) * x.shape[1]) // a decoder that is given padding as tokens has more or fewer than before
  const begun = last === undefined || kept === undefined || fits !== true ? undefined : { count: last + 1, rows: placed(kept, spans, x.shape) }
  let isOver = begun !== undefined || isDrawn || (last === undefined ? !isRecording() : last < 0)
  const found = (at: number, rows: Tensor2D): void => {
    state.last = at
    isOver = true
    if (at >= 0) stack.keep(rows, spans)
  }
  return {
    begun,
    see: (index, before, after, leaves) => {
      if (isOver) return
      if (last !== undefined) {
        if (index === last) found(index, after)
      } else if (leaves || isDifferentiable(after)) {
        found(index - 1, before)
      } else if (draws.any) {
        state.draws = true
        isOver = true
      }
    },
    end: (count, rows) => { if (!isOver) found(count - 1, rows) },
  }
}

function sizeOf([start, end]: Span = [0, 0]): number {
  return end - start
}

/** Rows where they stand, with zeros between them. */
function placed(rows: readonly Float32Array[], spans: readonly Span[], [N, D]: readonly [number, number]): Tensor2D {
  const values = new Float32Array(N * D)
  for (const [i, row] of rows.entries()) values.set(row, (spans[i]?.[0] ?? 0) * D)
  return tf.tensor2d(values, [N, D])
}
