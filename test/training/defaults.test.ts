import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { DEFAULTS, withDefaults } from '../../src/training/trainer-options.ts'

const source = readFileSync(new URL('../../src/training/trainer-options.ts', import.meta.url), 'utf8')
/** What the docstring of each option says that holds where it is left out. */
const said = new Map([...source.matchAll(/@default ([^\s:]+)[^/]*\*\/\s+readonly (\w+)\?/g)].map(([, value, name]) => [name, value]))

it.each(Object.entries(DEFAULTS))('the docstring of %s names its default', (name, value) => {
  if (typeof value === 'number') expect(Number(said.get(name))).toBe(value)
  else if (typeof value === 'function') expect(said.get(name)).toBe(value.name)
  else expect(said.get(name)).toBe(Array.isArray(value) ? 'none' : JSON.stringify(value).replaceAll('"', "'"))
})

it('an option that is given as undefined has its default', () => {
  expect(withDefaults({ seed: undefined, batchSize: 4 })).toEqual({ ...DEFAULTS, batchSize: 4 })
})
