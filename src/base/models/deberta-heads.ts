// DeBERTa's heads: a pooler of the classifier's own, and two kinds of masked LM.

import type { Architecture, Head, HeadOptions } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { encoderHeads, rowVector } from '../tasks/heads.ts'
import { maskedLm, vocabularyHead } from '../tasks/vocabulary-head.ts'
import type { DebertaConfig } from './deberta-config.ts'

export function debertaHeads(config: DebertaConfig): Architecture['heads'] {
  const heads = encoderHeads({
    sequenceClassifier: (options) => sequenceClassifier(config, options),
    tokenDropout: config.hiddenDropout,
    spanDropout: 0,
    maskedLm: config.legacyHead ? legacyMaskedLm(config) : ownMaskedLm(config),
  })
  if (config.legacyHead || config.embeddingSize === config.hiddenSize) return heads
  return Object.fromEntries(Object.entries(heads).filter(([task]) => task !== 'masked-lm')) // whose product with the table has two widths
}

function sequenceClassifier({ hiddenSize, pooler, sequenceDropout }: DebertaConfig, options: HeadOptions): Head {
  const { labels, pooling } = options
  const means = pooling === 'mean'
  return {
    modules: means ? ['classifier'] : ['pooler', 'classifier'],
    run: (pass, encoded) => {
      const vector = rowVector(encoded, options)
      const pooled = means
        ? vector
        : activation(pooler.activation, pass.linear('pooler.dense', pass.dropout('pooler.dropout', vector, pooler.dropout), hiddenSize, { role: 'head' }))
      return pass.linear('classifier', pass.dropout('dropout', pooled, sequenceDropout), labels, { role: 'head' })
    },
  }
}

function legacyMaskedLm(config: DebertaConfig): Head {
  return maskedLm({ dense: 'cls.predictions.transform.dense', norm: 'cls.predictions.transform.LayerNorm', decoder: 'cls.predictions.decoder' }, config)
}

/** Its product is with the table of words itself. */
function ownMaskedLm({ vocabSize, hiddenSize, activation: name, epsilon }: DebertaConfig): Head {
  return vocabularyHead({
    name: 'lm_predictions.lm_head',
    size: vocabSize,
    transform: (pass, rows) => {
      const head = pass.at('lm_predictions.lm_head')
      return head.layerNorm('LayerNorm', activation(name, head.linear('dense', rows, hiddenSize)), epsilon)
    },
  })
}
