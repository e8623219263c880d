import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { KvCache, type Memory, type SharedTensors } from '../../base/generate/cache.ts'
import type { AttentionCall } from '../../base/ops/attention-call.ts'
import type { Sequence } from '../../base/sites.ts'
import type { Source } from './recorder.ts'

/** Keys and values of earlier tokens that go into a graph and come out of it longer, by the names of Optimum. */
export class Past extends KvCache {
  /** What comes out. */
  readonly present: Record<string, Tensor> = {}
  /** Heads and their size, of each attention that has a past. */
  readonly layers: (readonly [heads: number, size: number])[] = []
  readonly #source: Source
  readonly #length: number
  readonly #whole = new Map<string, Pick<AttentionCall, 'k' | 'v'>>()

  /** @param length earlier tokens */
  constructor(source: Source, length: number) {
    super()
    this.#source = source
    this.#length = length
  }

  /** The mask is that of all tokens, those of earlier passes too. */
  override continue(sequence: Sequence, begin: (sequence: Sequence) => Sequence): Sequence {
    const begun = begin(sequence)
    if (begun.rows !== sequence.rows) {
      throw new InputError('exportOnnx: an adapter puts rows before the text, which is no part of a graph that goes on from earlier tokens; detach the adapter, or disable it.')
    }
    const { batch, length } = sequence
    const total = this.#length + length
    const mask = this.#source.input('attention_mask', [batch, total]) as Tensor2D
    return { ...begun, mask, lengths: sequence.lengths.map(() => total - 1) } // as if there were padding: there may be
  }

  override extend(site: string, call: AttentionCall): AttentionCall {
    const [batch, , heads, size] = call.k.shape
    const place = this.layers.length
    this.layers.push([heads, size])
    const longer = (name: 'key' | 'value', rows: Tensor4D): Tensor4D => {
      const before = this.#source.input(`past_key_values.${place}.${name}`, [batch, heads, this.#length, size])
      const whole = tf.concat([before as Tensor4D, tf.transpose(rows, [0, 2, 1, 3])], 2)
      this.present[`present.${place}.${name}`] = tf.keep(whole)
      return tf.transpose(whole, [0, 2, 1, 3])
    }
    this.#whole.set(site, { k: tf.keep(longer('key', call.k)), v: tf.keep(longer('value', call.v)) })
    return this.extended(site, call)
  }

  override extended(site: string, call: AttentionCall): AttentionCall {
    return { ...call, ...this.#whole.get(site) }
  }

  override once<T extends SharedTensors>(_: string, make: () => T): T {
    return make()
  }

  override memory(): Memory {
    throw new InputError('exportOnnx: a model that reads its text by a recurrence cannot be exported.')
  }

  override dispose(): void {
    tf.dispose([...this.#whole.values()].flatMap(({ k, v }) => [k, v]))
  }
}
