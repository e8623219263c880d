import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { nativePrograms } from '../engine/native.ts'
import { tensorflow } from '../engine/tensorflow.ts'
import { MASKED } from '../ops/attention-call.ts'
import { canOverwrite, overwriteRows } from '../ops/overwrite-rows.ts'
import { between, bufferOf, flatOf, hiddenBy, hiddenIn, hiding, maskOf, placesOf, roomFor, shownBy, spread, type Buffer, type Hidden } from './buffers.ts'
import { Steps, type StepConditions } from './steps.ts'
import type { Sequence } from '../sites.ts'
import type { AttentionCall } from '../ops/attention-call.ts'

interface Past {
  readonly k: Buffer
  readonly v: Buffer
}

interface Start extends Pick<Sequence, 'lengths' | 'offset'> {
  /** Undefined where `Hidden` says it. */
  readonly mask: Tensor2D | undefined
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
  /** Where the next token of each row goes. */
  #ends: readonly number[] = []
  /** Rows that no more tokens come to. */
  readonly #idle = new Set<number>()
  /** The borders of rows that stand one behind the other in the present pass, a text's first. */
  #packed: readonly number[] | undefined
  #hidden: Hidden | undefined
  #numbers: StepNumbers | undefined
  #step: Step | undefined
  /** The present pass goes on from others and has padding. */
  #padded = false
  /** Tokens of the longest row in the buffers when the present pass has ended, padding too. */
  #length = 0
  /** Tokens the buffers have room for then. */
  #capacity = 0

  /** Positions of the longest row so far. */
  get positions(): number {
    return this.#start === undefined ? 0 : this.#start.offset + Math.max(...this.#start.lengths)
  }

  /** Whether no text has been read, and the first one's rows may come without the padding between them. */
  get takesPacked(): boolean {
    return this.#start === undefined && tensorflow() !== undefined
  }

  /** Whether rows may leave and join: nothing is held of them but keys and values. */
  get isByRows(): boolean {
    return this.#past.size > 0 && this.#left.size === 0 && this.#once.size === 0 && tensorflow() !== undefined
  }

  /**
   * The rows of a pass with the mask of all rows so far.
   *
   * @param begin what is done to the rows of a text's first pass; what it puts before them stays there
   */
  continue(sequence: Sequence, begin: (sequence: Sequence) => Sequence): Sequence {
    this.#endStep()
    this.#packed = undefined
    this.#padded = this.#start !== undefined && sequence.lengths.some((tokens) => tokens < sequence.length)
    if (this.#start !== undefined && sequence.length === 1 && canOverwrite(sequence.rows)) return this.#continueByStep(sequence)
    const before = this.#wholeStart()
    const result = before === undefined ? begin(sequence) : follow(before, sequence)
    const { mask, lengths, offset, packed, virtual } = result
    const own = packed?.borders.slice(1).map((end, row) => end - (packed.borders[row] ?? 0) + virtual)
    this.#packed = packed?.borders
    this.#ends = own ?? lengths.map(() => mask.shape[1])
    this.#length = Math.max(...this.#ends)
    this.#start = { mask: tf.keep(own === undefined ? tf.clone(mask) : maskOf(own)), lengths: own ?? lengths, offset } // a clone is a tensor of its own on the same data
    this.#endHidden()
    if (this.#length > this.#capacity) this.#capacity = canOverwrite(result.rows) ? roomFor(this.#length) : this.#length
    before?.mask.dispose()
    return result
  }

  #continueByStep(sequence: Sequence): Sequence {
    const { offset } = this.#start as Start
    const { lengths } = this.#nextStep(sequence.lengths)
    const { places, positions } = this.#numbers ?? this.#numbersOf(lengths)
    const hidden = this.#madeHidden()
    this.#step = { places: tf.keep(tf.tensor1d(places, 'int32')), positions: tf.keep(tf.tensor1d(positions, 'int32')) }
    overwriteRows(hidden.flat, this.#step.places, hiding(sequence.mask))
    this.#endStepOf(lengths)
    return { ...sequence, mask: shownBy(hidden, this.#length), lengths, offset, positions: this.#step.positions }
  }

  /**
   * A pass over one more token of each row, as a program once two passes have shown that they do the same with other numbers.
   *
   * @param ids the tokens @param run the pass itself, which goes on from this cache
   */
  step(ids: Int32Array, conditions: StepConditions, run: () => Tensor): Tensor {
    if (this.#past.size === 0 || this.#start?.lengths.length !== ids.length || this.#start.offset + this.#length + 1 > conditions.most || nativePrograms() === undefined) return run()
    const { lengths } = this.#nextStep(this.#start.lengths.map(() => 1))
    this.#madeHidden()
    const numbers = this.#numbersOf(lengths)
    const inputs = [ids, numbers.positions, numbers.places]
    const made = this.#steps.replay(inputs, this.#capacity, conditions)
    if (made !== undefined) {
      this.#endStepOf(lengths)
      return made
    }
    this.#numbers = numbers
    try {
      return this.#steps.record(inputs, this.#capacity, conditions, this.#changing, run)
    } finally {
      this.#numbers = undefined
    }
  }

  /** No more tokens come to a row, until another takes its place. */
  rest(row: number): void {
    this.#idle.add(row)
  }

  /** Rows leave: these stay, in this order. */
  keep(rows: readonly number[]): void {
    const { lengths, offset, mask } = this.#start as Start
    const hidden = this.#madeHidden()
    const places = tf.tensor1d([...rows], 'int32')
    const taken = (buffer: Buffer): Buffer => {
      const kept = tf.keep(tf.gather(buffer.rows, places))
      tf.dispose([buffer.rows, buffer.flat])
      return { rows: kept, flat: flatOf(kept) }
    }
    for (const [site, { k, v }] of this.#past) this.#past.set(site, { k: taken(k), v: taken(v) })
    this.#hidden = hiddenIn(tf.gather(hidden.keyBias, places))
    tf.dispose([hidden.keyBias, hidden.flat, places])
    mask?.dispose()
    const idle = rows.flatMap((row, i) => (this.#idle.has(row) ? [i] : []))
    this.#idle.clear()
    for (const row of idle) this.#idle.add(row)
    this.#ends = rows.map((row) => this.#ends[row] ?? 0)
    this.#length = Math.max(...this.#ends)
    this.#start = { mask: undefined, offset, lengths: rows.map((row) => lengths[row] ?? 0) }
    this.#steps.end()
  }

  /** Begins with what another cache has seen of its first row, in each of so many rows. */
  begin(other: KvCache, rows: number): void {
    const { mask, lengths, offset } = other.#wholeStart() as Start & { readonly mask: Tensor2D }
    const each = <T extends Tensor>(x: T): T => tf.tile(x, x.shape.map((_, axis) => (axis === 0 ? rows : 1)))
    const copied = ({ rows: own }: Buffer): Buffer => {
      const copy = tf.keep(tf.tidy(() => each(tf.slice(own, [0, 0, 0, 0], [1, -1, -1, -1]))))
      return { rows: copy, flat: flatOf(copy) }
    }
    for (const [site, { k, v }] of other.#past) this.#past.set(site, { k: copied(k), v: copied(v) })
    const repeated = (value: number | undefined): number[] => new Array<number>(rows).fill(value ?? 0)
    this.#ends = repeated(other.#ends[0])
    this.#length = other.#length
    this.#capacity = other.#capacity
    this.#start = { mask: tf.keep(tf.tidy(() => each(tf.slice(mask, [0, 0], [1, -1])))), lengths: repeated(lengths[0]), offset }
  }

  /** Rows of another cache of the model, all that it has seen, take the place of those of this one. @param rows where each goes */
  join(other: KvCache, rows: readonly number[]): void {
    const [own, given] = [this.#start as Start, other.#start as Start]
    this.#makeRoom(other.#length)
    const hidden = this.#madeHidden()
    const columns = (count: number): number[] => rows.flatMap((row) => Array.from({ length: count }, (_, t) => row * this.#capacity + t))
    const write = (to: Tensor, from: Tensor, count: number): void => {
      tf.tidy(() => { overwriteRows(to, tf.tensor1d(columns(count), 'int32'), tf.reshape(from, [rows.length * count, ...to.shape.slice(1)])) })
    }
    tf.tidy(() => {
      for (const [site, { k, v }] of this.#past) {
        const past = other.#past.get(site) as Past
        write(k.flat, between(past.k.rows, 0, other.#length), other.#length)
        write(v.flat, between(past.v.rows, 0, other.#length), other.#length)
      }
      const bias = tf.slice(other.#madeHidden().keyBias, [0, 0], [-1, other.#length])
      write(hidden.flat, tf.pad(bias, [[0, 0], [0, this.#capacity - other.#length]], MASKED), this.#capacity)
    })
    const placed = (before: readonly number[], now: readonly number[]): number[] => before.map((value, row) => now[rows.indexOf(row)] ?? value)
    this.#ends = placed(this.#ends, other.#ends)
    own.mask?.dispose()
    this.#start = { mask: undefined, offset: own.offset, lengths: placed(own.lengths, given.lengths) }
    for (const row of rows) this.#idle.delete(row)
    this.#length = Math.max(...this.#ends)
  }

  get #changing(): Tensor[] {
    const buffers = [...this.#past.values()].flatMap(({ k, v }) => [k.rows, k.flat, v.rows, v.flat])
    return this.#hidden === undefined ? buffers : [...buffers, this.#hidden.keyBias, this.#hidden.flat]
  }

  /** Makes room for a token of each row. @param tokens those of each row that are no padding */
  #nextStep(tokens: readonly number[]): { readonly lengths: readonly number[] } {
    const { lengths } = this.#start as Start
    this.#makeRoom(Math.max(...this.#ends.map((end, row) => (this.#idle.has(row) ? end : end + 1))))
    return { lengths: lengths.map((count, row) => (this.#idle.has(row) ? count : count + (tokens[row] ?? NaN))) } // of as many rows
  }

  #endStepOf(lengths: readonly number[]): void {
    const { mask, offset } = this.#start as Start
    mask?.dispose()
    this.#start = { mask: undefined, lengths, offset }
    this.#ends = this.#ends.map((end, row) => (this.#idle.has(row) ? end : end + 1))
    this.#length = Math.max(...this.#ends)
  }

  /** @param lengths with the step's own tokens */
  #numbersOf(lengths: readonly number[]): StepNumbers {
    const { offset } = this.#start as Start
    const last = this.#capacity - 1 // where an idle row is full
    return {
      places: Int32Array.from(this.#ends, (end, row) => row * this.#capacity + Math.min(end, last)),
      positions: Int32Array.from(lengths, (tokens) => offset + Math.max(0, tokens - 1)),
    }
  }

  #madeHidden(): Hidden {
    return (this.#hidden ??= hiddenBy((this.#start as Start).mask as Tensor2D, this.#capacity))
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
  #wholeStart(): (Start & { readonly mask: Tensor2D }) | undefined {
    if (this.#start === undefined) return undefined
    const whole = { ...this.#start, mask: this.#start.mask ?? tf.keep(shownBy(this.#hidden as Hidden, this.#length)) }
    this.#start = whole
    return whole
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
      const buffer = (x: Tensor4D): Buffer => (this.#packed === undefined ? bufferOf(x, this.#capacity) : spread(x, this.#packed, this.#capacity))
      this.#past.set(site, { k: buffer(call.k), v: buffer(call.v) })
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
    if (this.#packed !== undefined) {
      const places = tf.tensor1d(placesOf(this.#packed, this.#ends, this.#capacity), 'int32')
      const packed = ({ flat }: Buffer): Tensor4D => tf.reshape(tf.gather(flat, places), [1, places.size, flat.shape[2], flat.shape[3]])
      return { ...call, k: packed(k), v: packed(v) }
    }
    if (this.#step === undefined || this.#hidden === undefined) return { ...call, k: between(k.rows, 0, this.#length), v: between(v.rows, 0, this.#length) }
    const bias = call.bias === undefined || room === 0 ? call.bias : tf.pad(call.bias, [[0, 0], [0, 0], [0, 0], [0, room]])
    return { ...call, k: k.rows, v: v.rows, keyBias: this.#hidden.keyBias, bias }
  }

  /** Frees all it holds; it is then as new. */
  dispose(): void {
    for (const { k, v } of this.#past.values()) tf.dispose([k.rows, k.flat, v.rows, v.flat])
    tf.dispose([...this.#left.values()].flat())
    tf.dispose([...this.#once.values()].flat().filter((tensor) => tensor !== undefined))
    this.#start?.mask?.dispose()
    this.#endStep()
    this.#endHidden()
    this.#steps.end()
    this.#past.clear()
    this.#left.clear()
    this.#once.clear()
    this.#start = this.#numbers = this.#packed = undefined
    this.#ends = []
    this.#idle.clear()
    this.#length = this.#capacity = 0
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

function follow({ mask, lengths, offset }: Start & { readonly mask: Tensor2D }, sequence: Sequence): Sequence {
  const sums = lengths.map((tokens, row) => tokens + (sequence.lengths[row] ?? NaN)) // of as many rows
  return { ...sequence, mask: tf.concat([mask, sequence.mask], 1), lengths: sums, offset }
}
