import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../../src/base/architecture.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'

const CASES: readonly (readonly [folder: string, task: Task, output: string])[] = [
  ['base', 'feature-extraction', 'last_hidden_state'],
  ['odd_sizes', 'feature-extraction', 'last_hidden_state'],
  ['relu', 'feature-extraction', 'last_hidden_state'],
  ['old_names', 'feature-extraction', 'last_hidden_state'],
  ['sequence_classification', 'sequence-classification', 'logits'],
  ['token_classification', 'token-classification', 'logits'],
  ['masked_lm', 'masked-lm', 'logits'],
]

describe('BERT gives the numbers of transformers', () => {
  for (const [folder, task, output] of CASES) {
    it(`${folder}: ${task}, with padding left and right, with and without token types and mask`, async () => {
      const golden = await readGolden(`bert/${folder}/golden.safetensors`)
      const model = await loadModel(goldenPath(`bert/${folder}`), { task })
      const calls = {
        full: golden.batch('input_ids', 'attention_mask', 'token_type_ids'),
        no_types: golden.batch('input_ids', 'attention_mask'),
        ids_only: golden.batch('input_ids'),
      }
      for (const [call, batch] of Object.entries(calls)) {
        const expected = golden.numbers(`${call}/${output}`)
        const actual = tf.tidy(() => valuesOf(model.forward(batch)))
        // relative to the size of the numbers: rounding grows with it (float32_error in the golden file's metadata)
        const size = Math.max(1, ...expected.map(Math.abs))
        expect(largestDifference(actual, expected) / size).toBeLessThan(1e-5)
      }
      model.dispose()
    })
  }
})

it('the real all-MiniLM-L6-v2 gives the numbers of transformers', async () => {
  const golden = await readGolden('minilm.safetensors')
  const model = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { offline: true })
  const batch = golden.batch('input_ids', 'attention_mask')
  const actual = tf.tidy(() => valuesOf(model.forward(batch)))
  // the peer computes the rows of padding otherwise; nothing reads them
  expect(largestDifference(actual, golden.numbers('last_hidden_state'), golden.numbers('attention_mask'))).toBeLessThan(1e-4)
  model.dispose()
})
