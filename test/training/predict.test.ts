import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../src/base/architecture.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { embed } from '../../src/training/embed.ts'
import { nextTokenLabels } from '../../src/base/tasks/next-token.ts'
import { perplexity } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { predictSpans } from '../../src/training/predict-spans.ts'
import { predictTokens } from '../../src/training/predict-tokens.ts'
import { goldenPath, valuesOf } from '../golden.ts'

const ids = [[5, 6, 7, 8], [9], [3, 1, 4, 1, 5], [2, 6]]

/** Runs with a model, and checks that it leaves no tensor. */
async function using(path: string, task: Task, run: (model: Model) => Promise<void>): Promise<void> {
  const model = await loadModel(goldenPath(path), { task })
  const count = tf.memory().numTensors
  await run(model)
  expect(tf.memory().numTensors).toBe(count)
  model.dispose()
}

/** The model's output for one row by itself. */
const alone = (model: Model, row: readonly number[]): number[] =>
  tf.tidy(() => [...valuesOf(model.forward({ ids: Int32Array.from(row), batch: 1, length: row.length }))])

const softmax = (values: readonly number[]): number[] => {
  const powers = values.map(Math.exp)
  return powers.map((power) => power / powers.reduce((a, b) => a + b))
}

describe('predictions', () => {
  it.each(['bert/token_classification', 'llama/token_classification', 'bert/masked_lm'])('of tokens are the best class of each, and its probability: %s', async (path) => {
    await using(path, path.endsWith('masked_lm') ? 'masked-lm' : 'token-classification', async (model) => {
      const { classes, scores } = await predictTokens(model, { ids }, { batchSize: 3 })
      ids.forEach((row, i) => {
        const logits = alone(model, row)
        const C = logits.length / row.length
        row.forEach((_, t) => {
          const probabilities = softmax(logits.slice(t * C, (t + 1) * C))
          expect(classes[i]?.[t]).toBe(probabilities.indexOf(Math.max(...probabilities)))
          expect(scores[i]?.[t]).toBeCloseTo(Math.max(...probabilities), 5)
        })
        expect([classes[i]?.length, scores[i]?.length]).toEqual([row.length, row.length])
      })
    })
  })

  it('of answers are the best spans of the context, no longer than allowed', async () => {
    await using('bert/question_answering', 'question-answering', async (model) => {
      const context = [[0, 1, 1, 1], [1], [0, 1, 1, 0, 1], [0, 0]]
      const spans = await predictSpans(model, { ids }, { context, best: 4, maxLength: 3 })
      ids.forEach((row, i) => {
        const logits = alone(model, row)
        const allowed = row.map((_, t) => t).filter((t) => context[i]?.[t] === 1)
        const [begins, ends] = [0, 1].map((side) => softmax(allowed.map((t) => logits[2 * t + side] ?? NaN))) as [number[], number[]]
        const all = allowed.flatMap((first, a) => allowed.flatMap((last, b) =>
          (last >= first && last - first < 3 ? [{ first, last, score: (begins[a] ?? NaN) * (ends[b] ?? NaN) }] : [])))
        const expected = all.sort((a, b) => b.score - a.score).slice(0, 4)
        expect(spans[i]?.map(({ first, last }) => [first, last])).toEqual(expected.map(({ first, last }) => [first, last]))
        spans[i]?.forEach(({ score }, n) => { expect(score).toBeCloseTo(expected[n]?.score ?? NaN, 5) })
      })
      const [[one] = []] = await predictSpans(model, { ids: [[4]] })
      expect(one).toEqual({ first: 0, last: 0, score: 1 })
    })
  })

  it('of answers refuse options that do not fit', async () => {
    await using('bert/question_answering', 'question-answering', async (model) => {
      await expect(predictSpans(model, { ids }, { best: 0, maxLength: 1.5, context: [[1]] })).rejects.toThrow([
        'predictSpans: the options cannot be used:',
        '  - best: expected an integer of at least 1, got 0',
        '  - maxLength: expected an integer of at least 1, got 1.5',
        '  - context: expected one number for each token of each row of ids',
      ].join('\n'))
    })
  })

  it('of embeddings stand in the order of the rows, whatever is beside them in a batch', async () => {
    await using('bert/base', 'sentence-embedding', async (model) => {
      const vectors = await embed(model, { ids }, { batchSize: 3 })
      const expected = ids.flatMap((row) => alone(model, row))
      expect(Math.max(...expected.map((value, i) => Math.abs(value - (vectors[i] ?? NaN))))).toBeLessThan(1e-5)
    })
  })

  it('name the function of the model\'s task', async () => {
    await using('bert/base', 'sentence-embedding', async (model) => {
      await expect(predict(model, { ids })).rejects.toThrow(
        "predict: expected a model loaded for 'sequence-classification' or 'image-classification', got one for 'sentence-embedding'; use embed.")
      await expect(predictTokens(model, { ids })).rejects.toThrow(/'token-classification' or 'masked-lm', got one for 'sentence-embedding'; use embed/)
    })
  })
})

describe('perplexity', () => {
  it('is that of all tokens together, whatever batches they are in', async () => {
    await using('gpt2/causal_lm', 'causal-lm', async (model) => {
      const whole = await perplexity(model, { ids })
      expect((await perplexity(model, { ids }, { batchSize: 1 })) / whole).toBeCloseTo(1, 5)
      const V = model.parts.architecture.text?.vocabSize ?? 0
      const losses = ids.flatMap((row) => {
        const logits = alone(model, row)
        return row.slice(1).map((next, t) => -Math.log(softmax(logits.slice(t * V, (t + 1) * V))[next] ?? NaN))
      })
      expect(whole / Math.exp(losses.reduce((a, b) => a + b) / losses.length)).toBeCloseTo(1, 5)
      await expect(perplexity(model, { ids: [[3], [4]] })).rejects.toThrow('expected a row of two tokens at least')
    })
  })

  it('takes the labels that a transform makes', async () => {
    await using('bert/masked_lm', 'masked-lm', async (model) => {
      expect(await perplexity(model, { ids }, { transform: nextTokenLabels })).toBeGreaterThan(1)
    })
  })
})
