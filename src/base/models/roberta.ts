// RoBERTa. Liu et al. 2019, arXiv:1907.11692
//
// BERT with positions that begin behind the id of padding and do not count it, and heads of its own.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Family, Head, HeadOptions } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { numberEach, type PackedRows } from '../packed-rows.ts'
import type { SectionReader } from '../settings.ts'
import type { Sequence } from '../sites.ts'
import type { Input } from '../token-input.ts'
import { BERT_NAMES, BERT_OFF, bertEncoder, readBertConfig, type BertConfig } from './bert.ts'
import { encoderHeads, rowVector } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'

/** `model_type: 'roberta'`, and relatives that differ in names alone. @param className what transformers calls it */
function robertaFamily(className: string, baseName = 'roberta'): Family {
  return { read: (read, bounds) => architecture(read, bounds, className, baseName), off: BERT_OFF, idle: [] }
}

export const roberta: Family = robertaFamily('Roberta')
export const xlmRoberta: Family = robertaFamily('XLMRoberta')
export const camembert: Family = robertaFamily('Camembert')
export const data2vecText: Family = robertaFamily('Data2VecText', 'data2vec_text')

function architecture(read: SectionReader, bounds: Bounds, className: string, baseName: string): Architecture {
  const config = readBertConfig(read, bounds)
  const paddingId = read.integer('pad_token_id', { min: 0, max: config.vocabSize - 1, note: 'the vocabulary', fallback: 1 })
  read.check(!read.isNull('pad_token_id'), 'pad_token_id: expected an id, behind which positions begin, got null')
  const maxLength = config.positions - paddingId - 1
  read.check(maxLength > 0, `max_position_embeddings: expected more than pad_token_id + 1 (${paddingId + 1}), got ${config.positions}`, ['max_position_embeddings', 'pad_token_id'])
  return {
    ...bertEncoder({ config, names: BERT_NAMES, maxLength, positions: (input, sequence) => behindPadding(paddingId, input, sequence) }),
    baseName,
    heads: encoderHeads({
      sequenceClassifier: (options) => denseClassifier(config, 'tanh', options),
      tokenDropout: config.classifierDropout,
      spanDropout: 0,
      maskedLm: maskedLm(
        {
          dense: 'lm_head.dense',
          norm: 'lm_head.layer_norm',
          decoder: 'lm_head.decoder',
        },
        { ...config, activation: 'gelu' }, // whatever hidden_act is
      ),
    }),
    className,
    keys: {
      rename: [],
      alsoCalled: { 'lm_head.bias': 'lm_head.decoder.bias' },
      unused: ['pooler'],
      unusedProducts: { 'pooler.dense': config.hiddenSize },
      ignored: [/embeddings\.position_ids$/, /^lm_head\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'lm_head.decoder.weight': `${baseName}.embeddings.word_embeddings.weight` } : {},
  }
}

/** The n-th token that is not padding has position paddingId + n, from 1 on; padding has position paddingId. */
export function behindPadding(paddingId: number, { ids }: Input, { batch: B, length: T, virtual, offset, countsAll = false, packed }: Sequence): Tensor1D {
  if (packed !== undefined) return behindPaddingOf(packed, paddingId, virtual, offset)
  if (countsAll) return tf.reshape(tf.tile(tf.range(paddingId + 1, paddingId + 1 + T, 1, 'int32'), [B]), [B * T])
  const text = tf.cast(tf.notEqual(tf.reshape(ids, [B, T - virtual]), paddingId), 'int32')
  const counted = virtual === 0 ? text : tf.pad(text, [[0, 0], [virtual, 0]], 1)
  const count = tf.mul(tf.add(tf.cumsum(counted, 1), offset), counted)
  return tf.cast(tf.reshape(tf.add(count, paddingId), [B * T]), 'int32')
}

function behindPaddingOf(packed: PackedRows, paddingId: number, virtual: number, offset: number): Tensor1D {
  const { ids = new Int32Array(0), length: T } = packed.batch
  const counted: number[] = [] // of each row's tokens up to a place, those that are not padding
  ids.forEach((id, place) => counted.push((place % T === 0 ? 0 : (counted[place - 1] ?? 0)) + (id === paddingId ? 0 : 1)))
  return numberEach(packed, virtual, (n) => paddingId + offset + n + 1, (_, place) => (ids[place] === paddingId ? paddingId : paddingId + offset + virtual + (counted[place] ?? 0)))
}

/** Two products, with an activation between them. */
export function denseClassifier({ hiddenSize, classifierDropout: rate }: BertConfig, between: string, options: HeadOptions): Head {
  const { labels } = options
  return {
    modules: ['classifier'],
    run: (pass, encoded) => {
      const head = pass.at('classifier')
      const vector: Tensor2D = head.dropout('dropout', rowVector(encoded, options), rate)
      const pooled = activation(between, head.linear('dense', vector, hiddenSize, { role: 'head' }))
      return head.linear('out_proj', head.dropout('pooled.dropout', pooled, rate), labels, { role: 'head' })
    },
  }
}
