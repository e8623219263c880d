import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { tidied } from '../engine/tidied.ts'
import { MASKED } from '../ops/attention-call.ts'
import { canOverwrite, overwriteRows } from '../ops/overwrite-rows.ts'
import { Steps, type StepConditions } from './steps.ts'
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

/** Room is made for multiples of this many tokens, */
const ROOM = 32
/** and for this many times those that are there: what is not used yet takes memory, and to make more all is copied. */
const GROWTH = 1.25

type Start = Pick<Sequence, 'mask' | 'lengths' | 'offset'>

/** Hides padding, and what of the buffers is not used yet; each step shows its own token. */
interface Hidden {
  readonly keyBias: Tensor2D // (B, capacity)
  /** The same memory, key by key. */
  readonly flat: Tensor2D // (B · capacity, 1)
}

/** A pass over one more token of each row. */
interface Step {
  /** Where the token's rows go in a `flat` buffer. */
  readonly places: Tensor1D // (B)
  readonly positions: Tensor1D // (B)
}

/** The numbers of a step. */
export interface StepNumbers {
  readonly places: Int32Array
  readonly positions: Int32Array
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
  readonly #steps = new Steps()
  #start: Start | undefined
  /** So many columns of ones are still to come behind the mask. */
  #unmasked = 0
  #hidden: Hidden | undefined
  #numbers: StepNumbers | undefined
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
    const before = this.#wholeStart()
    const result = before === undefined ? begin(sequence) : follow(before, sequence)
    const { mask, lengths, offset, length } = result
    const total = mask.shape[1]
    const canWrite = canOverwrite(result.rows)
    this.#padded = before !== undefined && sequence.lengths.some((tokens) => tokens < sequence.length)
    this.#start = { mask: tf.keep(tf.clone(mask)), lengths, offset } // a tensor of its own on the same data
    this.#endStep()
    if (before !== undefined && length === 1 && canWrite) this.#beginStep(before.mask, sequence.mask)
    else {
      this.#endHidden()
      if (total > this.#capacity) this.#capacity = canWrite ? roomFor(total) : total
    }
    this.#length = total
    before?.mask.dispose()
    return this.#step === undefined ? result : { ...result, positions: this.#step.positions }
  }

  /**
   * A pass over one more token of each row, as a program once two passes have shown that they do the same with other numbers.
   *
   * @param ids the tokens @param run the pass itself, which goes on from this cache
   */
  step(ids: Int32Array, conditions: StepConditions, run: () => Tensor): Tensor {
    const { mask, lengths, offset } = this.#start ?? {}
    if (mask === undefined || lengths?.length !== ids.length || (offset ?? 0) + this.#length + 1 > conditions.most || !canOverwrite(mask)) return run()
    this.#makeRoom(this.#length + 1)
    this.#hidden ??= hiddenBy((this.#wholeStart() as Start).mask, this.#capacity)
    const after = lengths.map((tokens) => tokens + 1)
    const numbers = this.#numbersOf(after, this.#length + 1)
    const inputs = [ids, numbers.positions, numbers.places]
    const made = this.#steps.replay(inputs, this.#capacity, conditions)
    if (made !== undefined) {
      this.#start = { ...(this.#start as Start), lengths: after }
      this.#length++
      this.#unmasked++
      return made
    }
    this.#numbers = numbers
    try {
      return this.#steps.record(inputs, this.#capacity, conditions, this.#changing, run)
    } finally {
      this.#numbers = undefined
    }
  }

  get #changing(): Tensor[] {
    const buffers = [...this.#past.values()].flatMap(({ k, v }) => [k.rows, k.flat, v.rows, v.flat])
    return this.#hidden === undefined ? buffers : [...buffers, this.#hidden.keyBias, this.#hidden.flat]
  }

  #beginStep(before: Tensor2D, mask: Tensor2D): void {
    const { lengths } = this.#start as Start
    const total = this.#length + 1
    this.#makeRoom(total)
    this.#hidden ??= hiddenBy(before, this.#capacity)
    const { places, positions } = this.#numbers ?? this.#numbersOf(lengths, total)
    this.#step = { places: tf.keep(tf.tensor1d(places, 'int32')), positions: tf.keep(tf.tensor1d(positions, 'int32')) }
    overwriteRows(this.#hidden.flat, this.#step.places, hiding(mask))
  }

  /** @param lengths and `total`: with the step's own token */
  #numbersOf(lengths: readonly number[], total: number): StepNumbers {
    const { offset } = this.#start as Start
    return {
      places: Int32Array.from(lengths, (_, row) => row * this.#capacity + total - 1),
      positions: Int32Array.from(lengths, (tokens) => offset + Math.max(0, tokens - 1)),
    }
  }

  /** Makes all buffers larger where they have no room for so many tokens. */
  #makeRoom(total: number): void {
    if (total <= this.#capacity) return
    const more = roomFor(total) - this.#capacity
    this.#capacity += more
    const grown = (buffer: Buffer): Buffer => {
      const rows = tf.keep(tf.pad(buffer.rows, [[0, 0], [0, more], [0, 0], [0, 0]]))
      tf.dispose([buffer.rows, buffer.flat])
      return { rows, flat: flatOf(rows) }
    }
    for (const [site, { k, v }] of this.#past) this.#past.set(site, { k: grown(k), v: grown(v) })
    if (this.#hidden === undefined) return
    const { keyBias, flat } = this.#hidden
    this.#hidden = hiddenIn(tf.pad(keyBias, [[0, 0], [0, more]], MASKED))
    tf.dispose([keyBias, flat])
  }

  /** With the mask of all tokens. */
  #wholeStart(): Start | undefined {
    if (this.#start === undefined || this.#unmasked === 0) return this.#start
    const { mask } = this.#start
    this.#start = { ...this.#start, mask: tf.keep(tf.concat([mask, tf.ones([mask.shape[0], this.#unmasked])], 1)) }
    this.#unmasked = 0
    mask.dispose()
    return this.#start
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
    if (step !== undefined) {
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
    const room = this.#capacity - this.#length
    if (this.#step === undefined || this.#hidden === undefined) return { ...call, k: between(k.rows, 0, this.#length), v: between(v.rows, 0, this.#length) }
    const bias = call.bias === undefined || room === 0 ? call.bias : tf.pad(call.bias, [[0, 0], [0, 0], [0, 0], [0, room]])
    return { ...call, k: k.rows, v: v.rows, keyBias: this.#hidden.keyBias, bias }
  }

  /** Frees all it holds; it is then as new. */
  dispose(): void {
    for (const { k, v } of this.#past.values()) tf.dispose([k.rows, k.flat, v.rows, v.flat])
    tf.dispose([...this.#left.values()].flat())
    tf.dispose([...this.#once.values()].flat().filter((tensor) => tensor !== undefined))
    this.#start?.mask.dispose()
    this.#endStep()
    this.#endHidden()
    this.#steps.end()
    this.#past.clear()
    this.#left.clear()
    this.#once.clear()
    this.#start = this.#numbers = undefined
    this.#length = this.#capacity = this.#unmasked = 0
  }

  #endStep(): void {
    if (this.#step !== undefined) tf.dispose([this.#step.places, this.#step.positions])
    this.#step = undefined
  }

  #endHidden(): void {
    if (this.#hidden !== undefined) tf.dispose([this.#hidden.keyBias, this.#hidden.flat])
    this.#hidden = undefined
  }
}

function follow({ mask, lengths, offset }: Start, sequence: Sequence): Sequence {
  const sums = lengths.map((tokens, row) => tokens + (sequence.lengths[row] ?? NaN)) // of as many rows
  return { ...sequence, mask: tf.concat([mask, sequence.mask], 1), lengths: sums, offset }
}

function roomFor(tokens: number): number {
  return Math.ceil(Math.max(tokens + 1, tokens * GROWTH) / ROOM) * ROOM
}

/** Hides what the mask hides, and what there is no token for yet. */
function hiddenBy(mask: Tensor2D, capacity: number): Hidden {
  return tidied(() => hiddenIn(tf.concat([hiding(mask), tf.fill([mask.shape[0], capacity - mask.shape[1]], MASKED)], 1)))
}

function hiddenIn(keyBias: Tensor2D): Hidden {
  return { keyBias: tf.keep(keyBias), flat: tf.keep(tf.reshape(keyBias, [keyBias.size, 1])) }
}

/** What is added to scores so that padding is not seen. */
function hiding(mask: Tensor2D): Tensor2D {
  return tf.mul(tf.sub(1, mask), MASKED)
}

/** x (B, K, H, D) in memory of its own where there is room behind it. */
function bufferOf(x: Tensor4D, capacity: number): Buffer {
  const length = x.shape[1]
  const rows = tf.keep(length === capacity ? tf.clone(x) : tf.pad(x, [[0, 0], [0, capacity - length], [0, 0], [0, 0]]))
  return { rows, flat: flatOf(rows) }
}

function flatOf(rows: Tensor4D): Tensor4D {
  const [batch, capacity, heads, size] = rows.shape
  return tf.keep(tf.reshape(rows, [batch * capacity, 1, heads, size]))
}

/** Rows [from, to) of each sample. */
function between(x: Tensor4D, from: number, to: number): Tensor4D {
  const [batch, length, heads, size] = x.shape
  return from === 0 && to === length ? x : tf.slice(x, [0, from, 0, 0], [batch, to - from, heads, size])
}
