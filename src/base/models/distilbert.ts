// DistilBERT. Sanh et al. 2019, arXiv:1910.01108
//
// BERT without segments and pooler, under other names.

import type { Architecture, Bounds, Family, Head, HeadOptions } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import type { SectionReader } from '../settings.ts'
import { bertEncoder, consecutive, type BertConfig, type LayerNames } from './bert.ts'
import { encoderHeads, rowVector } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'
import { checkHeads, DROPOUT, named, readActivation, readInitializerRange, readPaddingId } from './settings.ts'

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

/** `model_type: 'distilbert'`. How positions were made at the start is in the weights. */
export const distilbert: Family = { read: architecture, off: { position_embedding_type: ['absolute'] }, idle: ['sinusoidal_pos_embds'] }

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const { config, spanDropout } = readConfig(read, bounds)
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
    className: 'DistilBert',
    keys: {
      rename: [],
      unused: [],
      ignored: [/embeddings\.position_ids$/, /^vocab_/, /^pre_classifier\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'vocab_projector.weight': 'distilbert.embeddings.word_embeddings.weight' } : {},
  }
}

function readConfig(read: SectionReader, { size, layers }: Bounds): { readonly config: BertConfig; readonly spanDropout: number } {
  const [width, count] = [named(read, 'dim', 'hidden_size'), named(read, 'n_heads', 'num_attention_heads')]
  const [hiddenSize, heads] = [read.integer(width, size), read.integer(count, size)]
  checkHeads(read, { [width]: hiddenSize, [count]: heads })
  const vocabSize = read.integer('vocab_size', size)
  readPaddingId(read, vocabSize)
  const dropout = (key: string, fallback: number): number => read.number(key, { ...DROPOUT, fallback })
  const config: BertConfig = {
    vocabSize,
    hiddenSize,
    embeddingSize: hiddenSize,
    layers: read.integer(named(read, 'n_layers', 'num_hidden_layers'), layers),
    heads,
    intermediateSize: read.integer('hidden_dim', size),
    activation: readActivation(read, 'activation', 'gelu'),
    positions: read.integer('max_position_embeddings', size),
    typeCount: 0,
    epsilon: 1e-12,
    hiddenDropout: dropout('dropout', 0.1),
    attentionDropout: dropout('attention_dropout', 0.1),
    classifierDropout: dropout('seq_classif_dropout', 0.2),
    initializerRange: readInitializerRange(read),
    tied: read.flag('tie_word_embeddings', true),
  }
  return { config, spanDropout: dropout('qa_dropout', 0.1) }
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
