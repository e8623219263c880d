import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { KvCache, type Memory, type SharedTensors } from '../../base/generate/cache.ts'
import type { AttentionCall } from '../../base/ops/attention-call.ts'
import type { Sequence } from '../../base/sites.ts'
import { OTHER_WAY } from './form.ts'
import type { Source } from './recorder.ts'

/** Keys and values of earlier tokens that go into a graph and come out of it longer, by the names of Optimum. */
export class Past extends KvCache {
  /** What comes out. */
  readonly present: Record<string, Tensor> = {}
  /** Heads and their size, of each attention that has a past. */
  readonly layers: (readonly [heads: number, size: number])[] = []
  protected readonly source: Source
  readonly #length: number
  readonly #whole = new Map<string, Pick<AttentionCall, 'k' | 'v'>>()

  /** @param length earlier tokens */
  constructor(source: Source, length: number) {
    super()
    this.source = source
    this.#length = length
  }

  /** The mask is that of all tokens, those of earlier passes too. */
  override continue(sequence: Sequence, begin: (sequence: Sequence) => Sequence): Sequence {
    const begun = begin(sequence)
    if (begun.rows !== sequence.rows) {
      throw new InputError('exportOnnx: an adapter puts rows before the text, which is no part of a graph that goes on from earlier tokens; detach the adapter, or disable it.')
    }
    return this.all(begun, this.#length + sequence.length)
  }

  /** @param total tokens, with those of earlier passes */
  protected all(sequence: Sequence, total: number): Sequence {
    const mask = this.source.input('attention_mask', [sequence.batch, total]) as Tensor2D
    return { ...sequence, mask, lengths: sequence.lengths.map(() => total - 1) } // as if there were padding: there may be
  }

  override extend(site: string, call: AttentionCall): AttentionCall {
    const { heads, size } = sizesOf(call.k)
    const layer = this.nameOf(this.layers.length)
    this.layers.push([heads, size])
    const longer = (name: 'key' | 'value', rows: Tensor4D): Tensor4D => this.joined(`${layer}.${name}`, rows, this.#length)
    this.#whole.set(site, { k: tf.keep(longer('key', call.k)), v: tf.keep(longer('value', call.v)) })
    return this.extended(site, call)
  }

  protected nameOf(layer: number): string {
    return String(layer)
  }

  /** Rows (B, T, H, D) behind those that go into the graph, which come out of it together. */
  protected joined(name: string, rows: Tensor4D, length: number): Tensor4D {
    const { batch, heads, size } = sizesOf(rows)
    const before = this.source.input(`past_key_values.${name}`, [batch, heads, length, size])
    const whole = tf.concat([before as Tensor4D, tf.transpose(rows, [0, 2, 1, 3])], 2)
    this.present[`present.${name}`] = tf.keep(whole)
    return tf.transpose(whole, [0, 2, 1, 3])
  }

  override extended(site: string, call: AttentionCall): AttentionCall {
    return { ...call, ...this.#whole.get(site) }
  }

  override once<T extends SharedTensors>(_: string, make: () => T): T {
    return make()
  }

  override memory(): Memory {
    throw new InputError(`exportOnnx: a model that reads its text by a recurrence cannot be exported. ${OTHER_WAY}`)
  }

  override dispose(): void {
    tf.dispose([...this.#whole.values()].flatMap(({ k, v }) => [k, v]))
  }
}

function sizesOf({ shape: [batch, , heads, size] }: Tensor4D): { readonly batch: number; readonly heads: number; readonly size: number } {
  return { batch, heads, size }
}
