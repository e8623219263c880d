// What goes into a graph and what comes out of it, by the names that transformers.js and Optimum give them.

import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Batch } from '../../base/batch.ts'
import { Model } from '../../base/model.ts'
import { randomStream } from '../../base/random.ts'
import { features } from '../../base/tasks/heads.ts'
import type { Port } from './graph.ts'
import type { RecordedInput, Source } from './recorder.ts'
import type { Size, Sizes } from './sizes.ts'

/** A model's pass as a graph. */
export interface Interface {
  /** What it is recorded at. */
  readonly sizes: readonly Sizes[]
  /** A batch of each size. */
  readonly batches: readonly Batch[]
  readonly inputs: readonly Port[]
  /** For each size, an input and its axis. */
  readonly axes: Readonly<Record<string, readonly [input: string, axis: number]>>
  /** What of a batch JavaScript writes into tensors. */
  readonly known: (batch: Batch) => readonly RecordedInput[]
  readonly run: (model: Model, batch: Batch, source: Source) => Readonly<Record<string, Tensor>>
}

const TEXT = ['batch_size', 'sequence_length'].map((name): Size => ({ times: 1, of: [name], plus: 0 }))

/** Longer than all windows of attention, so that a recording has them in it. */
const LONGEST = 40_009
/** A text needs this many tokens for three lengths that are told apart. */
const SHORTEST = 5

/** @throws InputError for a task that has no graph here */
export function interfaceOf(model: Model): Interface {
  const { architecture: { text, decoderStart, pictures, className }, task } = model.parts
  const refuse = (why: string): InputError => new InputError(`exportOnnx: a model for '${task}' of the family ${className} cannot be exported: ${why}.`)
  if (text === undefined || decoderStart !== undefined || pictures !== undefined) throw refuse('only those that read one text can')
  if (text.maxLength < SHORTEST) throw refuse(`it takes ${text.maxLength} tokens at most; expected ${SHORTEST} or more`)
  if (text.renewedAt !== undefined) throw refuse(`texts of more than ${text.renewedAt} tokens have other positions in it than shorter ones, which one graph cannot`)
  const types = text.types ?? 0
  const top = Math.min(text.maxLength, LONGEST)
  const sizes = [[2, Math.ceil(top / 2)], [3, top - 1], [5, top]].map(([batch = 0, length = 0]) => ({ batch_size: batch, sequence_length: length }))
  const port = (name: string): Port => ({ name, dtype: 'int64', shape: TEXT })
  return {
    sizes,
    batches: sizes.map((each) => drawBatch(each, model.limits?.vocabSize ?? text.vocabSize, types)),
    inputs: ['input_ids', 'attention_mask', ...(types > 1 ? ['token_type_ids'] : [])].map(port),
    axes: { batch_size: ['input_ids', 0], sequence_length: ['input_ids', 1] },
    known: ({ ids, mask, typeIds }) => Object.entries({ input_ids: ids, attention_mask: mask, token_type_ids: typeIds })
      .flatMap(([name, numbers]) => (numbers === undefined ? [] : [{ name, numbers }])),
    run: outputsOf,
  }
}

/** A batch by whose numbers its arrays are known, and with padding in it. */
function drawBatch({ batch_size: batch, sequence_length: length }: { readonly batch_size: number; readonly sequence_length: number }, vocabSize: number, types: number): Batch {
  const draw = (what: string, below: number): Int32Array => {
    const next = randomStream(0, 'onnx', what, batch)
    return Int32Array.from({ length: batch * length }, () => next() % below)
  }
  return { ids: draw('ids', vocabSize), mask: draw('mask', 2), ...(types > 1 ? { typeIds: draw('types', types) } : {}), batch, length }
}

function outputsOf(model: Model, batch: Batch): Record<string, Tensor> {
  const { task, head } = model.parts
  if (task === 'feature-extraction') return { last_hidden_state: model.forward(batch) }
  if (task === 'question-answering') {
    const [start, end] = tf.unstack(model.forward(batch), 2) as [Tensor, Tensor]
    return { start_logits: start, end_logits: end }
  }
  if (task !== 'sentence-embedding') return { logits: model.forward(batch) }
  let tokens: Tensor | undefined
  const both = new Model({ ...model.parts, head: { ...head, run: (pass, encoded, given) => {
    tokens = tf.keep(features.run(pass, encoded, given))
    return head.run(pass, encoded, given)
  } } }, { attached: model.attached })
  const embedding = both.forward(batch)
  return { last_hidden_state: tokens as unknown as Tensor, sentence_embedding: embedding }
}
