// What layers that never change give for a row, kept during a training: computed in its first epoch, and read from the second on.

import { createHash } from 'node:crypto'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { probe } from '../base/autodiff/grads.ts'
import { decoderLengthOf, takeRows, type Batch } from '../base/batch.ts'
import { ROW_STORE, RowStore, type RowStoreOptions } from '../base/files/row-store.ts'
import { keepRows, placesIn, type Span, type StackState } from '../base/kept-rows.ts'
import { layersOf, type Model } from '../base/model.ts'
import { InputError } from '../errors.ts'

/** What a pass has left, and is to be put away. */
interface Left {
  readonly stack: string
  /** Of the batch's rows. */
  readonly keys: readonly string[]
  readonly rows: Tensor2D
  readonly spans: readonly Span[]
}

export class FrozenRows {
  readonly #store: RowStore
  readonly #stacks = new Map<string, { readonly of: readonly (object | string)[]; readonly state: StackState }>()
  readonly #numbers = new WeakMap<object, number>()
  #numbered = 0
  #left: Left[] = []
  #isClosed = false

  constructor(options: Partial<RowStoreOptions>) {
    this.#store = new RowStore({ ...ROW_STORE, ...options })
  }

  /** Makes what is there of a batch's rows ready for the passes over it, and lets them leave what is not. */
  async prepare(batch: Batch): Promise<void> {
    await this.#putAway()
    const keys = rowKeys(batch)
    const found = new Map<string, readonly Float32Array[]>()
    for (const stack of this.#stacks.keys()) {
      const rows = await this.#store.get(keys.map((key) => stack + key))
      if (rows !== undefined) found.set(stack, rows)
    }
    keepRows(batch, {
      isOver: () => this.#isClosed,
      stack: (of) => {
        const stack = this.#nameOf(of)
        const { state } = this.#stacks.get(stack) ?? { state: { last: undefined, draws: false } }
        this.#stacks.set(stack, { of, state })
        return {
          state,
          rows: () => found.get(stack),
          keep: (rows, spans) => { this.#left.push({ stack, keys, rows: tf.keep(rows.clone()), spans }) },
        }
      },
    })
  }

  /**
   * What a user should know before the first step: that there is nothing to keep. Looks by a pass of one row.
   *
   * @throws InputError where dropout is drawn in layers that would be kept
   */
  async survey(model: Model, trained: readonly Variable[], batch: Batch): Promise<string | undefined> {
    const row = takeRows(batch, [0])
    await this.prepare(row)
    probe(trained, () => layersOf(model, row, { training: true })).dispose()
    await this.#putAway()
    const states = [...this.#stacks.values()].flatMap(({ of, state }) => (of[0] === model.parts ? [state] : []))
    if (states.some(({ draws }) => draws)) throw new InputError(DRAWN)
    if (states.some(({ last = -1 }) => last >= 0)) return undefined
    const names = new Set(model.attached.enabled.flatMap(({ sites }) => sites.map(({ name }) => name)))
    const lowest = model.parts.sites.find(({ name }) => names.has(name))?.name
    return `cacheFrozen: nothing can be kept, because no layer lies below what is trained${lowest === undefined ? '' : `, which begins at ${lowest}`}. ` +
      'To keep what the lower layers give, attach to the upper ones alone, as in lora({ layers: [6, 7, 8] }).'
  }

  /** Whether any row of a batch is there. */
  knows(batch: Batch): boolean {
    const keys = rowKeys(batch)
    return [...this.#stacks.keys()].some((stack) => keys.some((key) => this.#store.has(stack + key)))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const { rows } of this.#left.splice(0)) rows.dispose()
    this.#stacks.clear()
    await this.#store.close()
  }

  async #putAway(): Promise<void> {
    for (const { stack, keys, rows, spans } of this.#left.splice(0)) {
      const D = rows.shape[1]
      const numbers = await rows.data<'float32'>()
      rows.dispose()
      for (const [i, [start, end]] of spans.entries()) {
        const key = stack + (keys[i] ?? '')
        if (!this.#store.has(key)) await this.#store.put(key, numbers.subarray(start * D, end * D))
      }
    }
  }

  #nameOf(of: readonly (object | string)[]): string {
    return `${of.map((each) => (typeof each === 'string' ? each : this.#numberOf(each))).join(' ')} `
  }

  #numberOf(object: object): number {
    const number = this.#numbers.get(object) ?? this.#numbered++
    this.#numbers.set(object, number)
    return number
  }
}

/** That rows are others in each epoch. */
export const NEVER_READ: string = 'cacheFrozen: no row of the second epoch was there in the first, so that nothing would ever be read. Nothing is kept any more. Rows that are ' +
  'made anew in each epoch, as by maskTokens, have nothing that could be kept.'

const DRAWN = 'cacheFrozen: dropout is drawn in layers that do not change, so that they give something else in each step. ' +
  "Turn the model's own dropout off: loadModel(…, { dropout: false }), or rates of 0 in the configuration given to createModel. That of methods, as lora({ dropout: 0.1 }), stays."

const NONE: Span = [0, 0]

/** What tells each row of a batch from others: all that it holds but its labels, and how far from the first column it stands. */
function rowKeys(batch: Batch): string[] {
  const { batch: B, length: T, mask, ids, typeIds, decoderIds, decoderMask, pixels, height = 0, width = 0 } = batch
  const U = decoderLengthOf(batch)
  const [read, written] = [placesIn(batch), placesIn({ batch: B, length: U, ...(decoderMask === undefined ? {} : { mask: decoderMask }) })]
  return Array.from({ length: B }, (_, row) => {
    const hash = createHash('sha1')
    const add = (values: Int32Array | Float32Array | undefined, [start, end]: Span): void => {
      const own = values?.subarray(start, end)
      hash.update(`${own?.length ?? ''}\n`)
      if (own !== undefined) hash.update(new Uint8Array(own.buffer, own.byteOffset, own.byteLength))
    }
    const [text, words] = [read.spans[row] ?? NONE, written.spans[row] ?? NONE]
    const P = (pixels?.length ?? 0) / B
    hash.update(`${text[0] - row * T} ${words[0] - row * U} ${height} ${width}\n`)
    for (const values of [ids, typeIds]) add(values, text)
    add(decoderIds, words)
    add(pixels, [row * P, (row + 1) * P])
    for (const [values, span] of [[mask, text], [decoderMask, words]] as const) if (values?.subarray(...span).includes(0) === true) add(values, span)
    return hash.digest('base64')
  })
}
