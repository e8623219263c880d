// DistilBERT. Sanh et al. 2019, arXiv:1910.01108
//
// BERT without segments and pooler, under other names.

import type { Architecture, ConfigJson, Head, HeadOptions } from '../architecture.ts'
import { configReader } from '../config.ts'
import { activation } from '../ops/activation.ts'
import { bertEncoder, consecutive, type BertConfig, type LayerNames } from './bert.ts'
import { encoderClassNames, encoderHeads, maskedLm, rowVector } from './heads.ts'

const NAMES: LayerNames = {
  layers: 'transformer.layer',
  attention: 'attention',
  query: 'attention.q_lin',
  key: 'attention.k_lin',
  value: 'attention.v_lin',
  attentionOutput: 'attention.out_lin',
  attentionJoin: 'attention',
  attentionNorm: 'sa_layer_norm',
  up: 'ffn.lin1',
  down: 'ffn.lin2',
  outputJoin: 'ffn',
  outputNorm: 'output_layer_norm',
}

/** DistilBERT as described by a config.json with `model_type: 'distilbert'`. */
export function distilbert(json: ConfigJson): Architecture {
  const { config, spanDropout } = readConfig(json)
  return {
    ...bertEncoder({ config, names: NAMES, maxLength: config.positions, positions: consecutive }),
    baseName: 'distilbert',
    heads: encoderHeads({
      sequenceClassifier: (options) => sequenceClassifier(config, options),
      tokenDropout: config.hiddenDropout,
      spanDropout,
      maskedLm: maskedLm(
        {
          dense: 'vocab_transform',
          norm: 'vocab_layer_norm',
          decoder: 'vocab_projector',
        },
        config,
      ),
    }),
    classNames: encoderClassNames('DistilBert'),
    keys: {
      rename: [],
      spare: [],
      dropped: [/embeddings\.position_ids$/, /^vocab_/, /^pre_classifier\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'vocab_projector.weight': 'distilbert.embeddings.word_embeddings.weight' } : {},
  }
}

function readConfig(json: ConfigJson): { readonly config: BertConfig; readonly spanDropout: number } {
  const read = configReader(json, 'distilbert')
  const config: BertConfig = {
    vocabSize: read.number('vocab_size'),
    hiddenSize: read.number('dim'),
    layers: read.number('n_layers'),
    heads: read.number('n_heads'),
    intermediateSize: read.number('hidden_dim'),
    activation: read.text('activation', 'gelu'),
    positions: read.number('max_position_embeddings'),
    typeCount: 0,
    epsilon: 1e-12,
    hiddenDropout: read.number('dropout', 0.1),
    attentionDropout: read.number('attention_dropout', 0.1),
    classifierDropout: read.number('seq_classif_dropout', 0.2),
    initializerRange: read.number('initializer_range', 0.02),
    tied: read.flag('tie_word_embeddings', true),
  }
  const spanDropout = read.number('qa_dropout', 0.1)
  read.done()
  return { config, spanDropout }
}

function sequenceClassifier({ hiddenSize, classifierDropout }: BertConfig, options: HeadOptions): Head {
  const { labels } = options
  return {
    modules: ['pre_classifier', 'classifier'],
    run: (pass, encoded) => {
      const pooled = activation('relu', pass.linear('pre_classifier', rowVector(encoded, options), hiddenSize, { role: 'head' }))
      return pass.linear('classifier', pass.dropout('dropout', pooled, classifierDropout), labels, { role: 'head' })
    },
  }
}
