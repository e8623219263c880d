import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { MASKED } from '../ops/attention-call.ts'
import { canOverwrite, overwriteRows } from '../ops/overwrite-rows.ts'
import type { Sequence } from '../sites.ts'
import type { AttentionCall } from '../ops/attention-call.ts'

/**
 * Rows of keys or values with room for more behind them. Joining the rows of all tokens to those of the next one anew for
 * each token would move as much memory at 1,000 tokens of GPT-2 as a third of its weights, 150 MB of 500 MB.
 */
interface Buffer {
  readonly rows: Tensor4D // (B, capacity, H, D)
  /** The same memory, row by row. */
  readonly flat: Tensor4D // (B · capacity, 1, H, D)
}

interface Past {
  readonly k: Buffer
  readonly v: Buffer
}

/** Room is made for this many tokens at a time: attention passes over what is not used yet too. */
const ROOM = 32

type Start = Pick<Sequence, 'mask' | 'lengths' | 'offset'>

/** What a pass over one more token of each row needs at every attention. */
interface Step {
  /** Where the token's rows go in a `flat` buffer. */
  readonly places: Tensor1D // (B)
  /** Hides padding, and what of the buffers is not used yet. */
  readonly keyBias: Tensor2D // (B, capacity)
}

/** Tensors that a pass leaves for the next one over the same text, such as the memory of a recurrence. */
export interface Memory {
  readonly before: readonly Tensor[] | undefined
  readonly leave: (tensors: readonly Tensor[]) => void
}

/** Tensors that all passes over a text share; undefined where there is none in a place. */
export type SharedTensors = readonly (Tensor | undefined)[]

/**
 * What a model has seen of some rows so far, so that a pass over their next tokens computes those alone. It holds the
 * model's own keys and values, and what recurrences leave; a method that adds to them does so anew in each pass. Of an encoder-decoder it holds those of
 * cross attention and what the encoder gave too, which a text's first pass makes; later passes need the decoder's tokens alone. For inference alone: keys and values
 * of a pass may be overwritten by the next.
 *
 * @example
 * const cache = new KvCache()
 * const first = model.forward(prompt, { cache }) // logits of the token after the prompt
 * const second = model.forward({ ids: Int32Array.of(id), batch: 1, length: 1 }, { cache })
 * cache.dispose()
 */
export class KvCache {
  readonly #past = new Map<string, Past>()
  readonly #left = new Map<string, readonly Tensor[]>()
  readonly #once = new Map<string, SharedTensors>()
  #start: Start | undefined
  #step: Step | undefined
  /** The present pass goes on from others and has padding. */
  #padded = false
  /** Tokens in the buffers when the present pass has ended. */
  #length = 0
  /** Tokens the buffers have room for then. */
  #capacity = 0

  /** Positions of the longest row so far. */
  get positions(): number {
    return this.#start === undefined ? 0 : this.#start.offset + Math.max(...this.#start.lengths)
  }

  /**
   * The rows of a pass with the mask of all rows so far.
   *
   * @param begin what is done to the rows of a text's first pass; what it puts before them stays there
   */
  continue(sequence: Sequence, begin: (sequence: Sequence) => Sequence): Sequence {
    const before = this.#start
    const result = before === undefined ? begin(sequence) : follow(before, sequence)
    this.#padded = before !== undefined && sequence.lengths.some((tokens) => tokens < sequence.length)
    const { mask, lengths, offset, length } = result
    const [batch, total] = mask.shape
    this.#start = { mask: tf.keep(tf.clone(mask)), lengths, offset } // a tensor of its own on the same data
    before?.mask.dispose()
    if (total > this.#capacity) this.#capacity = canOverwrite(result.rows) ? Math.ceil((total + 1) / ROOM) * ROOM : total
    this.#length = total
    this.#endStep()
    if (before !== undefined && length === 1) this.#step = stepOf(mask, batch, this.#capacity)
    return result
  }

  /** What `make` gave in a text's first pass; it is not made again. */
  once<T extends SharedTensors>(place: string, make: () => T): T {
    const made = this.#once.get(place) ?? make().map((tensor) => (tensor === undefined ? undefined : tf.keep(tf.clone(tensor))))
    this.#once.set(place, made)
    return made as T
  }

  /** What the last pass over the text left at a place, and leaving something there for the next. */
  memory(place: string): Memory {
    if (this.#padded) throw new InputError('A model that reads its text by a recurrence takes no padding in later passes over it: expected a mask of 1 alone beside the cache.')
    const before = this.#left.get(place)
    return {
      before,
      leave: (tensors) => {
        this.#left.set(place, tensors.map((tensor) => tf.keep(tf.clone(tensor))))
        tf.dispose([...(before ?? [])])
      },
    }
  }

  /** An attention over all keys and values, those of this pass behind the others; what is hidden may stand behind them. */
  extend(site: string, call: AttentionCall): AttentionCall {
    const past = this.#past.get(site)
    if (past === undefined) {
      this.#past.set(site, { k: bufferOf(call.k, this.#capacity), v: bufferOf(call.v, this.#capacity) })
      return call
    }
    const step = this.#step
    if (step !== undefined && past.k.rows.shape[1] === this.#capacity) {
      overwriteRows(past.k.flat, step.places, call.k)
      overwriteRows(past.v.flat, step.places, call.v)
      return this.extended(site, call)
    }
    const begun = this.#length - call.k.shape[1]
    const k = tf.concat([between(past.k.rows, 0, begun), call.k], 1)
    const v = tf.concat([between(past.v.rows, 0, begun), call.v], 1)
    this.#past.set(site, { k: bufferOf(k, this.#capacity), v: bufferOf(v, this.#capacity) })
    tf.dispose([past.k, past.v].flatMap(({ rows, flat }) => [rows, flat]))
    return { ...call, k, v }
  }

  /** An attention over all keys and values that this pass has extended at `site`. */
  extended(site: string, call: AttentionCall): AttentionCall {
    const { k, v } = this.#past.get(site) as Past
    const step = this.#step
    const room = this.#capacity - this.#length
    if (step === undefined) return { ...call, k: between(k.rows, 0, this.#length), v: between(v.rows, 0, this.#length) }
    const bias = call.bias === undefined || room === 0 ? call.bias : tf.pad(call.bias, [[0, 0], [0, 0], [0, 0], [0, room]])
    return { ...call, k: k.rows, v: v.rows, keyBias: step.keyBias, bias }
  }

  /** Frees all it holds; it is then as new. */
  dispose(): void {
    for (const { k, v } of this.#past.values()) tf.dispose([k.rows, k.flat, v.rows, v.flat])
    tf.dispose([...this.#left.values()].flat())
    tf.dispose([...this.#once.values()].flat().filter((tensor) => tensor !== undefined))
    this.#start?.mask.dispose()
    this.#endStep()
    this.#past.clear()
    this.#left.clear()
    this.#once.clear()
    this.#start = undefined
    this.#length = this.#capacity = 0
  }

  #endStep(): void {
    if (this.#step !== undefined) tf.dispose([this.#step.places, this.#step.keyBias])
    this.#step = undefined
  }
}

function follow({ mask, lengths, offset }: Start, sequence: Sequence): Sequence {
  const sums = lengths.map((tokens, row) => tokens + (sequence.lengths[row] ?? NaN)) // of as many rows
  return { ...sequence, mask: tf.concat([mask, sequence.mask], 1), lengths: sums, offset }
}

function stepOf(mask: Tensor2D, batch: number, capacity: number): Step {
  const length = mask.shape[1]
  return {
    places: tf.keep(tf.range(length - 1, batch * capacity, capacity, 'int32')),
    keyBias: tf.keep(tf.tidy(() => tf.mul(tf.sub(1, tf.pad(mask, [[0, 0], [0, capacity - length]])), MASKED))),
  }
}

/** x (B, K, H, D) in memory of its own where there is room behind it. */
function bufferOf(x: Tensor4D, capacity: number): Buffer {
  const [batch, length, heads, size] = x.shape
  const rows = tf.keep(length === capacity ? tf.clone(x) : tf.pad(x, [[0, 0], [0, capacity - length], [0, 0], [0, 0]]))
  return { rows, flat: tf.keep(tf.reshape(rows, [batch * capacity, 1, heads, size])) }
}

/** Rows [from, to) of each sample. */
function between(x: Tensor4D, from: number, to: number): Tensor4D {
  const [batch, length, heads, size] = x.shape
  return from === 0 && to === length ? x : tf.slice(x, [0, from, 0, 0], [batch, to - from, heads, size])
}
