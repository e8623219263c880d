// Every setting of a family's configuration class in transformers (test/golden/settings.json) is read, refused or known to change nothing.

import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Bounds, Family } from '../../../src/base/architecture.ts'
import { FAMILIES } from '../../../src/base/models/auto.ts'
import { COMMON_IDLE, COMMON_OFF, READ_ELSEWHERE } from '../../../src/base/models/settings.ts'
import { settingsReader, type SectionReader } from '../../../src/base/settings.ts'
import { goldenPath } from '../../golden.ts'

interface Effect {
  readonly default?: unknown
  readonly changes?: boolean
  readonly error?: string
}

interface GoldenFamily {
  readonly fields: Readonly<Record<string, Effect>>
  readonly words: Readonly<Record<string, Effect>>
}

const { families } = JSON.parse(await readFile(goldenPath('settings.json'), 'utf8')) as { readonly families: Readonly<Record<string, GoldenFamily>> }

const BOUNDS: Bounds = { size: { min: 1, max: 1e6 }, layers: { min: 1, max: 100 } }

/** The settings that a family reads, and what it takes where the file has nothing. */
function readBy(type: string): ReadonlyMap<string, unknown> {
  const seen = new Map<string, unknown>()
  const json = new Proxy({}, {
    getOwnPropertyDescriptor: (_, key) => {
      if (!seen.has(String(key))) seen.set(String(key), undefined)
      return undefined
    },
  })
  const read = settingsReader(json, { file: 'config.json', what: 'a test' })
  const noting = <K extends 'flag' | 'text'>(kind: K) => ((key: string, fallback?: never) => {
    seen.set(key, fallback)
    return read[kind](key, fallback)
  }) as SectionReader[K]
  FAMILIES[type]?.read({
    ...read,
    flag: noting('flag'),
    text: noting('text'),
    number: (key, rule) => {
      seen.set(key, rule?.fallback)
      return read.number(key, rule)
    },
    integer: (key, rule) => {
      seen.set(key, rule?.fallback)
      return read.integer(key, rule)
    },
    oneOf: (key, values, fallback) => {
      seen.set(key, fallback)
      return read.oneOf(key, values, fallback)
    },
  }, BOUNDS, {})
  return seen
}

it('the families are those of the golden file', () => {
  expect(Object.keys(FAMILIES).sort()).toEqual(Object.keys(families).sort())
})

describe.each(Object.entries(families))('%s', (type, { fields, words }) => {
  const all = { ...fields, ...words }
  const read = readBy(type)
  const off: Family['off'] = { ...COMMON_OFF, ...FAMILIES[type]?.off }
  const idle = [...COMMON_IDLE, ...(FAMILIES[type]?.idle ?? [])]

  it('reads, refuses or ignores each setting of its class, and does not two of these', () => {
    const waysOf = (key: string): string[] => [
      ...(read.has(key) || READ_ELSEWHERE.includes(key) ? ['read'] : []),
      ...((Object.hasOwn(off, key) && off[key] !== undefined) ? ['off'] : []),
      ...(idle.includes(key) ? ['idle'] : []),
    ]
    expect(Object.keys(all).map((key) => [key, waysOf(key)]).filter(([, ways]) => ways?.length !== 1)).toEqual([])
  })

  it('ignores only what changes no logit in transformers', () => {
    const unknown = (key: string): boolean => key === 'return_dict' && /t5|bart|dinov2|clip/.test(type) // transformers fails with a tuple there itself
    expect(Object.entries(all).filter(([key, { changes }]) => idle.includes(key) && changes !== false && !unknown(key))).toEqual([])
  })

  it('takes what the class has where a file says nothing', () => {
    const others = [...read].filter(([key, fallback]) => {
      const usual = fields[key]?.default ?? undefined
      return usual !== undefined && fallback !== undefined && fallback !== usual
    })
    expect(others.map(([key, fallback]) => [key, fallback, fields[key]?.default])).toEqual([])
  })
})
