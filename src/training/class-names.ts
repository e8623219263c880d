// Labels that are the names of classes, and the numbers that these have in a model.

import { nearTo } from '../base/options.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import type { TaskRecord } from '../base/tasks/task.ts'
import { shown } from '../errors.ts'
import type { Examples, Label } from './examples.ts'
import { few } from './problems.ts'

/** What a model's classes are called; a `Model` is that. */
export interface ClassNames {
  readonly labels: readonly string[]
  readonly problem?: string | undefined
  readonly record: Pick<TaskRecord, 'named' | 'numeric'>
}

/**
 * The examples with the numbers that their classes have in the model, where they have names; of several labels a row 1 or 0 for each, of
 * numbers by name those of the model's labels in their order. Where the model does not have a name, all stay: see `strangeNames`.
 */
export function withClassNumbers(model: ClassNames, examples: Examples): Examples {
  const { labels: names } = model
  const named = namesIn(model, examples)
  if (named === undefined || strangeNames(model, examples).length > 0) return examples
  const numberOf = (label: Label): Label => (label === IGNORED_LABEL ? label : names.indexOf(label as string))
  if (named.kind === 'class') return { ...examples, labels: named.rows.flat().map(numberOf) }
  if (named.kind === 'token') return { ...examples, tokenLabels: named.rows.map((row) => row.map(numberOf)) }
  if (named.kind === 'numbers') return { ...examples, labels: (examples.labels as readonly Readonly<Record<string, number>>[]).map((row) => names.map((name) => row[name] ?? NaN)) }
  return { ...examples, labels: named.rows.map((row) => names.map((name) => Number(row.includes(name)))) }
}

/** What names the model does not have, and what numbers by name do not have of the model's, as a problem each. */
export function strangeNames(model: ClassNames, examples: Examples): string[] {
  const { labels: names } = model
  const { kind, rows = [] } = namesIn(model, examples) ?? {}
  const strange = rows.flatMap((row, i) => row
    .filter((label) => typeof label === 'string' && !names.includes(label))
    .map((label) => `${shown(label)} in row ${i}${meantBy(String(label), names)}`))
  const absent = kind === 'numbers' ? rows.flatMap((row, i) => names.filter((name) => !row.includes(name)).map((name) => `${shown(name)} in row ${i}`)) : []
  return [
    ...(strange.length === 0 ? [] : [`labels that the model does not have: ${few(strange)}. It has ${names.map(shown).join(', ')}`]),
    ...(absent.length === 0 ? [] : [`labels that are not there: ${few(absent)}`]),
  ]
}

/** The names that may have been meant, for the end of a sentence. */
export function meantBy(name: string, names: readonly string[]): string {
  const near = name.length > 1 ? nearTo(name, names) : [] // nothing is near to a single letter
  return near.length === 0 ? '' : ` (did you mean ${near.map(shown).join(' or ')}?)`
}

/** How much classes count: a number for each, or by name, of those that do not count 1. */
type ClassWeights = ArrayLike<number> | Readonly<Record<string, number>>

/** The weight of each class of a model. */
export function weightsOfClasses({ labels }: ClassNames, weights: ClassWeights): ArrayLike<number> {
  return isList(weights) ? weights : labels.map((name) => weights[name] ?? 1)
}

/** What keeps classes from counting so. */
export function weightProblems(model: ClassNames, weights: ClassWeights | undefined): string[] {
  const { labels, record: { named = false, numeric = false } } = model
  if (weights === undefined) return []
  if (typeof weights !== 'object' || (weights as unknown) === null) return [`classWeights: expected a number for each class, or by their names, got ${shown(weights)}`]
  if (!named || numeric) return isList(weights) ? [] : ['classWeights: expected none by name; the model has no classes of which one is right']
  const strange = isList(weights) ? [] : Object.keys(weights).filter((name) => !labels.includes(name))
  if (strange.length > 0) return [`classWeights: classes that the model does not have: ${few(strange.map((name) => `${shown(name)}${meantBy(name, labels)}`))}. It has ${labels.map(shown).join(', ')}`]
  const all = weightsOfClasses(model, weights)
  if (all.length !== labels.length) return [`classWeights: expected ${labels.length}, one for each class, got ${all.length}; or give them by name, as in { ${shown(labels.at(-1))}: 3 }`]
  const wrong = Array.from(all as ArrayLike<unknown>).filter((weight) => !(typeof weight === 'number' && weight >= 0 && weight < Infinity))
  return wrong.length === 0 ? [] : [`classWeights: expected numbers of at least 0, got ${few(wrong.map(shown))}`]
}

function isList(weights: ClassWeights): weights is ArrayLike<number> {
  return Array.isArray(weights) || ArrayBuffer.isView(weights)
}

interface Named {
  readonly kind: 'class' | 'set' | 'token' | 'numbers'
  readonly rows: readonly (readonly Label[])[]
}

/** The names in the labels of each row, where all that count have one. */
function namesIn({ problem, record: { named = false, numeric = false } }: ClassNames, { labels, tokenLabels }: Examples): Named | undefined {
  const given: unknown = labels ?? tokenLabels
  if (!named || !Array.isArray(given)) return undefined
  const all = given as readonly unknown[]
  if (numeric && all.length > 0 && all.every(isRecord)) return { kind: 'numbers', rows: all.map(Object.keys) }
  if (numeric && problem === 'regression') return undefined // a number has no name alone
  const kind = labels === undefined ? 'token' : numeric ? 'set' : 'class'
  const rows = kind === 'class' ? all.map((label) => [label]) : all
  const isName = (label: unknown): boolean => typeof label === 'string'
  if (!rows.every((row) => Array.isArray(row) && row.every((label) => isName(label) || label === IGNORED_LABEL))) return undefined
  return rows.some((row) => (row as unknown[]).some(isName)) ? { kind, rows: rows as Label[][] } : undefined
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
}
