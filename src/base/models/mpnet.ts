// MPNet. Song et al. 2020, arXiv:2004.09297
//
// RoBERTa whose scores have a number more for each distance, one for each head, which all layers share.

import type { Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Family } from '../architecture.ts'
import { distanceBias, type Buckets } from '../ops/relative-positions.ts'
import { paddedLength } from '../packed-rows.ts'
import type { SectionReader } from '../settings.ts'
import { encoderHeads } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'
import { BERT_NAMES, BERT_OFF, bertEncoder, readBertConfig, type LayerNames } from './bert.ts'
import { behindPadding, denseClassifier } from './roberta.ts'
import { readPaddingId } from './settings.ts'

const NAMES: LayerNames = {
  ...BERT_NAMES,
  attention: 'attention.attn',
  query: 'attention.attn.q',
  key: 'attention.attn.k',
  value: 'attention.attn.v',
  attentionOutput: 'attention.attn.o',
  attentionJoin: 'attention',
  attentionNorm: 'attention.LayerNorm',
}

/** Of the table of distances, whatever its size. */
const BUCKETS: Buckets = { count: 32, furthest: 128, bothWays: true }
/** Behind which positions begin, whatever the tokenizer's is. */
const PADDING_ID = 1

/** `model_type: 'mpnet'`. */
export const mpnet: Family = { read: architecture, off: BERT_OFF, idle: [] }

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const bert = readBertConfig(read, bounds)
  const config = { ...bert, typeCount: 0, classifierDropout: bert.hiddenDropout }
  readPaddingId(read, config.vocabSize)
  const rows = read.integer('relative_attention_num_buckets', { min: BUCKETS.count, max: bounds.size.max, fallback: BUCKETS.count })
  const maxLength = config.positions - PADDING_ID - 1
  read.check(maxLength > 0, `max_position_embeddings: expected more than ${PADDING_ID + 1}, got ${config.positions}`, ['max_position_embeddings'])
  return {
    ...bertEncoder({
      config, names: NAMES, maxLength,
      positions: (input, sequence) => behindPadding(PADDING_ID, input, sequence),
      relative: {
        shared: (pass, sequence) => {
          const T = paddedLength(sequence)
          return { bias: distanceBias(T, T, BUCKETS, (ids) => pass.at('encoder').embedding('relative_attention_bias', ids, rows, config.heads)) }
        },
        scores: (_, call, { bias }) => ({ ...call, bias: bias as Tensor4D }),
      },
    }),
    baseName: 'mpnet',
    heads: encoderHeads({
      sequenceClassifier: (options) => denseClassifier(config, 'tanh', options),
      tokenDropout: config.hiddenDropout,
      spanDropout: 0,
      maskedLm: maskedLm({ dense: 'lm_head.dense', norm: 'lm_head.layer_norm', decoder: 'lm_head.decoder' }, { ...config, activation: 'gelu' }),
    }),
    className: 'MPNet',
    keys: {
      rename: [],
      alsoCalled: { 'lm_head.bias': 'lm_head.decoder.bias' },
      unused: ['pooler'],
      unusedProducts: { 'pooler.dense': config.hiddenSize },
      ignored: [/embeddings\.position_ids$/, /^lm_head\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'lm_head.decoder.weight': 'mpnet.embeddings.word_embeddings.weight' } : {},
  }
}
