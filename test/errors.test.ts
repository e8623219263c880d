// What every error of the library keeps to, whatever was put into it.

import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CheckpointError, HubError, PeftError, shown } from '../src/errors.ts'

describe('an error', () => {
  it('lists its problems one a line', () => {
    expect(new CheckpointError('Two things:', ['a', 'b']).message).toBe('Two things:\n  - a\n  - b')
    expect(new CheckpointError('One.').problems).toEqual(['One.'])
  })

  it('is printed once: its problems stand in its message', () => {
    expect(inspect(new CheckpointError('Two:', ['one', 'other'])).match(/other/g)).toHaveLength(1)
  })

  it('lists so many problems as can be read, says how many more there are, and keeps them all', () => {
    const problems = Array.from({ length: 250 }, (_, i) => `problem ${i}`)
    const error = new CheckpointError('Many:', problems)
    expect(error.message).toBe(['Many:', ...problems.slice(0, 100).map((problem) => `  - ${problem}`), '  - and 150 more'].join('\n'))
    expect(error.problems).toEqual(problems)
  })

  it('cuts what is too long to be read', () => {
    const error = new PeftError('t'.repeat(100_000), Array.from({ length: 50 }, () => 'p'.repeat(100_000)))
    expect(error.problems[0]).toBe(`${'p'.repeat(1_000)}… (100000 characters)`)
    expect(error.message.length).toBeLessThan(30_000)
    expect(error.message).toMatch(/^t{8000}… \(100000 characters\)\n {2}- p/)
    expect(error.message).toMatch(/\n {2}- and 31 more$/)
  })

  it('never shows the password of an address or a token of the Hub', () => {
    const token = `hf_${'a1B2'.repeat(9)}`
    const error = new HubError(`https://ada:love@lace@mirror.example/x?y=${token} and http://token@mirror, but https://mirror.example/@scope/x`)
    expect(error.message).toBe('https://***@mirror.example/x?y=hf_*** and http://***@mirror, but https://mirror.example/@scope/x')
    expect(error.stack).not.toContain('love')
    expect(new CheckpointError('Found:', [`token ${token}.`]).problems).toEqual(['token hf_***.'])
  })

  it('keeps names that only begin as a token does', () => {
    expect(new HubError('hf_quantizer.json, hf_model_of_a_very_long_name.json').message).toBe('hf_quantizer.json, hf_model_of_a_very_long_name.json')
  })
})

describe('a value in an error', () => {
  it('is its JSON, cut', () => {
    expect([shown({ rank: '8' }), shown(undefined), shown(2n)]).toEqual(['{"rank":"8"}', 'undefined', '2'])
    expect(shown('x'.repeat(200))).toBe(`"${'x'.repeat(119)}… (202 characters)`)
  })

  it('may be nested deeper than it can be written', () => {
    let deep: unknown = 0
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(shown(deep)).toBe('an object that cannot be shown')
  })
})
