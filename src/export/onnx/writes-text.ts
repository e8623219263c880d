// Causal LMs: one graph, with the keys and values of earlier tokens.

import type { Model } from '../../base/model.ts'
import type { Port } from './graph.ts'
import { drawTexts, encodedBy, knownAs, named, within, type Interface } from './interface.ts'
import { Past } from './past.ts'

const [BATCH, LENGTH, PAST, TOTAL] = [named('batch_size'), named('sequence_length'), named('past_sequence_length'), named('total_sequence_length')]

/** @param top tokens of the longest text @param limit of the texts that it is right for, where it could take longer ones */
export function writesText(model: Model, top: number, limit?: number): Interface {
  let layers: Past['layers'] = []
  const third = Math.floor(top / 3)
  return {
    name: 'model',
    sizes: [[2, third, top - third], [3, third + 2, top - third - 3], [5, third - 1, top - third]].map(([batch = 0, length = 0, past = 0]) =>
      ({ batch_size: batch, sequence_length: length, past_sequence_length: past, total_sequence_length: length + past })),
    known: ({ batch_size: batch = 0, sequence_length: length = 0 }) => knownAs({ input_ids: drawTexts(model, batch, length).ids }),
    run: (own, { batch_size: batch = 0, sequence_length: length = 0, past_sequence_length: earlier = 0 }, source) => {
      const past = new Past(source, earlier)
      const logits = encodedBy(own, { ids: drawTexts(model, batch, length).ids, batch, length }, past).output
      layers = past.layers
      past.dispose()
      return { logits: within(logits, length + earlier, limit), ...past.present }
    },
    inputs: () => [
      { name: 'input_ids', dtype: 'int64', shape: [BATCH, LENGTH] }, { name: 'attention_mask', dtype: 'int64', shape: [BATCH, TOTAL] },
      ...layers.flatMap(([heads, size], layer) => ['key', 'value'].map((name): Port => ({ name: `past_key_values.${layer}.${name}`, dtype: 'float32', shape: [BATCH, heads, PAST, size] }))),
    ],
    axes: { batch_size: [['input_ids', 0]], sequence_length: [['input_ids', 1]], past_sequence_length: [['past_key_values.0.key', 2]], total_sequence_length: [['attention_mask', 1]] },
  }
}
