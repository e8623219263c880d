import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PatternError, pythonPattern, type Pattern } from '../../src/base/python-regex/pattern.ts'
import { goldenPath } from '../golden.ts'

interface Golden {
  readonly texts: readonly string[]
  readonly patterns: readonly (readonly [pattern: string, error: string | null, whole: readonly number[], starts: Readonly<Record<number, object>>])[]
}

const { texts, patterns } = JSON.parse(readFileSync(goldenPath('patterns.json'), 'utf8')) as Golden

/** The pattern, or why there is none. */
function compiled(source: string): Pattern | string {
  try {
    return pythonPattern(source)
  } catch (error) {
    if (error instanceof PatternError) return error.message
    throw error
  }
}

const isUnsupported = (reason: unknown): boolean => typeof reason === 'string' && reason.includes('is not supported')

describe("Python's regular expressions", () => {
  it('refuses what Python refuses, and of the rest only what it names', () => {
    const wrong = patterns.filter(([source, error]) => {
      const ours = compiled(source)
      return !isUnsupported(ours) && (typeof ours === 'string') !== (error !== null)
    })
    expect(wrong.map(([source, error]) => [source, error, compiled(source)])).toEqual([])
    const unsupported = patterns.filter(([source, error]) => error === null && isUnsupported(compiled(source)))
    expect(unsupported.length).toBeLessThan(patterns.length / 20)
  })

  it('finds the whole texts, and the starts of texts, that Python finds', () => {
    const wrong = patterns.flatMap(([source, error, whole, starts]) => {
      const ours = compiled(source)
      if (error !== null || typeof ours === 'string') return []
      const found = [texts.flatMap((text, i) => (ours.fits(text) ? [i] : [])), texts.flatMap((text, i) => (ours.starts(text) ? [i] : []))]
      const expected = [whole, Object.keys(starts).map(Number)]
      return JSON.stringify(found) === JSON.stringify(expected) ? [] : [[source, found, expected]]
    })
    expect(wrong).toEqual([])
  })

  it('finds the named groups that Python finds at the start of a text', () => {
    const wrong = patterns.flatMap(([source, error, , starts]) => {
      const ours = compiled(source)
      if (error !== null || typeof ours === 'string' || !/\?P</.test(source)) return []
      const found = Object.fromEntries(texts.flatMap((text, i) => {
        const groups = ours.groups(text)
        return groups === undefined ? [] : [[i, groups]]
      }))
      const sorted = (record: object): string => JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
      return Object.keys({ ...found, ...starts }).every((i) => sorted(found[i] ?? {}) === sorted(starts[Number(i)] ?? {})) ? [] : [[source, found, starts]]
    })
    expect(wrong).toEqual([])
  })

  it.each([
    ['(a)\\1', 'a reference back to a group is not supported at position 3'],
    ['(?P<n>a)(?P=n)', 'a reference back to a group is not supported at position 8'],
    ['(a)?(?(1)a|b)', 'a choice by a group, (?(…)…|…), is not supported at position 4'],
    ['(', 'missing ), unterminated subpattern at position 0'],
    ['a(?i)b', 'global flags not at the start of the expression at position 1'],
    ['(?:a{100}){100}', 'more than 5000 steps, repetitions written out'],
    ['('.repeat(101), 'more than 100 groups in one another at position 100'],
    ['a'.repeat(10_001), '10001 characters, more than 10000'],
  ])('says what is wrong with %.20s', (source, reason) => {
    expect(compiled(source)).toBe(reason)
  })

  it('takes a time that grows with the text, where trying every way would not end', () => {
    const text = `${'a'.repeat(5_000)}b`
    for (const source of ['(a+)+', '(a|aa)+', '(a*)*', '((a?){20}){20}', '(?=(a+)+c)a.*']) expect(pythonPattern(source).fits(text)).toBe(false)
    expect(pythonPattern('(?:){1000000000}b').fits('b')).toBe(true)
  })
})
