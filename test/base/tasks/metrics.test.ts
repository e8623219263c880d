import { describe, expect, it } from 'vitest'
import { InputError } from '../../../src/errors.ts'
import { accuracy, matthews, precisionRecallF1 } from '../../../src/base/tasks/metrics.ts'
import type { PrecisionRecallF1 } from '../../../src/base/tasks/metrics.ts'

// 3 true positives, 2 false positives, 1 false negative, 4 true negatives
const binary = { labels: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1], predictions: [0, 0, 0, 0, 1, 1, 1, 1, 1, 0] }
// class 3 is predicted but never right
const many = { labels: [0, 0, 0, 1, 1, 2, 2, 2, 2, 2], predictions: [0, 0, 1, 1, 2, 2, 2, 2, 0, 3] }
const constant = { labels: [0, 0, 1, 1], predictions: [0, 0, 0, 0] }

function expectScores(got: PrecisionRecallF1, [precision, recall, f1]: readonly [number, number, number]): void {
  expect(got.precision).toBeCloseTo(precision, 12)
  expect(got.recall).toBeCloseTo(recall, 12)
  expect(got.f1).toBeCloseTo(f1, 12)
}

describe('accuracy', () => {
  it('is the share of right predictions', () => {
    expect(accuracy(binary.predictions, binary.labels)).toBe(0.7)
    expect(accuracy(Int32Array.from(many.predictions), many.labels)).toBe(0.6)
    expect(accuracy([1, 0, 1, 1], [1, 0, 0, 1])).toBe(0.75)
  })
})

describe('precisionRecallF1', () => {
  it('counts by hand for two classes, either of which can be the positive one', () => {
    expectScores(precisionRecallF1(binary.predictions, binary.labels), [3 / 5, 3 / 4, 6 / 9])
    expectScores(precisionRecallF1(binary.predictions, binary.labels, { positive: 0 }), [4 / 5, 4 / 6, 8 / 11])
    expect(precisionRecallF1([1, 0, 1, 1], [1, 0, 0, 1]).recall).toBe(1)
  })

  // the numbers are scikit-learn 1.9.1's precision_recall_fscore_support with zero_division=0
  it('equals scikit-learn for macro averages, classes without labels included', () => {
    expectScores(precisionRecallF1(binary.predictions, binary.labels, 'macro'), [0.7, 0.7083333333333333, 0.696969696969697])
    expectScores(precisionRecallF1(many.predictions, many.labels, 'macro'),
      [0.47916666666666663, 0.44166666666666665, 0.45833333333333326])
    expectScores(precisionRecallF1(constant.predictions, constant.labels, 'macro'), [0.25, 0.5, 0.3333333333333333])
  })

  it('equals the accuracy for micro averages', () => {
    expectScores(precisionRecallF1(many.predictions, many.labels, 'micro'), [0.6, 0.6, 0.6])
  })

  it('is zero where the positive class is neither predicted nor there', () => {
    expectScores(precisionRecallF1(constant.predictions, constant.labels), [0, 0, 0])
    expectScores(precisionRecallF1([0], [0]), [0, 0, 0])
  })
})

describe('matthews', () => {
  it('equals the formula of four counts for two classes', () => {
    const byHand = (3 * 4 - 2 * 1) / Math.sqrt(5 * 4 * 6 * 5)
    expect(matthews(binary.predictions, binary.labels)).toBeCloseTo(byHand, 12)
    expect(matthews(binary.predictions, binary.labels)).toBeCloseTo(0.408248290463863, 12) // scikit-learn 1.9.1
  })

  it('equals scikit-learn for many classes', () => {
    expect(matthews(many.predictions, many.labels)).toBeCloseTo(0.4098442999852685, 12)
  })

  it('is 1 when all are right, -1 when two classes are exchanged, 0 when all predictions are alike', () => {
    expect(matthews([1, 1, 0, 0], [1, 1, 0, 0])).toBe(1)
    expect(matthews([0, 0, 1, 1], [1, 1, 0, 0])).toBe(-1)
    expect(matthews(constant.predictions, constant.labels)).toBe(0)
  })
})

describe('all metrics', () => {
  it.each([['accuracy', accuracy], ['precisionRecallF1', precisionRecallF1], ['matthews', matthews]] as const)(
    '%s refuses rows without a counterpart and no rows at all', (name, metric) => {
      expect(() => metric([1, 0], [1])).toThrow(InputError)
      expect(() => metric([1, 0], [1])).toThrow(`${name}: expected one prediction per label, got 2 predictions and 1 labels.`)
      expect(() => metric([], [])).toThrow(`${name}: expected at least one row, got none.`)
    })
})
