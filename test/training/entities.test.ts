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

const { cases, iobes } = JSON.parse(await readFile(goldenPath('entities.json'), 'utf8')) as { cases: readonly Case[]; iobes: readonly Case[] }
const names = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC', 'B-MISC', 'I-MISC']
const withEnds = ['O', 'B-PER', 'I-PER', 'E-PER', 'S-PER', 'B-LOC', 'I-LOC', 'E-LOC', 'S-LOC']
const ids = (rows: readonly (readonly string[])[], of = names): number[][] => rows.map((row) => row.map((tag) => of.indexOf(tag)))

describe('entityF1', () => {
  it.each([['default', false], ['strict', true]] as const)('has the numbers of seqeval: %s', (mode, strict) => {
    for (const { actual, predicted, [mode]: expected } of cases) {
      const { precision, recall, f1 } = entityF1(ids(predicted), ids(actual), names, { strict })
      expect([precision, recall, f1].map((value, i) => Math.abs(value - (expected[i] ?? NaN)) < 1e-12)).toEqual([true, true, true])
    }
  })

  it.each([['default', false], ['strict', true]] as const)('has the numbers of seqeval where tags say what an entity ends with, in whatever letters: %s', (mode, strict) => {
    const letters: readonly Readonly<Record<string, string>>[] = [{}, { E: 'L', S: 'U' }, { I: 'M' }]
    for (const { actual, predicted, [mode]: expected } of iobes) {
      for (const other of letters) {
        const written = withEnds.map((tag) => tag.replace(/^[IES](?=-)/, (letter) => other[letter] ?? letter))
        const { precision, recall, f1 } = entityF1(ids(predicted, withEnds), ids(actual, withEnds), written, { strict })
        expect([precision, recall, f1].map((value, i) => Math.abs(value - (expected[i] ?? NaN)) < 1e-12)).toEqual([true, true, true])
      }
    }
  })

  it('leaves out tokens that do not count, and joins what is around them', () => {
    expect(entityF1([[5, 1, 0, 2, 3]], [[-100, 1, -100, 2, -100]], names).f1).toBe(1)
  })

  it('takes true classes by name too', () => {
    expect(entityF1([[1, 2, 0]], [['B-PER', 'I-PER', -100]], ['O', 'B-PER', 'I-PER']).f1).toBe(1)
    expect(entityF1([[1, 2, 0]], [['PER-B', 'PER-I', 'O']], ['O', 'PER-B', 'PER-I'])).toEqual(entityF1([[1, 2, 0]], [[1, 2, 0]], ['O', 'B-PER', 'I-PER']))
    expect(() => entityF1([[1, 2]], [['B-PER', 'I-PRE']], ['O', 'B-PER', 'I-PER'])).toThrow('classes without a name: I-PRE')
  })

  it('lists all that does not fit', () => {
    expect(() => entityF1([[0, 9], [0]], [[0], [0], [1]], ['O', 'B-PER', 'S-PER', 'X'])).toThrow([
      'entityF1: the entities cannot be counted:',
      '  - expected as many rows as labels, 3, got 2',
      '  - rows that are not as long as their labels: 0',
      '  - names that are not O, B-… or I-…, nor those of BIOES, BILOU or BMES: X',
      '  - classes without a name: 9',
    ].join('\n'))
  })
})
