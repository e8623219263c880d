// What the values of a data set's columns stand for. A file says it in texts and numbers; what is not there, and what is none of
// these, never becomes a class, a number or a text.

import { isPicture, type Picture } from '../base/image/picture.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { shown } from '../errors.ts'
import { meantBy } from './class-names.ts'
import type { Label } from './examples.ts'

/** Undefined, null, '' or blanks alone stand in the place of a value. */
export const MISSING: unique symbol = Symbol('missing')

/** A value that stands for nothing that was asked for. */
export class Wrong {
  /** What it is not, the same for all values of a kind. */
  readonly problem: string
  /** The value, as errors show it. */
  readonly got: string

  constructor(problem: string, got: string) {
    this.problem = problem
    this.got = got
  }
}

export type Found<T> = T | typeof MISSING | Wrong

export function isFound<T>(found: Found<T>): found is T {
  return found !== MISSING && !(found instanceof Wrong)
}

/** An answer within a context: where it begins there, and its text; undefined where the context has none. */
export interface Answer {
  readonly start: number
  readonly text: string
  /** What is as right, where a data set has several. */
  readonly others: readonly unknown[]
}

export function isMissing(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'string' && value.trim() === '')
}

export function textOf(value: unknown): Found<string> {
  if (isMissing(value)) return MISSING
  return plainText(value) ?? wrong('expected a text, got', value)
}

/**
 * The name of a class, or −100 for none.
 *
 * @param labels the names that there are, of which a number may be the place; undefined where they are yet to be found
 */
export function classOf(value: unknown, labels: readonly string[] | undefined): Found<Label> {
  if (isMissing(value)) return MISSING
  const name = plainText(value)?.trim()
  if (name === undefined) return wrong('expected a text or a number, got', value)
  if (labels === undefined || labels.includes(name)) return name === String(IGNORED_LABEL) ? IGNORED_LABEL : name
  if (name === String(IGNORED_LABEL)) return IGNORED_LABEL
  const ofName = labels.every((label) => !NUMERAL.test(label))
  if (typeof value !== 'string' && ofName) return labels[Number(value)] ?? wrong(`expected the number of one of ${labels.length} classes, from 0, got`, value)
  if (NUMERAL.test(name) && ofName) {
    const names = labels.slice(0, 3).map((label, i) => `${i}: ${shown(label)}`).join(', ')
    return wrong(`expected one of ${listed(labels)}; a text is no number of a class, so say what it stands for, as in label: (row) => ({ ${names} })[row.label]; got`, value)
  }
  return new Wrong(`expected one of ${listed(labels)}, got`, `${shown(value)}${meantBy(name, labels)}`)
}

/** A number, also where it is written as a text. */
export function numberOf(value: unknown): Found<number> {
  if (isMissing(value)) return MISSING
  const text = plainText(value)?.trim() ?? ''
  return NUMERAL.test(text) ? Number(text) : wrong('expected a number, got', value)
}

/** Of each value of a list. Where one is missing, so is the list; an empty list is none that is missing. */
export function listOf<T>(value: unknown, each: (value: unknown) => Found<T>): Found<readonly T[]> {
  if (isMissing(value)) return MISSING
  if (!Array.isArray(value)) return wrong("expected a list, as String(row.column).split(' ') makes one, got", value)
  const found = value.map((item: unknown) => each(item))
  return found.find((item) => item instanceof Wrong) ?? (found.includes(MISSING) ? MISSING : found as readonly T[])
}

/** An answer as `{ text, start }`, or as SQuAD has it, `{ text: [...], answer_start: [...] }`: the first, or none. */
export function answerOf(value: unknown, context: string): Found<Answer | undefined> {
  if (isMissing(value)) return MISSING
  if (typeof value !== 'object' || value === null) return wrong('expected { text, start }, got', value)
  const { text: texts, start, answer_start: starts = start } = value as Readonly<Record<string, unknown>>
  if (Array.isArray(texts) && texts.length === 0) return undefined
  const first = (of: unknown): unknown => (Array.isArray(of) ? (of as unknown[])[0] : of)
  const text = textOf(first(texts))
  const given = numberOf(first(starts))
  if (!isFound(text)) return text
  if (given instanceof Wrong) return given
  const begin = given === MISSING ? onlyPlace(context, text) : [given, utf16Place(context, given)].find((place) => context.startsWith(text, place))
  if (begin !== undefined) return { start: begin, text, others: Array.isArray(texts) ? texts.slice(1) : [] }
  return wrong(given === MISSING ? 'expected a text that the context has once, or its start, got' : 'expected a text that stands in the context at its start, got', value)
}

/** A picture that is neither a path nor bytes is missing. */
export function pictureOf(value: unknown): Found<Picture> {
  if (isMissing(value) || (isRecord(value) && 'bytes' in value && isMissing(value['bytes']) && isMissing(value['path']))) return MISSING
  if (isPicture(value)) return value
  return new Wrong('expected the path of a picture, its bytes, or pixels, got', isRecord(value) ? `an object with ${listed(Object.keys(value))}` : shown(value))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

const NUMERAL = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/

/** The names of classes in their order: numbers by size, others as texts. */
export function sortedNames(names: Iterable<string>): string[] {
  const all = [...names]
  return all.every((name) => NUMERAL.test(name)) ? all.sort((a, b) => Number(a) - Number(b)) : all.sort()
}

export function listed(names: readonly string[]): string {
  return `${names.slice(0, 10).map(shown).join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''}`
}

function plainText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : typeof value === 'bigint' || Number.isFinite(value) ? String(value) : undefined
}

function onlyPlace(context: string, text: string): number | undefined {
  const place = context.indexOf(text)
  return place < 0 || context.includes(text, place + 1) ? undefined : place
}

/** Python counts code points. */
function utf16Place(context: string, codePoints: number): number {
  return Array.from(context).slice(0, codePoints).join('').length
}

function wrong(problem: string, value: unknown): Wrong {
  return new Wrong(problem, shown(value))
}
