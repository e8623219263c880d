// How well answers are found, against SQuAD's numbers as transformers computes them: golden/make_squad.py.

import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import * as tf from '@tensorflow/tfjs-core'
import { SPANS, squadScores } from '../../../src/base/tasks/span-measure.ts'
import { goldenPath } from '../../golden.ts'

interface Case {
  readonly said: string
  readonly right: readonly string[]
  readonly exact: number
  readonly f1: number
}

it('exact match and F1 of an answer are those of SQuAD', async () => {
  const { cases } = JSON.parse(await readFile(goldenPath('squad.json'), 'utf8')) as { readonly cases: readonly Case[] }
  for (const { said, right, exact, f1 } of cases) expect([said, right, squadScores(said, right)]).toEqual([said, right, { exactMatch: exact, f1: expect.closeTo(f1, 12) as number }])
})

/** Logits of rows of five tokens, high at these firsts and lasts. */
function logitsAt(spans: readonly (readonly [number, number])[]): tf.Tensor {
  return tf.tensor3d(spans.map(([first, last]) => Array.from({ length: 5 }, (_, t) => [t === first ? 5 : 0, t === last ? 5 : 0])))
}

// the question is token 1, the context tokens 2 to 4
const context = 'the red cat'
const places = Int32Array.of(-1, -1, -1, -1, 0, 3, 4, 7, 8, 11)
const texts = (answer: string) => (): { context: string, places: Int32Array, answers: string[] } => ({ context, places, answers: [answer] })
const batchOf = (labels: readonly number[]): Parameters<typeof SPANS.observe>[1] => ({
  ids: new Int32Array(5 * (labels.length / 2)), labels: Int32Array.from(labels), batch: labels.length / 2, length: 5, rows: Int32Array.from({ length: labels.length / 2 }, (_, i) => i),
})

it('an answer is sought in the context, and compared as a text', async () => {
  const noted = [await SPANS.observe(logitsAt([[2, 4], [1, 1]]), batchOf([3, 4, 3, 4]), texts('red cat'))]
  expect([...noted[0]?.values() ?? []].map(({ predicted }) => predicted)).toEqual([[2, 4], [2, 2]]) // the question is no answer
  expect(SPANS.summarize(noted, [])).toEqual({ exactMatch: 0.5, f1: 0.5 })
})

it('of spans without their texts the tokens are compared; a row whose answer was cut off does not count', async () => {
  const noted = [await SPANS.observe(logitsAt([[2, 4], [3, 4], [0, 0]]), batchOf([3, 4, 3, 4, -100, -100]))]
  expect(SPANS.summarize(noted, [])).toEqual({ exactMatch: 0.5, f1: (0.8 + 1) / 2 })
})

it('that there is no answer is said where some rows have none, and where it is likelier than any', async () => {
  const none = await SPANS.observe(logitsAt([[0, 0], [2, 4]]), batchOf([0, 0, 0, 0]), texts(''))
  const one = new Map([...await SPANS.observe(logitsAt([[0, 0]]), batchOf([2, 4]), texts('red cat'))].map(([, row]) => [2, row]))
  expect(SPANS.summarize([none, one], [])).toEqual({ exactMatch: 1 / 3, f1: 1 / 3 })
  expect(SPANS.summarize([one], [])).toEqual({ exactMatch: 0, f1: 0 }) // its first token is the likeliest in the context: 'the'
})
