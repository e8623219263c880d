// Which modules HF PEFT takes by the settings of a file: `check_target_module_exists` and `get_pattern_key` of PEFT 0.21.2.

import { moduleNames, pathEnd, type Named } from './module-names.ts'
import { pythonPattern } from '../python-regex/pattern.ts'
import type { FileRules, Selection } from './selection.ts'

/** The fields of a file that name modules. */
export interface SelectionFields {
  readonly target_modules: readonly string[] | string
  readonly exclude_modules: readonly string[] | string | null
  readonly layers_to_transform: readonly number[] | null
  readonly layers_pattern: readonly string[] | null
}

/** @param allLinear names of what 'all-linear' stands for */
export function takenInFile(selection: Selection, { layersPattern, inFull }: Omit<FileRules, 'file'>, allLinear: readonly string[] = []): (name: string) => boolean {
  const { targets = [], exclude = [], layers = [] } = selection
  const excluded = named(exclude)
  const trained = inFull.map((module) => pythonPattern(`(^|.*\\.)${module}($|\\..*)`))
  const names = typeof targets === 'string' && targets.toLowerCase() === 'all-linear' ? allLinear : targets
  const wanted = named(names)
  const layerOf = layerFinder(layersPattern)
  return (name) => {
    if (excluded(name) || trained.some((module) => module.starts(name)) || !wanted(name)) return false
    if (layers.length === 0 || typeof names === 'string' || names.includes(name)) return true // a whole path is taken in any layer
    const layer = layerOf(name)
    return layer !== undefined && layers.includes(layer)
  }
}

function named(rule: readonly string[] | string): (name: string) => boolean {
  if (rule === '') return () => false
  if (typeof rule === 'string') return pythonPattern(rule).fits
  const ends = rule.map(pathEnd)
  return (name) => ends.some((fits) => fits(name))
}

/** PEFT's expressions for the layer a module is in. */
export function layerExpressions(layersPattern: readonly string[]): readonly string[] {
  if (layersPattern.length === 0) return ['.*?\\.[^.]*\\.(?P<idx>\\d+)\\.']
  return layersPattern.map((pattern) => `(?:^|.*?\\.)${pattern}\\.(?P<idx>\\d+)\\.`)
}

function layerFinder(layersPattern: readonly string[]): (name: string) => number | undefined {
  const expressions = layerExpressions(layersPattern).map(pythonPattern)
  return (name) => {
    const found = expressions.find((expression) => expression.starts(name))?.groups(name)?.['idx']
    return found === undefined ? undefined : Number(found)
  }
}

/** What a file names and no module of the model has, a line each. */
export function idleInFile(selection: Selection, modules: readonly Named[]): string[] {
  const { targets = [], exclude = [], layers = [], inFile } = selection
  if (inFile === undefined) return []
  const fitsNone = (test: (name: string) => boolean): boolean => !modules.some(({ name }) => test(name))
  const idle = (field: string, rule: readonly string[] | string): string[] => {
    const rules = typeof rule === 'string' ? (rule === '' || rule.toLowerCase() === 'all-linear' ? [] : [rule]) : rule
    const test = (each: string): ((name: string) => boolean) => (typeof rule === 'string' ? named(each) : pathEnd(each))
    return rules.filter((each) => fitsNone(test(each))).map((each) => `${field}: '${each}' fits no module of the model`)
  }
  const layerOf = layerFinder(inFile.layersPattern)
  return [
    ...idle('target_modules', targets),
    ...idle('exclude_modules', exclude),
    ...layers.filter((layer) => fitsNone((name) => layerOf(name) === layer)).map((layer) => `layers_to_transform: the model has no layer ${layer}`),
  ].map((problem) => `${inFile.file}: ${problem}; it has no effect, as in HF PEFT.`)
}

/**
 * The fields with which PEFT takes exactly the chosen modules: the user's own where it reads them so, else path ends.
 *
 * @param modules every module of the model @param names path ends that take the chosen ones alone
 */
export function selectionFields(
  { targets, exclude, layers, inFile }: Selection, chosen: readonly Named[], modules: readonly Named[], names: readonly string[],
): SelectionFields {
  const plain = { target_modules: names, exclude_modules: null, layers_to_transform: null, layers_pattern: null }
  if (targets === undefined || targets === 'all-linear' || (typeof targets === 'string' && layers !== undefined)) return plain
  const { layersPattern = [], inFull = [] } = inFile ?? {}
  const takes = takenInFile({ targets, ...(exclude === undefined ? {} : { exclude }), ...(layers === undefined ? {} : { layers }) }, { layersPattern, inFull })
  const taken = new Set(chosen.map(({ name }) => name))
  if (modules.some(({ name }) => takes(name) !== taken.has(name))) return plain
  return {
    target_modules: targets,
    exclude_modules: exclude ?? null,
    layers_to_transform: layers ?? null,
    layers_pattern: layersPattern.length === 0 ? null : layersPattern,
  }
}

/**
 * What patterns give a module: that of the first, in their order, that fits the end of its path.
 *
 * @example patternTable({ 'layer.1.attention.self.query': 2, query: 3 })('bert.layer.1.attention.self.query') // 2
 */
export function patternTable<T>(patterns: Readonly<Record<string, T>>): (name: string) => T | undefined {
  const rules = Object.entries(patterns).map(([pattern, value]) => ({ pattern: pythonPattern(patternExpression(pattern)), value }))
  const known = new Map<string, T | undefined>()
  return (name) => {
    if (!known.has(name)) known.set(name, rules.find(({ pattern }) => pattern.starts(name))?.value)
    return known.get(name)
  }
}

/** PEFT's expression for a key of `rank_pattern` or `alpha_pattern`. */
export function patternExpression(pattern: string): string {
  return `(.*\\.)?(${pattern})$`
}

/**
 * The patterns for a file. PEFT sorts them when it saves what it has loaded; where another order would mean another thing,
 * they are made anew.
 */
export function patternFields<T>(patterns: Readonly<Record<string, T>>, modules: readonly Named[]): Readonly<Record<string, T>> {
  const sorted = sortedRecord(patterns)
  const [own, theirs] = [patternTable(patterns), patternTable(sorted)]
  return modules.every(({ name }) => own(name) === theirs(name)) ? sorted : patternsFor(modules, own)
}

/** Patterns that give each module its value, whatever their order; none where that is undefined. */
export function patternsFor<T>(modules: readonly Named[], valueOf: (module: string) => T | undefined): Readonly<Record<string, T>> {
  const values = new Set(modules.map(({ name }) => valueOf(name)))
  const entries = [...values].flatMap((value) =>
    value === undefined ? [] : moduleNames(modules.filter(({ name }) => valueOf(name) === value), modules).map((end) => [end.replaceAll('.', '\\.'), value] as const))
  return sortedRecord(Object.fromEntries(entries))
}

function sortedRecord<T>(record: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
