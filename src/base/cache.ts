import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Sequence } from './sites.ts'

interface KeysAndValues {
  readonly k: Tensor4D // (B, K, H, D)
  readonly v: Tensor4D // (B, K, H, D)
}

type Start = Pick<Sequence, 'mask' | 'padded' | 'offset'>

/**
 * What a model has seen of some rows so far, so that a pass over their next tokens computes those alone. It holds the
 * model's own keys and values; a method that adds to them does so anew in each pass.
 *
 * @example
 * const cache = new KvCache()
 * const first = model.forward(prompt, { cache }) // logits of the token after the prompt
 * const second = model.forward({ ids: Int32Array.of(id), batch: 1, length: 1 }, { cache })
 * cache.dispose()
 */
export class KvCache {
  readonly #past = new Map<string, KeysAndValues>()
  #start: Start | undefined

  /**
   * The rows of a pass with the mask of all rows so far.
   *
   * @param begin what is done to the rows of a text's first pass; what it puts before them stays there
   */
  continue(sequence: Sequence, begin: (sequence: Sequence) => Sequence): Sequence {
    const before = this.#start
    const result = before === undefined ? begin(sequence) : follow(before, sequence)
    const { mask, padded, offset } = result
    this.#start = { mask: keep(mask), padded, offset }
    before?.mask.dispose()
    return result
  }

  /** All keys and values of an attention, those of this pass at their end. */
  extend(site: string, { k, v }: KeysAndValues): KeysAndValues {
    const past = this.#past.get(site)
    const whole = past === undefined ? { k: keep(k), v: keep(v) } : { k: join(past.k, k), v: join(past.v, v) }
    this.#past.set(site, whole)
    if (past !== undefined) tf.dispose([past.k, past.v])
    return whole
  }

  /** Frees all it holds; it is then as new. */
  dispose(): void {
    tf.dispose([...this.#past.values()].flatMap(({ k, v }) => [k, v]))
    this.#start?.mask.dispose()
    this.#past.clear()
    this.#start = undefined
  }
}

function follow({ mask, padded, offset }: Start, sequence: Sequence): Sequence {
  return { ...sequence, mask: tf.concat([mask, sequence.mask], 1), padded: padded || sequence.padded, offset }
}

/** A tensor of its own on the same data. */
function keep<T extends Tensor2D | Tensor4D>(x: T): T {
  return tf.keep(tf.clone(x))
}

function join(past: Tensor4D, next: Tensor4D): Tensor4D {
  return tf.keep(tf.concat([past, next], 1))
}
