import { existsSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../../src/base/architecture.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { shownByGolden } from '../../parity.ts'
import { expectPeftNumbers } from '../../peft-numbers.ts'

const TASKS: readonly (readonly [folder: string, task: Task])[] = [
  ['base', 'feature-extraction'],
  ['odd_sizes', 'feature-extraction'],
  ['sequence_classification', 'sequence-classification'],
  ['token_classification', 'token-classification'],
  ['masked_lm', 'masked-lm'],
  ['question_answering', 'question-answering'],
]

const RELATIVES = ['ernie', 'electra', 'electra_small', 'xlm-roberta', 'camembert', 'data2vec-text', 'modernbert', 'modernbert_biased', 'nomic_bert', 'nomic_bert_linear']

describe.each([...['bert/', 'roberta/', 'distilbert/'], ...RELATIVES.map((type) => `relatives/${type}_`)])('%s gives the numbers of transformers', (family) => {
  it.each(TASKS.filter(([folder]) => existsSync(goldenPath(`${family}${folder}`))))('%s: %s, with padding left and right, with and without mask', async (folder, task) => {
    const golden = await readGolden(`${family}${folder}/golden.safetensors`)
    const model = await loadModel(goldenPath(`${family}${folder}`), { task })
    const types = golden.has('token_type_ids') ? 'token_type_ids' : undefined
    const calls: Readonly<Record<string, Batch>> = {
      full: golden.batch('input_ids', 'attention_mask', types),
      ids_only: golden.batch('input_ids'),
    }
    for (const [call, batch] of Object.entries(calls)) {
      const expected = golden.numbers(`${call}/${task === 'feature-extraction' ? 'last_hidden_state' : 'logits'}`)
      const actual = tf.tidy(() => valuesOf(model.forward(batch)))
      // relative to the size of the numbers: rounding grows with it (float32_error in the golden file's metadata)
      const size = Math.max(1, ...expected.map(Math.abs))
      // what a layer with a window makes of padding whose neighbours are hidden is nobody's business, and another thing in the peer
      const counts = family.includes('modernbert') && call === 'full' && task !== 'sequence-classification' ? golden.numbers('attention_mask') : undefined
      expect(largestDifference(actual, expected, counts) / size, call).toBeLessThan(1e-5)
    }
    model.dispose()
  })
})

describe.each([['roberta', ''], ['distilbert', ''], ['relatives', 'modernbert_'], ['relatives', 'nomic_bert_'], ['relatives', 'electra_small_'], ['relatives', 'xlm-roberta_'], ['relatives', 'camembert_']])('LoRA on %s, %s', (family, type) => {
  it('gives the logits, the loss and the gradients of HF PEFT', shownByGolden(`${family}/${type}lora`, `${family}/${type}sequence_classification`, ['load', 'train'], 1e-4), async () => {
    await expectPeftNumbers(family, `${type}lora`, `${type}sequence_classification`, 'sequence-classification')
  })
})

const OTHERS: Readonly<Record<string, readonly (readonly [folder: string, task: Task])[]>> = {
  'deberta-v2': [
    ...TASKS.filter(([folder]) => folder !== 'odd_sizes'),
    ['masked_lm_own', 'masked-lm'],
    ['base_v2', 'feature-extraction'],
    ['sequence_classification_v2', 'sequence-classification'],
    ['masked_lm_v2', 'masked-lm'],
    ['base_c2p', 'feature-extraction'],
    ['base_p2c', 'feature-extraction'],
    ['base_plain', 'feature-extraction'],
  ],
  mpnet: TASKS.filter(([folder]) => folder !== 'odd_sizes'),
  albert: [...TASKS.filter(([folder]) => folder !== 'odd_sizes'), ['sequence_classification_groups', 'sequence-classification']],
}

describe.each(Object.entries(OTHERS))('%s gives the numbers of transformers, those at padding too', (family, cases) => {
  it.each(cases)('%s: %s, with padding left and right, with and without mask', async (folder, task) => {
    const golden = await readGolden(`${family}/${folder}/golden.safetensors`)
    const model = await loadModel(goldenPath(`${family}/${folder}`), { task })
    const types = golden.has('token_type_ids') ? 'token_type_ids' : undefined
    for (const [call, batch] of Object.entries({ full: golden.batch('input_ids', 'attention_mask', types), ids_only: golden.batch('input_ids') })) {
      const expected = golden.numbers(`${call}/${task === 'feature-extraction' ? 'last_hidden_state' : 'logits'}`)
      const actual = tf.tidy(() => valuesOf(model.forward(batch)))
      expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), call).toBeLessThan(1e-5)
    }
    model.dispose()
  })
})

describe.each([
  ['deberta-v2', 'lora', 'sequence_classification'],
  ['deberta-v2', 'lora_v2', 'sequence_classification_v2'],
  ['mpnet', 'lora', 'sequence_classification'],
  ['albert', 'lora', 'sequence_classification'],
  ['albert', 'lora_groups', 'sequence_classification_groups'],
])('a LoRA on %s: %s', (family, lora, base) => {
  it('gives the logits, the loss and the gradients of HF PEFT', shownByGolden(`${family}/${lora}`, `${family}/${base}`, ['load', 'train'], 1e-4), async () => {
    await expectPeftNumbers(family, lora, base, 'sequence-classification')
  })
})
