// Encoder-decoders: a graph that reads a text, and one that writes another, token by token.
//
// Keys and values of what was read go in as those of earlier tokens do. A first pass is given none of them and makes them from the encoder's rows;
// a later one is given all, and its share of those rows is empty.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { SharedTensors } from '../../base/generate/cache.ts'
import type { Model } from '../../base/model.ts'
import type { Sequence } from '../../base/sites.ts'
import type { Port } from './graph.ts'
import { drawTexts, encodedBy, knownAs, named, type Interface } from './interface.ts'
import { Past } from './past.ts'
import type { Source } from './recorder.ts'

const NONE: Source = {
  weight: () => { throw new Error('An encoder has no past.') },
  input: () => { throw new Error('An encoder has no past.') },
}

/** @param top tokens of the longest text @param before rows that adapters put before it */
export function writesAnswers(model: Model, top: number, before: number): readonly Interface[] {
  return [encoderOf(model, top, before), decoderOf(model, top, before)]
}

function encoderOf(model: Model, top: number, before: number): Interface {
  const whole = `sequence_length + ${before}`
  const axes = { batch_size: [['input_ids', 0]], sequence_length: [['input_ids', 1]] } as const
  return {
    name: 'encoder_model',
    sizes: [[2, Math.ceil(top / 2)], [3, top - 1], [5, top]].map(([batch = 0, length = 0]) => ({ batch_size: batch, sequence_length: length, ...(before > 0 ? { [whole]: length + before } : {}) })),
    known: ({ batch_size: batch = 0, sequence_length: length = 0 }) => {
      const { ids, mask } = drawTexts(model, batch, length)
      return knownAs({ input_ids: ids, attention_mask: mask })
    },
    run: (own, { batch_size: batch = 0, sequence_length: length = 0 }) => {
      const reading = new Reading()
      encodedBy(own, { ...drawTexts(model, batch, length), decoderIds: new Int32Array(batch) }, reading)
      return { last_hidden_state: reading.rows(batch) }
    },
    inputs: () => ['input_ids', 'attention_mask'].map((name): Port => ({ name, dtype: 'int64', shape: [named('batch_size'), named('sequence_length')] })),
    axes: { ...axes, [whole]: [['input_ids', 1], before] },
  }
}

/** Keeps what the encoder gives; what the decoder makes of it is no part of the graph. */
class Reading extends Past {
  #rows: Tensor2D | undefined

  constructor() {
    super(NONE, 0)
  }

  rows(batch: number): Tensor {
    const rows = this.#rows as Tensor2D
    return tf.reshape(rows, [batch, -1, rows.shape[1]])
  }

  override once<T extends SharedTensors>(_: string, make: () => T): T {
    const made = make()
    this.#rows ??= tf.keep(made[0] as Tensor2D)
    return made
  }

  protected override all(sequence: Sequence): Sequence {
    return sequence
  }

  protected override joined(_: string, rows: Tensor4D): Tensor4D {
    return rows
  }
}

const [BATCH, LENGTH, PAST, READ, READ_BEFORE] = ['batch_size', 'decoder_sequence_length', 'past_decoder_sequence_length', 'encoder_sequence_length', 'encoder_sequence_length_out'] as const
const [TOTAL, REST] = [`${PAST} + ${LENGTH}`, `${READ} - ${READ_BEFORE}`]
const WRITTEN = [['past_key_values.0.decoder.key', 2], ['input_ids', 1]] as const
const [MASK, MASK_BEFORE] = [['encoder_attention_mask', 1], ['past_key_values.0.encoder.key', 2, -1]] as const

function decoderOf(model: Model, top: number, before: number): Interface {
  let layers: Past['layers'] = []
  let isWhole = false
  const [third, quarter] = [Math.floor(top / 3), Math.floor(top / 4)]
  const [whole, rest, all] = [READ, REST, TOTAL].map((name) => `${name} + ${before}`) as [string, string, string]
  const sizes = [[2, third, top - third, top - 3, quarter + 1], [3, third + 2, top - third - 3, top, quarter], [5, third - 1, top - third, top - 1, quarter + 4]]
  return {
    name: 'decoder_model_merged',
    sizes: sizes.map(([batch = 0, length = 0, past = 0, read = 0, earlier = 0]) => ({
      [BATCH]: batch, [LENGTH]: length, [PAST]: past, [TOTAL]: length + past, [READ]: read, [READ_BEFORE]: earlier, [REST]: read - earlier, ...(before > 0 ? { [whole]: read + before, [rest]: read - earlier + before, [all]: length + past + before } : {}),
    })),
    known: ({ [BATCH]: batch = 0, [LENGTH]: length = 0, [READ]: read = 0 }) =>
      knownAs({ input_ids: drawTexts(model, batch, length).ids, encoder_attention_mask: drawTexts(model, batch, read).mask }),
    run: (own, { [BATCH]: batch = 0, [LENGTH]: length = 0, [PAST]: past = 0, [READ]: read = 0, [READ_BEFORE]: earlier = 0 }, source) => {
      const writing = new Writing(source, past, earlier)
      const { mask } = drawTexts(model, batch, read)
      const logits = encodedBy(own, { ids: new Int32Array(batch * read), mask, decoderIds: drawTexts(model, batch, length).ids, batch, length: read }, writing).output
      layers = writing.layers
      isWhole = writing.read > read
      writing.dispose()
      return { logits, ...writing.present }
    },
    inputs: () => [
      { name: 'encoder_attention_mask', dtype: 'int64', shape: [named(BATCH), named(READ)] },
      { name: 'input_ids', dtype: 'int64', shape: [named(BATCH), named(LENGTH)] },
      { name: 'encoder_hidden_states', dtype: 'float32', shape: [named(BATCH), named(isWhole ? whole : READ), model.parts.architecture.hiddenSize] },
      ...layers.flatMap(([heads, size], layer) => [['decoder', PAST] as const, ['encoder', READ_BEFORE] as const].flatMap(([of, long]) => ['key', 'value'].map((name): Port =>
        ({ name: `past_key_values.${layer}.${of}.${name}`, dtype: 'float32', shape: [named(BATCH), heads, named(long), size] })))),
    ],
    axes: {
      [BATCH]: [['input_ids', 0]], [LENGTH]: [['input_ids', 1]], [PAST]: [['past_key_values.0.decoder.key', 2]], [TOTAL]: WRITTEN,
      [READ]: [MASK], [READ_BEFORE]: [['past_key_values.0.encoder.key', 2]], [REST]: [MASK, MASK_BEFORE],
      ...(before > 0 ? { [whole]: [MASK, before], [rest]: [MASK, MASK_BEFORE, before], [all]: [...WRITTEN, before] } : {}),
    },
  }
}

/** What was read goes into the graph, and the keys and values of it too, as far as there are some already. */
class Writing extends Past {
  /** Rows that the encoder gives for each text. */
  read = 0
  readonly #earlier: number
  #places = -1

  /** @param earlier tokens read of which keys and values go in */
  constructor(source: Source, length: number, earlier: number) {
    super(source, length)
    this.#earlier = earlier
  }

  override once<T extends SharedTensors>(_: string, make: () => T): T {
    const made = make()
    const place = this.#places++
    if (place >= 0) return made.map((rows, i) => this.joined(`${place}.encoder.${i === 0 ? 'key' : 'value'}`, rows as Tensor4D, this.#earlier)) as readonly (Tensor | undefined)[] as T
    const [rows, keyBias] = made as readonly (Tensor | undefined)[] as readonly [Tensor2D, Tensor2D]
    const [batch, size] = [keyBias.shape[0], rows.shape[1]]
    this.read = rows.shape[0] / batch
    const given = this.source.input('encoder_hidden_states', [batch, this.read, size])
    const rest = tf.slice(given, [0, this.#earlier, 0], [batch, this.read - this.#earlier, size])
    return [tf.reshape<Rank.R2>(rest, [batch * (this.read - this.#earlier), size]), keyBias] as readonly (Tensor | undefined)[] as T
  }

  protected override all(sequence: Sequence, total: number): Sequence {
    return { ...sequence, mask: tf.ones([sequence.batch, total]), lengths: sequence.lengths.map(() => total) }
  }

  protected override nameOf(layer: number): string {
    return `${layer}.decoder`
  }
}
