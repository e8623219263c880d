// Models that read one text, or pictures.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Batch } from '../../base/batch.ts'
import type { Model } from '../../base/model.ts'
import { features } from '../../base/tasks/heads.ts'
import type { Port } from './graph.ts'
import { drawPictures, drawTexts, encodedBy, knownAs, named, picturePort, type Interface } from './interface.ts'
import type { Sizes } from './sizes.ts'

/** @param top tokens of the longest text @param types segments @param before rows that adapters put before a text */
export function readsText(model: Model, top: number, types: number, before: number): Interface {
  const whole = `sequence_length + ${before}`
  const distances = `2*sequence_length + ${2 * before - 1}` // between two tokens
  const batchOf = ({ batch_size: batch = 0, sequence_length: length = 0 }: Sizes): Batch => drawTexts(model, batch, length, types)
  return {
    name: 'model',
    sizes: [[2, Math.ceil(top / 2)], [3, top - 1], [5, top]].map(([batch = 0, length = 0]) => ({ batch_size: batch, sequence_length: length, ...(before > 0 ? { [whole]: length + before } : {}), [distances]: 2 * (length + before) - 1 })),
    known: (sizes) => {
      const { ids, mask, typeIds } = batchOf(sizes)
      return knownAs({ input_ids: ids, attention_mask: mask, token_type_ids: typeIds })
    },
    run: (own, sizes) => outputsOf(own, batchOf(sizes)),
    inputs: () => ['input_ids', 'attention_mask', ...(types > 1 ? ['token_type_ids'] : [])].map((name): Port => ({ name, dtype: 'int64', shape: [named('batch_size'), named('sequence_length')] })),
    axes: { batch_size: [['input_ids', 0]], sequence_length: [['input_ids', 1]], [whole]: [['input_ids', 1], before], [distances]: [['input_ids', 1], ['input_ids', 1], 2 * before - 1] },
  }
}

export function readsPictures(model: Model): Interface {
  const batchOf = ({ batch_size: batch = 0 }: Sizes): Required<Pick<Batch, 'pixels'>> & Batch => drawPictures(model, batch)
  return {
    name: 'model',
    sizes: [2, 3, 5].map((batch) => ({ batch_size: batch })),
    known: (sizes) => knownAs({ pixel_values: batchOf(sizes).pixels }),
    run: (own, sizes) => outputsOf(own, batchOf(sizes)),
    inputs: () => [picturePort(model, 'batch_size')],
    axes: { batch_size: [['pixel_values', 0]] },
  }
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
