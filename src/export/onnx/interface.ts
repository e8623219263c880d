// What goes into a graph and what comes out of it, by the names that transformers.js and Optimum give them.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { positionsTaken } from '../../base/adapter/positions.ts'
import type { Encoded } from '../../base/architecture.ts'
import type { Batch } from '../../base/batch.ts'
import { architecturePass, type Model } from '../../base/model.ts'
import { storedOf } from '../../base/parameters.ts'
import { Pass } from '../../base/pass.ts'
import type { PictureLimits } from '../../base/pixel-input.ts'
import { randomStream, uniform } from '../../base/random.ts'
import { features } from '../../base/tasks/heads.ts'
import type { Axes, Port } from './graph.ts'
import { Past } from './past.ts'
import type { RecordedInput, Source } from './recorder.ts'
import type { Size, Sizes } from './sizes.ts'

/** A model's pass as a graph. */
export interface Interface {
  /** What it is recorded at. */
  readonly sizes: readonly Sizes[]
  /** What of a batch of these sizes JavaScript writes into tensors. */
  readonly known: (sizes: Sizes) => readonly RecordedInput[]
  readonly run: (model: Model, sizes: Sizes, source: Source) => Readonly<Record<string, Tensor>>
  /** What goes in, once it has run. */
  readonly inputs: () => readonly Port[]
  readonly axes: Axes
}

const one = (name: string): Size => ({ times: 1, of: [name], plus: 0 })
const [BATCH, LENGTH, PAST, TOTAL] = [one('batch_size'), one('sequence_length'), one('past_sequence_length'), one('total_sequence_length')]

/** Longer than all windows of attention, so that a recording has them in it. */
const LONGEST = 40_009
/** A text needs this many tokens for three lengths that are told apart. */
const SHORTEST = 5

/** @throws InputError for what has no graph here */
export function interfaceOf(model: Model): Interface {
  const { architecture: { text, decoderStart, pictures, className }, task } = model.parts
  const refuse = (why: string): InputError => new InputError(`exportOnnx: a model for '${task}' of the family ${className} cannot be exported: ${why}.`)
  if (pictures !== undefined && text === undefined) return readsPictures(model, pictures)
  if (text === undefined || decoderStart !== undefined || pictures !== undefined) throw refuse('only those that read one text, or pictures, can')
  const longest = text.maxLength - positionsTaken(model)
  const shortest = task === 'causal-lm' ? 2 * SHORTEST : SHORTEST
  if (longest < shortest) throw refuse(`it takes ${longest} tokens at most; expected ${shortest} or more`)
  if (text.renewedAt !== undefined) throw refuse(`texts of more than ${text.renewedAt} tokens have other positions in it than shorter ones, which one graph cannot`)
  const top = Math.min(longest, LONGEST)
  if (task !== 'causal-lm') return readsText(model, top, text.types ?? 0, text.maxLength - longest)
  return writesText(model, top)
}

/** @param before rows that adapters put before a text */
function readsText(model: Model, top: number, types: number, before: number): Interface {
  const whole = `sequence_length + ${before}`
  const batchOf = (sizes: Sizes): Batch => drawBatch(model, sizes, types)
  return {
    sizes: [[2, Math.ceil(top / 2)], [3, top - 1], [5, top]].map(([batch = 0, length = 0]) => ({ batch_size: batch, sequence_length: length, ...(before > 0 ? { [whole]: length + before } : {}) })),
    known: (sizes) => {
      const { ids, mask, typeIds } = batchOf(sizes)
      return Object.entries({ input_ids: ids, attention_mask: mask, token_type_ids: typeIds }).flatMap(([name, numbers]) => (numbers === undefined ? [] : [{ name, numbers }]))
    },
    run: (own, sizes) => outputsOf(own, batchOf(sizes)),
    inputs: () => ['input_ids', 'attention_mask', ...(types > 1 ? ['token_type_ids'] : [])].map((name): Port => ({ name, dtype: 'int64', shape: [BATCH, LENGTH] })),
    axes: { batch_size: ['input_ids', 0], sequence_length: ['input_ids', 1], [whole]: ['input_ids', 1, before] },
  }
}

function readsPictures(model: Model, { channels, size: [height, width] }: PictureLimits): Interface {
  const batchOf = ({ batch_size: batch = 0 }: Sizes): Batch => ({ pixels: uniform(randomStream(0, 'onnx', 'pixels'), batch * channels * height * width, 0, 1), batch, length: 0 })
  return {
    sizes: [2, 3, 5].map((batch) => ({ batch_size: batch })),
    known: (sizes) => [{ name: 'pixel_values', numbers: batchOf(sizes).pixels as Float32Array }],
    run: (own, sizes) => outputsOf(own, batchOf(sizes)),
    inputs: () => [{ name: 'pixel_values', dtype: 'float32', shape: [BATCH, channels, height, width] }],
    axes: { batch_size: ['pixel_values', 0] },
  }
}

function writesText(model: Model, top: number): Interface {
  let layers: Past['layers'] = []
  const third = Math.floor(top / 3)
  return {
    sizes: [[2, third, top - third], [3, third + 2, top - third - 3], [5, third - 1, top - third]].map(([batch = 0, length = 0, past = 0]) =>
      ({ batch_size: batch, sequence_length: length, past_sequence_length: past, total_sequence_length: length + past })),
    known: (sizes) => [{ name: 'input_ids', numbers: drawBatch(model, sizes, 0).ids as Int32Array }],
    run: (own, sizes, source) => {
      const past = new Past(source, sizes['past_sequence_length'] as number)
      const { ids, batch, length } = drawBatch(model, sizes, 0)
      const logits = encodedBy(own, { ids: ids as Int32Array, batch, length }, past).output
      layers = past.layers
      past.dispose()
      return { logits, ...past.present }
    },
    inputs: () => [
      { name: 'input_ids', dtype: 'int64', shape: [BATCH, LENGTH] }, { name: 'attention_mask', dtype: 'int64', shape: [BATCH, TOTAL] },
      ...layers.flatMap(([heads, size], layer) => ['key', 'value'].map((name): Port => ({ name: `past_key_values.${layer}.${name}`, dtype: 'float32', shape: [BATCH, heads, PAST, size] }))),
    ],
    axes: { batch_size: ['input_ids', 0], sequence_length: ['input_ids', 1], past_sequence_length: ['past_key_values.0.key', 2], total_sequence_length: ['attention_mask', 1] },
  }
}

/** A batch by whose numbers its arrays are known, and with padding in it. */
function drawBatch(model: Model, { batch_size: batch = 0, sequence_length: length = 0 }: Sizes, types: number): Batch {
  const draw = (what: string, below: number): Int32Array => {
    const next = randomStream(0, 'onnx', what, batch)
    return Int32Array.from({ length: batch * length }, () => next() % below)
  }
  return { ids: draw('ids', model.limits?.vocabSize ?? 2), mask: draw('mask', 2), ...(types > 1 ? { typeIds: draw('types', types) } : {}), batch, length }
}

function outputsOf(model: Model, batch: Batch): Record<string, Tensor> {
  const { task } = model.parts
  const { output, pass, encoded } = encodedBy(model, batch)
  if (task === 'feature-extraction') return { last_hidden_state: output }
  if (task === 'sentence-embedding') return { last_hidden_state: features.run(pass, encoded, batch), sentence_embedding: output }
  if (task === 'image-embedding') return { last_hidden_state: features.run(pass, encoded, batch), pooler_output: output }
  if (task !== 'question-answering') return { logits: output }
  const [start, end] = tf.unstack(output, 2) as [Tensor, Tensor]
  return { start_logits: start, end_logits: end }
}

/** The model's pass, with what its head is given. */
function encodedBy(model: Model, batch: Batch, cache?: Past): { readonly output: Tensor; readonly pass: Pass; readonly encoded: Encoded } {
  const { architecture, head } = model.parts
  const { handlers, replacements } = model.attached.wiring
  const pass = new Pass({ param: (name) => replacements.get(name) ?? storedOf(model, name), handlers, training: false, seed: 0, cache })
  const encoded = architecture.encode(architecturePass(pass, model.parts), batch)
  return { output: head.run(pass, encoded, batch), pass, encoded }
}
