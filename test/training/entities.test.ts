import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { entityF1 } from '../../src/training/entities.ts'
import { goldenPath } from '../golden.ts'

interface Case {
  readonly actual: readonly (readonly string[])[]
  readonly predicted: readonly (readonly string[])[]
  readonly default: readonly number[]
  readonly strict: readonly number[]
}

const { cases } = JSON.parse(await readFile(goldenPath('entities.json'), 'utf8')) as { cases: readonly Case[] }
const names = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC', 'B-MISC', 'I-MISC']
const ids = (rows: readonly (readonly string[])[]): number[][] => rows.map((row) => row.map((tag) => names.indexOf(tag)))

describe('entityF1', () => {
  it.each([['default', false], ['strict', true]] as const)('has the numbers of seqeval: %s', (mode, strict) => {
    for (const { actual, predicted, [mode]: expected } of cases) {
      const { precision, recall, f1 } = entityF1(ids(predicted), ids(actual), names, { strict })
      expect([precision, recall, f1].map((value, i) => Math.abs(value - (expected[i] ?? NaN)) < 1e-12)).toEqual([true, true, true])
    }
  })

  it('leaves out tokens that do not count, and joins what is around them', () => {
    expect(entityF1([[5, 1, 0, 2, 3]], [[-100, 1, -100, 2, -100]], names).f1).toBe(1)
  })

  it('takes true classes by name too', () => {
    expect(entityF1([[1, 2, 0]], [['B-PER', 'I-PER', -100]], ['O', 'B-PER', 'I-PER']).f1).toBe(1)
    expect(() => entityF1([[1, 2]], [['B-PER', 'I-PRE']], ['O', 'B-PER', 'I-PER'])).toThrow('classes without a name: I-PRE')
  })

  it('lists all that does not fit', () => {
    expect(() => entityF1([[0, 9], [0]], [[0], [0], [1]], ['O', 'B-PER', 'S-PER', 'X'])).toThrow([
      'entityF1: the entities cannot be counted:',
      '  - expected as many rows as labels, 3, got 2',
      '  - rows that are not as long as their labels: 0',
      '  - names that are not O, B-… or I-…: S-PER, X',
      '  - classes without a name: 9',
    ].join('\n'))
  })
})
