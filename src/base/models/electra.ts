// ELECTRA. Clark et al. 2020, arXiv:2003.10555
//
// BERT without a pooler, with heads of its own, and in the small ones embeddings of another width than the layers.

import type { Architecture, Bounds, Family } from '../architecture.ts'
import type { SectionReader } from '../settings.ts'
import { BERT_NAMES, BERT_OFF, bertEncoder, consecutive, readBertConfig } from './bert.ts'
import { encoderHeads } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'
import { denseClassifier } from './roberta.ts'
import { readPaddingId } from './settings.ts'

/** `model_type: 'electra'`. Its summaries are a head's that is not here. */
export const electra: Family = {
  read: architecture,
  off: BERT_OFF,
  idle: ['summary_type', 'summary_use_proj', 'summary_activation', 'summary_last_dropout'],
}

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const config = { ...readBertConfig(read, bounds), embeddingSize: read.integer('embedding_size', { ...bounds.size, fallback: 128 }) }
  readPaddingId(read, config.vocabSize)
  return {
    ...bertEncoder({
      config, names: BERT_NAMES, maxLength: config.positions, positions: consecutive,
      ...(config.embeddingSize === config.hiddenSize ? {} : { projection: 'embeddings_project' }),
    }),
    baseName: 'electra',
    heads: encoderHeads({
      sequenceClassifier: (options) => denseClassifier(config, 'gelu', options),
      tokenDropout: config.classifierDropout,
      spanDropout: 0,
      maskedLm: maskedLm(
        {
          dense: 'generator_predictions.dense',
          norm: 'generator_predictions.LayerNorm',
          decoder: 'generator_lm_head',
        },
        { ...config, activation: 'gelu' }, // whatever hidden_act is
      ),
    }),
    className: 'Electra',
    keys: {
      rename: [],
      unused: [],
      ignored: [/embeddings\.position_ids$/, /^discriminator_predictions\./, /^generator_/, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'generator_lm_head.weight': 'electra.embeddings.word_embeddings.weight' } : {},
  }
}
