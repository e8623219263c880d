import { describe, expect, it } from 'vitest'
import type { LinearSite, Role } from '../../../src/base/sites.ts'
import { moduleNames } from '../../../src/base/adapter/module-names.ts'
import { patternFields, patternTable, selectionFields, takenInFile } from '../../../src/base/adapter/peft-selection.ts'
import { selectLinear } from '../../../src/base/adapter/targets.ts'

const site = (name: string, role?: Role): LinearSite =>
  ({ kind: 'linear', name, inSize: 4, outSize: 4, role, weight: `${name}.weight`, bias: `${name}.bias` })

const SITES = [0, 1, 2].flatMap((i) => [
  site(`bert.layer.${i}.attention.self.query`, 'query'),
  site(`bert.layer.${i}.attention.self.value`, 'value'),
  site(`bert.layer.${i}.attention.output.dense`, 'attention-output'),
  site(`bert.layer.${i}.output.dense`, 'down'),
]).concat(site('bert.pooler.dense'), site('classifier', 'head'))

const names = (...args: Parameters<typeof selectLinear>): string[] => selectLinear(...args).map(({ name }) => name)

describe('choosing modules, by the rules of HF PEFT', () => {
  it('takes the roles of the method when nothing is named', () => {
    expect(names(SITES, {}, ['query'])).toEqual([0, 1, 2].map((i) => `bert.layer.${i}.attention.self.query`))
  })

  it('matches a name whole or as the end of a path, never inside a word', () => {
    expect(names(SITES, { targets: ['output.dense'], layers: [1] }, [])).toEqual(['bert.layer.1.attention.output.dense', 'bert.layer.1.output.dense'])
    expect(() => names(SITES, { targets: ['uery'] }, [])).toThrow("target 'uery' matches no linear module")
  })

  it('matches one text as a regular expression for the whole path', () => {
    expect(names(SITES, { targets: String.raw`.*\.[02]\.attention.*value` }, [])).toHaveLength(2)
    expect(() => names(SITES, { targets: 'value' }, [])).toThrow("target 'value' matches no linear module")
    expect(() => names(SITES, { targets: '(' }, [])).toThrow("target '(' is not a regular expression of Python: missing ), unterminated subpattern at position 0")
  })

  it("takes every product but the head for 'all-linear'", () => {
    expect(names(SITES, { targets: 'all-linear' }, [])).toEqual(SITES.slice(0, -1).map(({ name }) => name))
  })

  it('leaves out what is excluded, and modules outside the layers when layers are chosen', () => {
    const chosen = names(SITES, { targets: ['dense'], exclude: ['attention.output.dense'], layers: [0, 2] }, [])
    expect(chosen).toEqual(['bert.layer.0.output.dense', 'bert.layer.2.output.dense'])
  })

  it('reports every name that matches nothing at once, with the nearest ones', () => {
    expect(() => names(SITES, { targets: ['qurey', 'value', 'foo'], exclude: ['densse'], layers: [7] }, [])).toThrow(
      [
        'The targets do not fit the model:',
        "  - exclude 'densse' matches no linear module; did you mean dense?",
        "  - target 'qurey' matches no linear module; did you mean query?",
        "  - target 'foo' matches no linear module; the model has query, value, dense, classifier",
        '  - layer 7 does not exist',
      ].join('\n'),
    )
  })

  it('says so when nothing is left', () => {
    expect(() => names(SITES, { targets: ['query'], exclude: ['query'] }, [])).toThrow('nothing is left to train')
  })
})

describe('module names for a file', () => {
  it('are the shortest that select the same modules', () => {
    const chosen = SITES.filter(({ role }) => role === 'query' || role === 'down')
    expect(moduleNames(chosen, SITES)).toEqual([
      'query', '0.output.dense', '1.output.dense', '2.output.dense',
    ])
    expect(names(SITES, { targets: moduleNames(chosen, SITES) }, [])).toEqual(chosen.map(({ name }) => name))
  })

  it("are the user's own where there are any", () => {
    const chosen = SITES.filter(({ role }) => role === 'query')
    expect(selectionFields({ targets: ['query'] }, chosen, SITES, ['bert.query'])).toMatchObject({ target_modules: ['query'] })
  })
})

it('takes the first pattern that fits the end of a path', () => {
  const table = patternTable({ 'layer.1.attention.self.query': 2, query: 3 })
  expect(table('bert.layer.1.attention.self.query')).toBe(2)
  expect(table('bert.layer.0.attention.self.query')).toBe(3)
  expect(patternTable({ uery: 1 })('bert.layer.0.query')).toBeUndefined()
})

describe("HF PEFT's rules for the names in a file", () => {
  const taken = (selection: Parameters<typeof takenInFile>[0], layersPattern: readonly string[] = [], inFull: readonly string[] = []): string[] =>
    SITES.map(({ name }) => name).filter(takenInFile(selection, { layersPattern, inFull }))

  it('count a layer by the list it stands in, and take a whole path in any layer', () => {
    expect(taken({ targets: ['query'], layers: [1] })).toEqual(['bert.layer.1.attention.self.query'])
    expect(taken({ targets: ['query'], layers: [1] }, ['layer'])).toEqual(['bert.layer.1.attention.self.query'])
    expect(taken({ targets: ['query'], layers: [1] }, ['h'])).toEqual([])
    expect(taken({ targets: ['query'], layers: [1] }, ['h', 'lay.r'])).toEqual(['bert.layer.1.attention.self.query'])
    expect(taken({ targets: ['classifier', 'bert.layer.0.output.dense'], layers: [1] })).toEqual(['bert.layer.0.output.dense', 'classifier'])
    expect(taken({ targets: ['query'], layers: [] })).toHaveLength(3)
  })

  it('take nothing that is trained in full', () => {
    expect(taken({ targets: ['dense'], layers: [0] }, [], ['output'])).toEqual([])
    expect(taken({ targets: '.*(pooler.dense|classifier)' }, [], ['classifier', 'score'])).toEqual(['bert.pooler.dense'])
  })
})

describe('patterns for a file', () => {
  it("are the user's own, sorted, where PEFT may sort them", () => {
    expect(Object.keys(patternFields({ value: 3, query: 2 }, SITES))).toEqual(['query', 'value'])
  })

  it('are made anew where another order would mean another thing', () => {
    const patterns = { query: 3, 'layer.1.attention.self.query': 2, '.*query': 5 }
    expect(patternFields(patterns, SITES)).toEqual({ query: 3 })
    const first = { 'layer.1.attention.self.query': 2, '.*query': 3 }
    expect(patternFields(first, SITES)).toEqual({ '0\\.attention\\.self\\.query': 3, '1\\.attention\\.self\\.query': 2, '2\\.attention\\.self\\.query': 3 })
  })
})
