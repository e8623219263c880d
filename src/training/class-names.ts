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
