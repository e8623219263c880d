import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/errors.ts'
import { packTokens } from '../../src/training/packing.ts'

const plain = (rows: readonly Int32Array[]): number[][] => rows.map((row) => [...row])

describe('packTokens', () => {
  it('lays documents one after another, a separator behind each, and cuts rows of one length', () => {
    expect(plain(packTokens([[5, 6, 7], [8, 9]], { length: 3, separator: 0 }))).toEqual([[5, 6, 7], [0, 8, 9]])
  })

  it('drops what does not fill a row, or keeps it as a shorter one', () => {
    expect(plain(packTokens([[5, 6, 7]], { length: 3, separator: 0 }))).toEqual([[5, 6, 7]])
    expect(plain(packTokens([[5, 6, 7]], { length: 3, separator: 0, keepRest: true }))).toEqual([[5, 6, 7], [0]])
    expect(plain(packTokens([[5]], { length: 2, separator: 0, keepRest: true }))).toEqual([[5, 0]])
  })

  it('keeps every token and its place, whatever the documents are', () => {
    const documents = Array.from({ length: 40 }, (_, i) => Int32Array.from({ length: (i * 7) % 11 }, (_, j) => i * 100 + j))
    const rows = packTokens(documents, { length: 8, separator: 9999, keepRest: true })
    expect(rows.flatMap((row) => [...row])).toEqual(documents.flatMap((ids) => [...ids, 9999]))
    expect(rows.slice(0, -1).every(({ length }) => length === 8)).toBe(true)
  })

  it('gives rows of their own, not views that share memory', () => {
    const rows = packTokens([[1, 2, 3, 4]], { length: 2, separator: 0 })
    rows[0]?.fill(7)
    expect([...(rows[1] ?? [])]).toEqual([3, 4])
    expect(rows[0]?.buffer.byteLength).toBe(8)
  })

  it('tells everything that is wrong at once', () => {
    expect(() => packTokens([[1, -2], [0.5]], { length: 1, separator: -1 })).toThrow(InputError)
    try {
      packTokens([[1, -2], [0.5]], { length: 1, separator: -1 })
    } catch (error) {
      expect((error as InputError).problems).toEqual([
        'length: expected an integer of at least 2, got 1',
        'separator: expected a token id, got -1',
        'ids that are not natural numbers: -2 at token 1 of document 0, 0.5 at token 0 of document 1',
      ])
    }
  })

  it('refuses documents that fill no row', () => {
    expect(() => packTokens([[1, 2]], { length: 4, separator: 0 })).toThrow('3 tokens, separators included, fill no row of 4')
    expect(() => packTokens([], { length: 4, separator: 0 })).toThrow('0 tokens')
  })
})
