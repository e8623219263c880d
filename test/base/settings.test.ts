// The reader of every file of settings: types, ranges and relations, all problems at once.

import { describe, expect, it } from 'vitest'
import { settingsReader, type Settings, type SettingsReader } from '../../src/base/settings.ts'
import { CheckpointError } from '../../src/errors.ts'

const reader = (json: Settings): SettingsReader => settingsReader(json, { file: 'some/config.json', what: 'a test' })

function problemsOf(json: Settings, use: (read: SettingsReader) => void): readonly string[] {
  const read = reader(json)
  use(read)
  try {
    read.done()
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error
    expect(error.message.split('\n')[0]).toBe('some/config.json cannot be used as a test:')
    return error.problems
  }
  return []
}

describe('the reader of settings', () => {
  it('gives what the file has, and the fallback where it has nothing or null', () => {
    const read = reader({ size: 4, name: 'x', on: true, ids: [1, 2], id: 3, pattern: { a: 1.5 }, none: null, inner: { depth: 2 } })
    expect([read.integer('size'), read.text('name'), read.flag('on')]).toEqual([4, 'x', true])
    expect([read.list('ids', 'integer'), read.list('id', 'integer'), read.list('none', 'text', ['y'])]).toEqual([[1, 2], [3], ['y']])
    expect([read.numbers('pattern'), read.number('none', { fallback: 0.5 }), read.section('inner').integer('depth')]).toEqual([{ a: 1.5 }, 0.5, 2])
    expect([read.has('none'), read.has('size'), read.has('toString'), read.raw('none'), read.raw('size')]).toEqual([false, true, false, undefined, 4])
    expect(read.oneOf('name', ['x', 'y'])).toBe('x')
    read.done()
  })

  it('tells every problem at once, with what was expected and what came', () => {
    const problems = problemsOf({ size: 32.5, rate: 5, on: 'true', name: 3, kind: 'b', ids: [1, '2'], pattern: { a: 'x' }, inner: { depth: -1 }, list: [1] }, (read) => {
      read.integer('size', { min: 1 })
      read.number('rate', { min: 0, below: 1 })
      read.flag('on', false)
      read.text('name')
      read.oneOf('kind', ['a', 'c'])
      read.list('ids', 'integer', [], { min: 0 })
      read.numbers('pattern')
      read.section('inner').integer('depth', { min: 0 })
      read.section('list')
      read.number('absent', { above: 0 })
      read.check(false, 'size: 32.5 does not divide by 4')
    })
    expect(problems).toEqual([
      'size: expected an integer of at least 1, got 32.5',
      'rate: expected a number of at least 0 and below 1, got 5',
      'on: expected true or false, got "true"',
      'name: expected a text, got 3',
      "kind: expected 'a' or 'c', got \"b\"",
      'ids: expected a list of integers of at least 0, got [1,"2"]',
      'pattern: expected numbers by name, got {"a":"x"}',
      'inner.depth: expected an integer of at least 0, got -1',
      'list: expected an object, got [1]',
      'absent: expected a number above 0, got none',
      'size: 32.5 does not divide by 4',
    ])
  })

  it('refuses a setting that asks for what is not done, and says the way out', () => {
    const use = (read: SettingsReader): void => {
      read.off('beams', [1], 'leave it out')
      read.off('config', [{}, false])
      read.off('extra', [])
    }
    expect(problemsOf({ beams: 1, config: {}, extra: null }, use)).toEqual([])
    expect(problemsOf({ beams: 4, config: { a: 1 }, extra: 0 }, use)).toEqual([
      'beams: expected 1, got 4, which is not supported; leave it out',
      'config: expected {} or false, got {"a":1}, which is not supported',
      'extra: expected none, got 0, which is not supported',
    ])
  })

  it('cuts a value that is long, and shows none that is nested without end', () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    const [long = '', nested = ''] = problemsOf({ long: 'x'.repeat(10_000), nested: deep }, (read) => {
      read.integer('long')
      read.integer('nested')
    })
    expect(long).toBe(`long: expected an integer, got "${'x'.repeat(119)}… (10002 characters)`)
    expect(nested).toBe('nested: expected an integer, got an object that cannot be shown')
  })
})
