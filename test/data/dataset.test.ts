import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/errors.ts'
import { concatenate, datasetOf, filterRows, mapRows, shuffleRows, splitByHash, type Dataset } from '../../src/data/dataset.ts'
import { placed, whereOf } from '../../src/data/where.ts'
import { allRows } from './rows.ts'

const numbers = (n: number): Dataset<number> => datasetOf(Array.from({ length: n }, (_, i) => i))

it('a list of rows is a data set, and what gives its rows once is not', () => {
  const once = function* (): Generator<object> { yield { text: 'a' } }
  expect(() => datasetOf(once() as never)).toThrow(new InputError('datasetOf: expected a list of rows, got {}. What gives its rows once, such as a generator, becomes one with [...rows]; files have csv, jsonLines, json and parquet.'))
})

describe('a data set', () => {
  it.each<[string, Dataset<number>]>([
    ['in memory', numbers(30)],
    ['mapped', mapRows(numbers(30), (row, index) => 2 * row + index)],
    ['of several parts', concatenate([numbers(7), numbers(0), numbers(23)])],
    ['split', splitByHash(numbers(60), String, 0.5).train],
    ['shuffled', shuffleRows(numbers(30), { buffer: 7, seed: 3 })],
  ])('%s gives the same rows each time, and from any row on the rest of them', async (_, dataset) => {
    const rows = await allRows(dataset)
    expect(await allRows(dataset)).toEqual(rows)
    for (let from = 0; from <= rows.length + 1; from++) expect(await allRows(dataset, from)).toEqual(rows.slice(from))
  })

  it('filtered has the rows that are to stay, of the type that is told', async () => {
    const mails = datasetOf<{ label: string | null }>([{ label: 'ham' }, { label: null }, { label: 'spam' }])
    const labelled: Dataset<{ label: string }> = filterRows(mails, (mail): mail is { label: string } => mail.label !== null)
    expect(await allRows(labelled)).toEqual([{ label: 'ham' }, { label: 'spam' }])
    expect(await allRows(labelled, 1)).toEqual([{ label: 'spam' }])
  })

  it('reads no further than it is asked to', async () => {
    let read = 0
    const counted = mapRows(numbers(1000), (row) => (read++, row))
    for await (const row of shuffleRows(concatenate([counted]), { buffer: 10, seed: 0 }).rows()) {
      expect(row).toBeLessThan(12)
      break
    }
    expect(read).toBe(11)
  })
})

describe('a row', () => {
  const rows = [0, 1, 2, 3].map((i) => ({ i }))

  it('knows where it comes from, however the data set was made into another', async () => {
    const data = datasetOf(rows)
    const made = concatenate<object>([
      filterRows(data, ({ i }) => i % 2 === 1),
      mapRows(splitByHash(data, ({ i }) => String(i), 1).evaluate, ({ i }) => ({ twice: 2 * i })),
      shuffleRows(data, { buffer: 2, seed: 1 }),
    ])
    expect((await allRows(made)).map((row) => [whereOf(row), 'twice' in row])).toEqual([
      ['row 1', false], ['row 3', false], ...[0, 1, 2, 3].map((i) => [`row ${i}`, true]),
      ...(await allRows(shuffleRows(data, { buffer: 2, seed: 1 }))).map(({ i }) => [`row ${i}`, false]),
    ])
  })

  it('of a file keeps its place in a list, and of another list has that of the list it is read from', async () => {
    const ofFile = placed({ i: 7 }, 'mails.csv: line 9')
    const kept = mapRows(datasetOf([{ i: 6 }, ofFile, ...rows]), (row) => row)
    expect((await allRows(kept)).map(whereOf)).toEqual(['row 0', 'mails.csv: line 9', 'row 2', 'row 3', 'row 4', 'row 5'])
    expect((await allRows(mapRows(kept, () => ofFile), 5)).map(whereOf)).toEqual(['mails.csv: line 9'])
    expect([whereOf('text'), whereOf(null), whereOf({})]).toEqual([undefined, undefined, undefined])
  })
})

describe('splitByHash', () => {
  it('goes by a column, as by a function that gives it, and says where a key is no text', async () => {
    const rows = datasetOf(Array.from({ length: 40 }, (_, i) => ({ text: `text ${i}` })))
    expect(await allRows(splitByHash(rows, 'text', 0.3).evaluate)).toEqual(await allRows(splitByHash(rows, ({ text }) => text, 0.3).evaluate))
    await expect(allRows(splitByHash(rows, (row) => (row as { txt?: string }).txt as string, 0.3).train)).rejects.toThrow(
      new InputError('splitByHash: key: expected a text, got undefined in row 0.'))
    expect(await allRows(splitByHash(datasetOf([{ text: null }, { text: 'a' }]), 'text', 0).train)).toHaveLength(2)
  })

  it('puts every row on one side, about the share of them held out, and a row where it was before', async () => {
    const { train, evaluate } = splitByHash(numbers(5000), String, 0.2)
    const [kept, heldOut] = [await allRows(train), await allRows(evaluate)]
    expect([...kept, ...heldOut].sort((a, b) => a - b)).toEqual(await allRows(numbers(5000)))
    expect(heldOut.length / 5000).toBeCloseTo(0.2, 1)
    const fewer = splitByHash(datasetOf([...heldOut.slice(0, 100), ...kept.slice(0, 100)]), String, 0.2)
    expect(await allRows(fewer.evaluate)).toEqual(heldOut.slice(0, 100))
  })

  it('holds out nothing at 0 and everything at 1, and refuses other numbers', async () => {
    expect(await allRows(splitByHash(numbers(50), String, 0).evaluate)).toEqual([])
    expect(await allRows(splitByHash(numbers(50), String, 1).train)).toEqual([])
    expect(() => splitByHash(numbers(5), String, 20)).toThrow('expected a share from 0 to 1, got 20')
  })
})

describe('shuffleRows', () => {
  it('loses and repeats no row, whatever the buffer', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(40), fc.integer({ min: 1, max: 60 }), fc.nat(), async (n, buffer, seed) => {
      const rows = await allRows(shuffleRows(numbers(n), { buffer, seed }))
      expect(rows.sort((a, b) => a - b)).toEqual(await allRows(numbers(n)))
    }), { numRuns: 50 })
  })

  it('gives another order for another seed, and the given one for a buffer of one row', async () => {
    expect(await allRows(shuffleRows(numbers(50), { buffer: 50, seed: 0 }))).not.toEqual(await allRows(shuffleRows(numbers(50), { buffer: 50, seed: 1 })))
    expect(await allRows(shuffleRows(numbers(50), { buffer: 1, seed: 0 }))).toEqual(await allRows(numbers(50)))
    expect(() => shuffleRows(numbers(5), { buffer: 0, seed: 0 })).toThrow('expected a buffer of at least 1 row, got 0')
  })

  it('reaches every order equally often where the buffer holds all rows', async () => {
    const counts = new Map<string, number>()
    for (let seed = 0; seed < 1200; seed++) {
      const order = (await allRows(shuffleRows(numbers(3), { buffer: 3, seed }))).join('')
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0)
    expect(counts.size).toBe(6)
    expect(chiSquare).toBeLessThan(20.5) // 0.1 % of the chi-square distribution with 5 degrees of freedom lies above
  })
})
