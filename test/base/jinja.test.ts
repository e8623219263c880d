// Against transformers' own environment of jinja2: golden/make_jinja.py.

import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { TemplateError, templateFrom } from '../../src/base/jinja/template.ts'
import { goldenPath } from '../golden.ts'

interface Result {
  readonly text?: string
  /** Python's name of it. */
  readonly error?: string
}

interface Golden {
  readonly variables: Readonly<Record<string, unknown>>
  readonly cases: readonly (Result & { readonly template: string })[]
  readonly conversations: readonly unknown[]
  readonly chats: readonly (Result & { readonly template: string; readonly messages: number; readonly tools: unknown; readonly more: object })[]
}

const golden = JSON.parse(await readFile(goldenPath('generation/jinja.json'), 'utf8')) as Golden

/** What a template writes, or that it is refused. */
function written(text: string, variables: Readonly<Record<string, unknown>>): string | { readonly refused: string } {
  try {
    return templateFrom(text)(variables)
  } catch (error) {
    if (!(error instanceof TemplateError || error instanceof SyntaxError)) throw error
    return { refused: error.message }
  }
}

/** What Python does and is refused here, by its name. */
const refused = /not supported|larger than|too large|cannot be printed/

describe('a template', () => {
  it.each(golden.cases.map((each) => [JSON.stringify(each.template), each] as const))('writes %s as in Python, or is refused', (_, { template, text }) => {
    const own = written(template, golden.variables)
    if (typeof own === 'string' || text === undefined) expect(typeof own === 'string' ? own : undefined).toBe(text)
    else expect(own.refused).toMatch(refused)
  })
})

describe('a chat template', () => {
  const names = [...new Set(golden.chats.map(({ template }) => template))]
  it.each(names)('in the style of %s writes every conversation as transformers does', async (name) => {
    const template = templateFrom(await readFile(goldenPath(`generation/templates/${name}.jinja`), 'utf8'))
    for (const { messages, tools, more, text } of golden.chats.filter((each) => each.template === name)) {
      const given = { bos_token: '<s>', eos_token: '</s>', add_generation_prompt: false, ...more, messages: golden.conversations[messages], tools, documents: null }
      let own: string | undefined
      try {
        own = template(given)
      } catch (error) {
        expect(error).toBeInstanceOf(TemplateError)
      }
      expect([JSON.stringify(given), own]).toEqual([JSON.stringify(given), text])
    }
  })
})

describe('a template that goes on', () => {
  const loop = (depth: number): string => Array.from({ length: depth }, (_, i) => `{% for x${i} in range(1000) %}`).join('') + '{% endfor %}'.repeat(depth)

  it.each([
    [loop(3), 'it takes more than 20,000,000 steps and is given up'],
    ["{% set ns = namespace(t='aa') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}", 'it takes more than 20,000,000 steps and is given up'],
    ["{{ 'a' * 100000000000 }}", 'it takes more than 20,000,000 steps and is given up'],
    ['{{ [0] * 100000000000 }}', 'it takes more than 20,000,000 steps and is given up'],
    ['{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', 'more than 200 calls and blocks inside each other'],
    ['{{ range(100001) }}', 'Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).'],
    ['{{ 9007199254740991 + 1 }}', '9007199254740991 + 1 is larger than a template can count here'],
  ])('is given up: %s', (text, message) => {
    expect(() => templateFrom(text)({})).toThrow(new TemplateError(message))
  })

  it.each([
    [`{{ ${'('.repeat(300)}1${')'.repeat(300)} }}`, /^more than 200 levels inside each other, line 1$/],
    ['{% include "a" %}', /^the block 'include' is not supported; known are for, if, set, macro, call, filter, with, raw, generation, break, continue, line 1$/],
    ["{{ x|random }}{{ 1 is prime }}", /^not supported: the filter 'random', the test 'prime'$/],
    ['a\n{{ x', /^a tag has no end, line 2$/],
  ])('cannot be read: %#', (text, message) => {
    expect(() => templateFrom(text)).toThrow(message)
  })

  it('prints the time as Python does', () => {
    expect(templateFrom("{{ strftime_now('%Y-%m-%d') }}")({})).toMatch(/^\d{4}-\d\d-\d\d$/)
    expect(templateFrom("{{ strftime_now('%d %b %Y, %A %-d %%') }}")({})).toMatch(/^\d\d [A-Z][a-z]{2} \d{4}, [A-Z][a-z]+day [1-9]\d? %$/)
  })
})
