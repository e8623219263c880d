import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { classificationReport, confusionMatrix } from '../../../src/base/tasks/classification-report.ts'
import { InputError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'

interface Case {
  readonly predicted: readonly number[]
  readonly actual: readonly number[]
  readonly classes: number
  readonly matrix: readonly (readonly number[])[]
  readonly scores: readonly (readonly number[])[]
  readonly accuracy: number
}

const { cases } = JSON.parse(await readFile(goldenPath('report.json'), 'utf8')) as { cases: readonly Case[] }

it.each(cases)('the report of $classes classes has the numbers of scikit-learn', ({ predicted, actual, classes, matrix, scores, accuracy }) => {
  expect(confusionMatrix(predicted, actual, classes)).toEqual(matrix)
  const report = classificationReport(predicted, actual, Array.from({ length: classes }, (_, i) => `class ${i}`))
  const lines = [...report.classes, report.macro, report.weighted]
  expect(lines.map(({ name }) => name)).toEqual([...Array.from({ length: classes }, (_, i) => `class ${i}`), 'macro average', 'weighted average'])
  lines.forEach(({ precision, recall, f1, support }, i) => {
    [precision, recall, f1, support].forEach((value, j) => { expect(value).toBeCloseTo(scores[i]?.[j] ?? NaN, 12) })
  })
  expect(report.accuracy).toBeCloseTo(accuracy, 12)
})

it('the report is a table with a line for each class', () => {
  expect(classificationReport([1, 0, 1, 1], [1, 0, 0, 1], ['ham', 'spam']).table).toBe([
    '                  precision  recall     F1  rows',
    'ham                   1.000   0.500  0.667     2',
    'spam                  0.667   1.000  0.800     2',
    'macro average         0.833   0.750  0.733     4',
    'weighted average      0.833   0.750  0.733     4',
    'accuracy 0.750',
  ].join('\n'))
})

it('a number that is none of the classes is refused, with its row', () => {
  expect(() => classificationReport([1, 2], [1, -100], ['ham', 'spam'])).toThrow(
    new InputError('classificationReport: expected class numbers below 2; got:', ['predictions: 2 in row 1', 'labels: -100 in row 1']))
})

it('labels may be names of the classes, as rows of a data set have them', () => {
  expect(classificationReport([1, 0, 1, 1], ['spam', 'ham', 'ham', 'spam'], ['ham', 'spam'])).toEqual(classificationReport([1, 0, 1, 1], [1, 0, 0, 1], ['ham', 'spam']))
  expect(confusionMatrix([1, 0, 1, 1], ['spam', 'ham', 'ham', 'spam'], ['ham', 'spam'])).toEqual([[1, 1], [0, 2]])
  expect(() => confusionMatrix([1, 0], ['spam', 'spma'], ['ham', 'spam'])).toThrow(
    new InputError('confusionMatrix: expected class numbers below 2; got:', ['labels: "spma" in row 1']))
})
