// ALBERT. Lan et al. 2019, arXiv:1909.11942
//
// BERT whose layers are one, or a few, run again and again, and whose words are narrower than the layers. What is attached to a layer works
// in each of its turns.

import type { Architecture, Bounds, Family } from '../architecture.ts'
import type { SectionReader } from '../settings.ts'
import { BERT_NAMES, BERT_OFF, bertEncoder, consecutive, pooledClassifier, readBertConfig, type LayerNames, type LayerTurn } from './bert.ts'
import { encoderHeads } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'
import { DROPOUT, readPaddingId } from './settings.ts'

const NAMES: LayerNames = {
  ...BERT_NAMES,
  attention: 'attention',
  query: 'attention.query',
  key: 'attention.key',
  value: 'attention.value',
  attentionOutput: 'attention.dense',
  attentionJoin: 'attention',
  attentionNorm: 'attention.LayerNorm',
  up: 'ffn',
  down: 'ffn_output',
  outputJoin: 'ffn_output',
  outputNorm: 'full_layer_layer_norm',
}

/** `model_type: 'albert'`. */
export const albert: Family = { read: architecture, off: BERT_OFF, idle: [] }

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const config = {
    ...readBertConfig(read, bounds, { activation: 'gelu_new', hiddenDropout: 0, attentionDropout: 0 }),
    embeddingSize: read.integer('embedding_size', { ...bounds.size, fallback: 128 }),
    feedForwardDropout: 0,
    classifierDropout: read.number('classifier_dropout_prob', { ...DROPOUT, fallback: 0.1 }),
  }
  readPaddingId(read, config.vocabSize)
  const order = turnsOf(config.layers, read.integer('num_hidden_groups', { ...bounds.layers, fallback: 1 }), read.integer('inner_group_num', { ...bounds.layers, fallback: 1 }))
  return {
    ...bertEncoder({ config, names: NAMES, maxLength: config.positions, positions: consecutive, projection: 'encoder.embedding_hidden_mapping_in', order }),
    baseName: 'albert',
    heads: encoderHeads({
      sequenceClassifier: (options) => pooledClassifier(config, 'albert.pooler', options),
      tokenDropout: config.classifierDropout,
      spanDropout: 0,
      maskedLm: maskedLm({ dense: 'predictions.dense', norm: 'predictions.LayerNorm', decoder: 'predictions.decoder' }, config),
    }),
    className: 'Albert',
    keys: {
      rename: [],
      alsoCalled: { 'predictions.bias': 'predictions.decoder.bias' },
      unused: ['pooler'],
      unusedProducts: { pooler: config.hiddenSize },
      ignored: [/embeddings\.position_ids$/, /^(predictions|sop_classifier|classifier|qa_outputs)\./],
    },
    ties: config.tied ? { 'predictions.decoder.weight': 'albert.embeddings.word_embeddings.weight' } : {},
  }
}

/** Each group of layers runs as a whole, as often as is its share of the depth. */
function turnsOf(layers: number, groups: number, inner: number): readonly LayerTurn[] {
  const groupAt = (depth: number): number => Math.trunc(depth / (layers / groups))
  return Array.from({ length: layers }, (_, depth) => {
    const group = groupAt(depth)
    const turn = Array.from({ length: depth }, (__, before) => groupAt(before)).filter((before) => before === group).length
    return Array.from({ length: inner }, (__, each) => ({ path: `encoder.albert_layer_groups.${group}.albert_layers.${each}`, turn }))
  }).flat()
}
