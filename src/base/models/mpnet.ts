// MPNet. Song et al. 2020, arXiv:2004.09297
//
// RoBERTa whose scores have a number more for each distance, one for each head, which all layers share.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family } from '../architecture.ts'
import { op, sharedByBatch } from '../autodiff/tape.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import { encoderHeads, maskedLm } from '../tasks/heads.ts'
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
const BUCKETS = 32
const FURTHEST = 128
/** Behind which positions begin, whatever the tokenizer's is. */
const PADDING_ID = 1

/** `model_type: 'mpnet'`. */
export const mpnet: Family = { read: architecture, off: BERT_OFF, idle: [] }

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const bert = readBertConfig(read, bounds)
  const config = { ...bert, typeCount: 0, classifierDropout: bert.hiddenDropout }
  readPaddingId(read, config.vocabSize)
  const rows = read.integer('relative_attention_num_buckets', { min: BUCKETS, max: bounds.size.max, fallback: BUCKETS })
  const maxLength = config.positions - PADDING_ID - 1
  read.check(maxLength > 0, `max_position_embeddings: expected more than ${PADDING_ID + 1}, got ${config.positions}`, ['max_position_embeddings'])
  return {
    ...bertEncoder({
      config, names: NAMES, maxLength,
      positions: (input, sequence) => behindPadding(PADDING_ID, input, sequence),
      relative: {
        shared: (pass, sequence) => ({ bias: distanceBias(pass.at('encoder'), rows, config.heads, sequence) }),
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
      ignored: [/embeddings\.position_ids$/, /^lm_head\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'lm_head.decoder.weight': 'mpnet.embeddings.word_embeddings.weight' } : {},
  }
}

/** (1, H, T, T), of no sample of the batch. */
function distanceBias(pass: Pass, rows: number, H: number, { length: T }: Encoded['sequence']): Tensor4D {
  const ids = Int32Array.from({ length: T * T }, (_, at) => mpnetBucket(Math.floor(at / T) - (at % T)))
  return sharedByBatch(() => {
    const pairs = pass.embedding('relative_attention_bias', tf.tensor1d(ids, 'int32'), rows, H)
    return op([pairs], () => tf.reshape<tf.Rank.R4>(tf.transpose(pairs), [1, H, T, T]), (dy) => [tf.transpose(tf.reshape<tf.Rank.R2>(dy, [H, T * T]))])
  })
}

/**
 * The row of a distance: the first half of the table is for keys before the query, the second for those behind. Near ones have each their
 * own, further ones share by the logarithm, in float32 as in transformers.
 *
 * @param distance of the query from the key
 */
export function mpnetBucket(distance: number): number {
  const [half, near, far] = [BUCKETS / 2, BUCKETS / 4, Math.abs(distance)]
  const log = (x: number): number => Math.fround(Math.log(Math.fround(x)))
  const share = Math.fround(Math.fround(log(far / near) / log(FURTHEST / near)) * (half - near))
  const row = far < near ? far : Math.min(near + Math.trunc(share), half - 1)
  return row + (distance < 0 ? half : 0)
}
