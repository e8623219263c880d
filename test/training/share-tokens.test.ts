// Workers that tokenize together: each asks its tokenizer for its share of the texts, and has the tokens of all.

import { beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer, type Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { datasetOf, type Row } from '../../src/data/dataset.ts'
import { InputError } from '../../src/errors.ts'
import { readExamples, type ReadOptions } from '../../src/training/read-examples.ts'
import { encoded, type Question, type TokenRows } from '../../src/training/row-tokens.ts'
import { sharedTokens } from '../../src/training/share-tokens.ts'
import { together } from './together.ts'

let tokenizer: Tokenizer
beforeAll(async () => { tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2', { offline: true }) })

const mails = Array.from({ length: 11 }, (_, i) => ({
  text: `mail number ${i} ${'word '.repeat(i)}`, other: `its answer ${i}`, label: i % 2, words: ['mail', `number${i}`], tags: ['O', 'B'],
  question: 'which number?', context: `this is mail ${i}`, answer: { text: String(i), start: 13 },
}))

const KINDS: Readonly<Record<string, Omit<ReadOptions<Row>, 'tokenizer'>>> = {
  'texts with a label, some cut': { text: 'text', label: 'label', maxLength: 9 },
  'pairs': { text: ['text', 'other'], label: 'label' },
  'words with tags': { words: 'words', tags: 'tags' },
  'questions with an answer in a text': { text: ['question', 'context'], answer: 'answer' },
}

describe('readExamples, shared out among workers', () => {
  it.each(Object.entries(KINDS))('gives all of them the rows of one alone: %s', async (_, options) => {
    const rows = datasetOf<Row>(mails)
    const alone = await readExamples(rows, { tokenizer, ...options })
    const counts: number[] = []
    const parts = await Promise.all(together(3).map((distributed) => {
      const counting: Tokenizer = {
        ...tokenizer,
        encode: (texts, of) => { counts.push(texts.length); return tokenizer.encode(texts, of) },
        encodeWords: (texts, of) => { counts.push(texts.length); return tokenizer.encodeWords(texts, of) },
      }
      return readExamples(rows, { tokenizer: counting, distributed, ...options })
    }))
    for (const part of parts) expect(part).toEqual(alone)
    expect(counts).toEqual([4, 4, 3])
  })
})

describe('a question that workers share', () => {
  const question: Question = { texts: mails.map(({ text }) => text), options: {} }

  it('may have fewer rows than there are workers, and rows with problems, which keep their places', async () => {
    const few: Question = { texts: ['one mail'], options: {} }
    for (const part of await Promise.all(together(3).map((workers) => sharedTokens(workers, few, (own) => encoded(tokenizer, own))))) {
      expect(part).toEqual(encoded(tokenizer, few))
    }
    const conversations: Question = { conversations: Array.from({ length: 5 }, (_, i) => [{ role: 'user', content: String(i) }]), options: {} }
    const tokensOf = (own: Question): TokenRows => {
      const numbers = ('conversations' in own ? own.conversations : []).map(([message]) => Number(message?.content))
      return { ids: numbers.map((n) => Int32Array.of(n)), tokenLabels: numbers.map((n) => Int32Array.of(-n)), truncated: numbers.map((n) => n === 4), problems: numbers.flatMap((n, row) => (n % 3 === 1 ? [[row, `of ${n}`] as const] : [])) }
    }
    for (const part of await Promise.all(together(2).map((workers) => sharedTokens(workers, conversations, tokensOf)))) expect(part).toEqual(tokensOf(conversations))
  })

  it('fails on all where the tokenizer of one fails, with its text', async () => {
    const outcomes = await Promise.allSettled(together(2).map((workers) => sharedTokens(workers, question, (own) => {
      if (workers.rank === 1) throw new InputError('no such text')
      return encoded(tokenizer, own)
    })))
    expect(outcomes.map((one) => (one as PromiseRejectedResult).reason as unknown)).toEqual([new InputError('The texts cannot be tokenized:', ['worker 1: no such text']), new InputError('no such text')])
  })

  it('is one question: workers that read other rows are told', async () => {
    const outcomes = await Promise.allSettled(together(2).map((workers) => sharedTokens(workers, workers.rank === 0 ? question : { texts: ['one', 'two'], options: {} }, (own) => encoded(tokenizer, own))))
    for (const outcome of outcomes) expect((outcome as PromiseRejectedResult).reason).toMatchObject({ message: expect.stringContaining('do not read the same rows') as string })
  })
})
