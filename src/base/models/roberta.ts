// RoBERTa. Liu et al. 2019, arXiv:1907.11692
//
// BERT with positions that begin behind the id of padding and do not count it, and heads of its own.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { Architecture, ConfigJson, Head, HeadOptions } from '../architecture.ts'
import type { Input } from '../batch.ts'
import { configReader } from '../config.ts'
import { activation } from '../ops/activation.ts'
import type { Sequence } from '../sites.ts'
import { BERT_NAMES, bertEncoder, readBertConfig, type BertConfig } from './bert.ts'
import { encoderClassNames, encoderHeads, maskedLm, rowVector } from './heads.ts'

/** RoBERTa as described by a config.json with `model_type: 'roberta'`. */
export function roberta(json: ConfigJson): Architecture {
  const config = readBertConfig(json, 'roberta')
  const paddingId = configReader(json, 'roberta').number('pad_token_id', 1)
  return {
    ...bertEncoder({
      config,
      names: BERT_NAMES,
      maxLength: config.positions - paddingId - 1,
      positions: (input, sequence) => positions(paddingId, input, sequence),
    }),
    baseName: 'roberta',
    heads: encoderHeads({
      sequenceClassifier: (options) => sequenceClassifier(config, options),
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
    classNames: encoderClassNames('Roberta'),
    keys: {
      rename: [],
      alsoCalled: { 'lm_head.bias': 'lm_head.decoder.bias' },
      spare: ['pooler'],
      dropped: [/embeddings\.position_ids$/, /^lm_head\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'lm_head.decoder.weight': 'roberta.embeddings.word_embeddings.weight' } : {},
  }
}

/** The n-th token that is not padding has position paddingId + n, from 1 on; padding has position paddingId. */
function positions(paddingId: number, { ids }: Input, { batch: B, length: T, virtual, offset }: Sequence): Tensor1D {
  const text = tf.cast(tf.notEqual(tf.reshape(ids, [B, T - virtual]), paddingId), 'int32')
  const counted = virtual === 0 ? text : tf.pad(text, [[0, 0], [virtual, 0]], 1)
  const count = tf.mul(tf.add(tf.cumsum(counted, 1), offset), counted)
  return tf.cast(tf.reshape(tf.add(count, paddingId), [B * T]), 'int32')
}

function sequenceClassifier({ hiddenSize, classifierDropout: rate }: BertConfig, options: HeadOptions): Head {
  const { labels } = options
  return {
    modules: ['classifier'],
    run: (pass, encoded) => {
      const head = pass.at('classifier')
      const vector: Tensor2D = head.dropout('dropout', rowVector(encoded, options), rate)
      const pooled = activation('tanh', head.linear('dense', vector, hiddenSize, { role: 'head' }))
      return head.linear('out_proj', head.dropout('pooled.dropout', pooled, rate), labels, { role: 'head' })
    },
  }
}
