// Entities and answers against the pipelines of transformers: golden/make_answers.py.

import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { answer } from '../../src/answers/answer.ts'
import { extractEntities } from '../../src/answers/extract-entities.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { goldenPath } from '../golden.ts'

interface EntityRow {
  readonly tokenizer: string
  readonly aggregation: 'first' | 'simple'
  readonly text: string
  readonly entities: readonly { readonly type: string; readonly place: readonly [number, number]; readonly probability: number }[]
}

interface AnswerRow {
  readonly tokenizer: string
  readonly question: string
  readonly context: string
  readonly maxLength: number
  readonly stride: number | null
  readonly maxAnswerLength: number
  readonly place: readonly [number, number]
  readonly probability: number
}

const rowsOf = async <T>(name: string): Promise<readonly T[]> => JSON.parse(await readFile(goldenPath(`answers/${name}.json`), 'utf8')) as T[]
const tokenizers: Readonly<Record<string, Promise<Tokenizer>>> = {
  pieces: loadTokenizer(goldenPath('answers/pieces')), marks: loadTokenizer(goldenPath('answers/marks')), bytes: loadTokenizer(goldenPath('tokenizer/bytes')),
}

it('entities are those of transformers', async () => {
  const model = await loadModel(goldenPath('answers/tagger'), { task: 'token-classification' })
  const tensors = tf.memory().numTensors
  for (const { tokenizer, aggregation, text, entities } of await rowsOf<EntityRow>('tagger/entities')) {
    const [found = []] = await extractEntities(model, await tokenizers[tokenizer] as Tokenizer, [text], { aggregation })
    const expected = entities.filter(({ place: [start, end] }) => end > start) // transformers also finds blanks
      .map(({ type, place: [start, end], probability }) => ({ type, text: text.slice(start, end), start, end, probability: expect.closeTo(probability, 4) as number }))
    expect([tokenizer, aggregation, found]).toEqual([tokenizer, aggregation, expected])
  }
  expect(tf.memory().numTensors).toBe(tensors)
  model.dispose()
})

it('answers are those of transformers', async () => {
  const model = await loadModel(goldenPath('answers/reader'), { task: 'question-answering' })
  const tensors = tf.memory().numTensors
  for (const { tokenizer, question, context, maxLength, stride, maxAnswerLength, place: [start, end], probability } of await rowsOf<AnswerRow>('reader/questions')) {
    const [found] = await answer(model, await tokenizers[tokenizer] as Tokenizer, [{ question, context }], { maxLength, maxAnswerLength, ...(stride === null ? {} : { stride }) })
    expect([tokenizer, question, maxLength, found]).toEqual([tokenizer, question, maxLength, { text: context.slice(start, end), start, end, probability: expect.closeTo(probability, 5) as number }])
  }
  expect(tf.memory().numTensors).toBe(tensors)
  model.dispose()
})
