// Entities and answers against the pipelines of transformers: golden/make_answers.py.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { answer } from '../../src/answers/answer.ts'
import { extractEntities } from '../../src/answers/extract-entities.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()

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

describe('with a tokenizer that takes a whole text for one word', () => {
  let whole: Tokenizer
  beforeAll(async () => {
    const json = JSON.parse(await readFile(goldenPath('answers/marks/tokenizer.json'), 'utf8')) as { readonly pre_tokenizer: object }
    const folder = temporary('whole')
    await mkdir(folder)
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...json, pre_tokenizer: { ...json.pre_tokenizer, split: false } }))
    whole = await loadTokenizer(folder)
  })

  it('words are what stands between blanks', async () => {
    const model = await loadModel(goldenPath('answers/tagger'), { task: 'token-classification' })
    const text = 'Ada Lovelace lived in London, and worked with Charles Babbage.'
    expect([...new Set(whole.encode([text], { offsets: true }).wordIds?.[0])]).toEqual([0])
    expect(await extractEntities(model, whole, [text])).toEqual(await extractEntities(model, await tokenizers['marks'] as Tokenizer, [text]))
    model.dispose()
  })

  it('an answer is as long as its tokens', async () => {
    const model = await loadModel(goldenPath('answers/reader'), { task: 'question-answering' })
    const context = 'Ada Lovelace lived in London, and worked with Charles Babbage.'
    const [found] = await answer(model, whole, [{ question: 'Who lived in London?', context }], { maxAnswerLength: 3 })
    expect(found?.text).toBe(context.slice(found?.start, found?.end))
    expect(found?.text.length).toBeLessThan(30)
    model.dispose()
  })
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
