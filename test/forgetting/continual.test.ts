import { describe, expect, it } from 'vitest'
import { continualMeasures } from '../../src/forgetting/continual.ts'
import { learnInSequence } from '../../src/forgetting/sequence.ts'

describe('continualMeasures', () => {
  it('gives the measures of the papers', () => {
    const measures = continualMeasures([[0.9, 0.4, 0.3], [0.95, 0.8, 0.5], [0.6, 0.7, 0.85]], [0.3, 0.2, 0.1])
    expect(measures.averageAccuracy).toBeCloseTo((0.6 + 0.7 + 0.85) / 3, 12)
    expect(measures.forgetting).toBeCloseTo((0.35 + 0.1) / 2, 12) // from the best before, not the first
    expect(measures.backwardTransfer).toBeCloseTo((-0.3 - 0.1) / 2, 12)
    expect(measures.forwardTransfer).toBeCloseTo((0.4 - 0.2 + 0.5 - 0.1) / 2, 12)
  })

  it('gives 0 for a single task, and no forward transfer without the untrained model', () => {
    expect(continualMeasures([[0.9]])).toEqual({ averageAccuracy: 0.9, forgetting: 0, backwardTransfer: 0 })
  })

  it('refuses what is no square of numbers', () => {
    expect(() => continualMeasures([])).toThrow('expected at least one task, got none')
    expect(() => continualMeasures([[1, NaN], [1]], [1])).toThrow(/row 0: .*1, NaN\n.*row 1: .*got 1\n.*untrained: .*got 1/)
  })
})

describe('learnInSequence', () => {
  it('measures every task before the first and after each', async () => {
    const trained: string[] = []
    const learned = await learnInSequence(['a', 'b'], {
      train: (task) => { trained.push(task) },
      evaluate: (task) => Promise.resolve(task === trained.at(-1) ? 0.9 : trained.includes(task) ? 0.6 : 0.5),
    })
    expect(trained).toEqual(['a', 'b'])
    expect(learned).toMatchObject({ untrained: [0.5, 0.5], accuracies: [[0.9, 0.5], [0.6, 0.9]], averageAccuracy: 0.75, forwardTransfer: 0 })
    expect(learned.forgetting).toBeCloseTo(0.3, 12)
    await expect(learnInSequence([], { train: () => undefined, evaluate: () => 0 })).rejects.toThrow('expected at least one task, got none')
  })
})
