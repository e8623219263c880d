import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { fromOniguruma } from '../../../src/base/tokenizer/oniguruma.ts'
import { goldenPath } from '../../golden.ts'

type Places = readonly (readonly [start: number, end: number])[]

const { texts, patterns } = JSON.parse(await readFile(goldenPath('tokenizer/oniguruma.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly patterns: Readonly<Record<string, readonly Places[]>>
}

/** In characters, as Python counts; what is empty splits nothing. */
function places(pattern: string, text: string): Places {
  const count = (part: string): number => Array.from(part).length
  return Array.from(text.matchAll(fromOniguruma(pattern)), ({ index, 0: found }) => [count(text.slice(0, index)), count(text.slice(0, index) + found)] as const)
    .filter(([start, end]) => end > start)
}

describe('an expression of Oniguruma', () => {
  it.each(Object.entries(patterns))('%s is found where Python finds it', (pattern, expected) => {
    expect(texts.map((text) => places(pattern, text))).toEqual(expected)
  })

  it.each([
    ['\\Ra', '\\R at character 2'], ['a\\G', '\\G at character 3'], ['(a)\\1', '\\1 at character 5'], ['(?m:a.b)', 'the group (?m: at character 1'],
    ['\\p{Nothing}', 'the property Nothing at character 11'], ['(?i:\\p{Lu})', 'the property Lu without regard to case at character 10'],
    ['[[:nothing:]]', '[:nothing:] at character 12'], ['(a', 'a group that nothing closes at character 2'], ['a)', 'a parenthesis that nothing opens at character 1'],
    ['[a', 'an expression that ends too early at character 2'], ['+a', 'nothing to repeat at character 0'],
    ['(?i:[\\x{0}-\\x{FFFF}])', 'a range of 65536 characters without regard to case at character 19'],
  ])('%s is refused by name', (pattern, problem) => {
    expect(() => fromOniguruma(pattern)).toThrow(new SyntaxError(problem))
  })
})
