// Rows of a data set, read and checked: what a model is given of each, and what is wrong with them.

import type { Picture } from '../base/image/picture.ts'
import { whereOf } from '../data/where.ts'
import { InputError, shown } from '../errors.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { meantBy } from './class-names.ts'
import { conversationOf, type Conversation } from './conversations.ts'
import type { Label } from './examples.ts'
import { few } from './problems.ts'
import { BESIDE_POSITIVE, INPUTS, inputOf, TARGETS, targetOf, type Column, type RowOptions, type Target } from './row-options.ts'
import { answerOf, classOf, isFound, isMissing, listed, listOf, MISSING, numberOf, pictureOf, sortedNames, textOf, Wrong, type Answer, type Found } from './row-values.ts'

/** What a row has for a model. */
export interface ReadRow {
  /** A text, a pair of texts, words, or a conversation; undefined beside a picture alone. */
  readonly input: string | readonly string[] | Conversation | undefined
  readonly picture: Picture | undefined
  /** Where it stands, as errors say it. */
  readonly where: string
  /** Of what is learned: the class or classes by name, numbers, the answer, the text to write, or what belongs to it. */
  readonly target: Label | readonly Label[] | Answer | Partner | undefined
}

/** The text that belongs to a row's, and what is said of it. */
export interface Partner {
  readonly positive: string
  readonly negatives: readonly string[]
  readonly score: number
}

/** What was seen of the rows of a data set. */
export interface ReadResult {
  /** Names of the classes by their number, or of the numbers of a regression: what `loadModel` takes as `labels`. */
  readonly labels: readonly string[]
  /** Rows of each class, of `tags` words; `console.table` prints them. Those without a class that counts are under `(none)`. */
  readonly counts: Readonly<Record<string, number>>
  /** Rows that were left out because they lack something. */
  readonly dropped: number
  /** What else one should know: which rows were left out, names of classes that differ by case alone, and of `readExamples` how many texts were cut. */
  readonly warnings: readonly string[]
}

/** Reads rows, and keeps count of what it sees. */
export interface RowReader<Row> {
  /** @param number of the row, for one that does not know where it comes from @returns undefined where it cannot be used */
  read(row: Row, number: number): ReadRow | undefined
  /** @throws InputError with all that was wrong so far */
  check(): void
  /** What it has seen. */
  result(): ReadResult
}

/** Offenders by what is wrong with them. */
type Problems = Map<string, string[]>

/** @param caller as errors name it */
export function rowReader<Row>(caller: string, options: RowOptions<Row>): RowReader<Row> {
  const { missing = 'error', labels: given } = options
  const kind = targetOf(options)
  const inputName = { text: 'text', words: 'words', messages: 'messages with an answer' }[inputOf(options) ?? 'text']
  const ofClasses = kind === 'label' || kind === 'labelSet' || kind === 'tags'
  const classes = new Map<Label, number>()
  const lacking: Problems = new Map()
  const wrong: Problems = new Map()
  const unseen = new Set(columnsOf(options))
  let has: readonly string[] = [] // columns of the first row
  let [rows, bad, dropped, outputs] = [0, 0, 0, 0]

  const read = (row: Row, number: number): ReadRow | undefined => {
    if (rows++ === 0) has = Object.keys(row as object)
    for (const column of unseen) if (column in (row as object)) unseen.delete(column)
    const where = whereOf(row) ?? `row ${number}`
    const { input, picture, target } = found(row, options, kind, outputs)
    const absent = [...(input === MISSING ? [inputName] : []), ...(picture === MISSING ? ['image'] : []), ...(target === MISSING ? [kind === 'positive' && options.score !== undefined ? 'positive or score' : kind ?? ''] : [])]
    for (const name of absent) note(lacking, `${name}: none in`, where)
    if (target === MISSING && kind === 'label') count(classes, IGNORED_LABEL)
    if (absent.length > 0 && missing === 'drop') {
      dropped++
      return undefined
    }
    const strange = [input, picture, target].filter((value) => value instanceof Wrong)
    for (const { problem, got } of strange) note(wrong, problem, `${got} in ${where}`)
    if (absent.length + strange.length > 0) bad++
    if (!isFound(input) || !isFound(picture) || !isFound(target)) return undefined
    if (ofClasses) for (const label of [target].flat() as Label[]) count(classes, label)
    if (kind === 'number') outputs = (target as readonly number[]).length
    return { input, picture, where, target }
  }
  const labels = (): readonly string[] =>
    given ?? (kind === 'number' ? outputNames(options.number, outputs) : sortedNames([...classes.keys()].filter((label) => typeof label === 'string')))
  return {
    read,
    check() {
      const absent = [...unseen].map((column) => `no row has a column ${shown(column)}${meantBy(column, has)}; they have ${listed(has)}`)
      const lacks = missing === 'error' && absent.length === 0 ? sentences(lacking) : []
      const problems = rows === 0 ? [] : [...absent, ...lacks, ...sentences(wrong)]
      const wayOut = lacks.length > 0 ? ". Mend them, or leave out those that lack something with missing: 'drop'" : ''
      if (problems.length > 0) throw new InputError(`${caller}: ${bad + dropped} of ${rows} rows cannot be used${wayOut}:`, problems)
      if (rows > 0 && dropped === rows) throw new InputError(`${caller}: each of ${rows} rows lacks something:`, sentences(lacking))
      const lonely = given === undefined && (kind === 'label' || kind === 'labelSet') ? lonelyClasses(kind, classes) : undefined
      if (lonely !== undefined) throw new InputError(`${caller}: ${lonely}`)
    },
    result() {
      const none = classes.get(IGNORED_LABEL) ?? 0
      return {
        labels: labels(), dropped,
        counts: { ...Object.fromEntries((ofClasses ? labels() : []).map((label) => [label, classes.get(label) ?? 0])), ...(none > 0 ? { '(none)': none } : {}) },
        warnings: [
          ...(dropped === 0 ? [] : [`${dropped} of ${rows} rows were left out: ${sentences(lacking).join('; ')}`]),
          ...(ofClasses && given === undefined ? strangeClasses(labels()) : []),
          ...(ofClasses && rows > dropped && classes.size === 0 ? [`no row has a label: each ${kind} is an empty list`] : []),
          ...(kind === 'tags' && given === undefined && labels().some((label) => ENTITY.test(label)) && !labels().includes('O') ? [`no tag is "O", for a word that is nothing: ${listed(labels())} are all of entities`] : []),
        ],
      }
    },
  }
}

/** Whether a row lacks what the options ask for. */
export function lacksSomething<Row>(row: Row, options: RowOptions<Row>): boolean {
  return Object.values(found(row, options, targetOf(options), 0)).includes(MISSING)
}

/** @throws InputError where a function of the row fails, which says nothing of which row it was */
function valueOf<Row>(row: Row, column: Column<Row>): unknown {
  if (typeof column !== 'function') return row[column]
  try {
    return column(row)
  } catch (cause) {
    throw new InputError(`The function of a row fails at ${whereOf(row) ?? shown(row)}: ${cause instanceof Error ? cause.message : String(cause)}`, [], { cause })
  }
}

type FoundRow = { readonly [Part in 'input' | 'picture' | 'target']: Found<ReadRow[Part]> }

/** @param outputs numbers of the rows before, 0 where there are none */
function found<Row>(row: Row, options: RowOptions<Row>, kind: Target | undefined, outputs: number): FoundRow {
  const { text, words, messages, image, labels } = options
  const valuesOf = (columns: Column<Row> | readonly Column<Row>[]): unknown => (isList(columns) ? columns.map((column) => valueOf(row, column)) : valueOf(row, columns))
  const classIn = (value: unknown): Found<Label> => classOf(value, labels)
  const inputs: Readonly<Record<(typeof INPUTS)[number], () => Found<ReadRow['input']>>> = {
    text: () => textsOf(valuesOf(text as Column<Row>)),
    words: () => listOf(valuesOf(words as Column<Row>), wordOf),
    messages: () => conversationOf(valuesOf(messages as Column<Row>)),
  }
  const kindOfInput = inputOf(options)
  const input = kindOfInput === undefined ? undefined : named(kindOfInput, inputs[kindOfInput]())
  const picture = image === undefined ? undefined : named('image', pictureOf(valueOf(row, image)))
  const given = kind === undefined ? undefined : valuesOf(options[kind] as Column<Row>)
  const targets: Readonly<Record<Target, () => Found<ReadRow['target']>>> = {
    label: () => (isList(given) ? new Wrong('expected a text or a number; lists of labels are for labelSet; got', shown(given)) : classIn(given)),
    labelSet: () => listOf(given, classIn),
    tags: () => ofLength(listOf(given, classIn), isFound(input) ? input?.length : undefined, 'word'),
    number: () => ofLength(listOf(isList(given) ? given : [given], numberOf), outputs === 0 ? undefined : outputs, 'number of the first row'),
    target: () => textOf(given),
    answer: () => answerOf(given, isFound(input) ? (input?.[1] as string | undefined) ?? '' : ''),
    positive: () => partnerOf(given, options.negative && valuesOf(options.negative), options.score === undefined ? NaN : numberOf(valueOf(row, options.score))),
  }
  return { input: input instanceof Array && input.length === 0 ? MISSING : input, picture, target: kind === undefined ? undefined : kind === 'positive' ? targets.positive() : named(kind, targets[kind]()) }
}

function textsOf(value: unknown): Found<string | readonly string[]> {
  const pair = isList(value) ? listOf(value, textOf) : textOf(value)
  return typeof pair === 'string' || !isFound(pair) || pair.length === 2 ? pair : new Wrong('expected a text, or a pair, got', shown(value))
}

/** @param negatives one, several, or none @param score NaN where none is asked for */
function partnerOf(text: unknown, negatives: unknown, score: Found<number>): Found<Partner> {
  const positive = named('positive', textOf(text))
  const others = named('negative', listOf([negatives].flat().filter((value) => !isMissing(value)), textOf))
  const alike = named('score', score)
  const wrong = [positive, others, alike].find((value) => value instanceof Wrong)
  if (wrong !== undefined) return wrong
  return isFound(positive) && isFound(others) && isFound(alike) ? { positive, negatives: others, score: alike } : MISSING
}

/** Words may be blank: they have their labels all the same. */
function wordOf(value: unknown): Found<string> {
  return typeof value === 'string' ? value : textOf(value)
}

function ofLength<T>(list: Found<readonly T[]>, length: number | undefined, what: string): Found<readonly T[]> {
  return !isFound(list) || length === undefined || list.length === length ? list : new Wrong(`expected one for each ${what}, got`, `${list.length} for ${length}`)
}

/** With the name of the option before the problem. */
function named<T>(option: string, value: Found<T>): Found<T> {
  return value instanceof Wrong ? new Wrong(`${option}: ${value.problem}`, value.got) : value
}

/** The columns that the options name. */
function columnsOf<Row>(options: RowOptions<Row>): string[] {
  return [...INPUTS, 'image' as const, ...TARGETS, ...BESIDE_POSITIVE].map((name) => options[name]).flat().filter((column) => typeof column === 'string')
}

function outputNames<Row>(columns: RowOptions<Row>['number'], outputs: number): string[] {
  const names = [columns].flat()
  return Array.from({ length: outputs }, (_, i) => {
    const name = names.length === outputs ? names[i] : undefined
    return typeof name === 'string' ? name : `number ${i}`
  })
}

/** Classes that may be no others: where names are one but for their case or for what cannot be seen, or stand for what is missing. */
function strangeClasses(names: readonly string[]): string[] {
  const plain = (name: string): string => name.normalize('NFKC').replace(/\p{Cf}/gu, '').trim()
  const bare = (name: string): string => (isFound(numberOf(plain(name))) ? String(Number(plain(name))) : plain(name).toLowerCase())
  const groups = new Map<string, string[]>()
  for (const name of names) groups.set(bare(name), [...groups.get(bare(name)) ?? [], name])
  const alike = [...groups.values()].filter(({ length }) => length > 1).map((group) => {
    const isOne = (of: (name: string) => string): boolean => new Set(group.map(of)).size === 1
    const what = isOne((name) => name.toLowerCase()) ? 'upper and lower case' : isOne(plain) ? 'characters that look the same or cannot be seen' : group.some((name) => isFound(numberOf(plain(name)))) ? 'how a number is written' : 'case and characters that cannot be seen'
    return `${listed(group)} are classes of their own, which differ by ${what} alone`
  })
  const none = names.filter((name) => NO_VALUE.test(name))
  return none.length === 0 ? alike : [...alike, `${listed(none)}: ${none.length === 1 ? 'a class' : 'classes'} by this name; where it stands for a missing label, leave such rows out: filterRows(data, (row) => …)`]
}

/** A tag that says that an entity begins or goes on. */
const ENTITY = /^[bi][-_]/i

/** What programs write in place of a value that is not there. */
const NO_VALUE = /^(nan|none|null|nil|undefined|n\/?a|#n\/a|<na>|-+|\?+)$/i

/** Classes of one row alone from which this many suspicion begins. */
const MANY = 10

/** That the most of the classes have one row alone, so that there is nothing to learn of them. */
function lonelyClasses(kind: Target, classes: ReadonlyMap<Label, number>): string | undefined {
  const all = [...classes].filter(([label]) => typeof label === 'string')
  const rows = all.reduce((sum, [, count]) => sum + count, 0)
  const alone = all.flatMap(([label, count]) => (count === 1 ? [String(label)] : []))
  if (alone.length < MANY || alone.length * 2 <= rows) return undefined
  const instead = alone.every((label) => isFound(numberOf(label))) ? ' Numbers that are to be learned are for `number`.' : ''
  return `${kind}: ${alone.length} of ${all.length} classes have one row alone, of ${rows} ${kind === 'label' ? 'rows' : 'labels'} in all: ${listed(alone.slice(0, 3))}, … Is it a column of ids or of texts?${instead} Where these are the classes, give them: { labels: […] }.`
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function note(problems: Problems, problem: string, offender: string): void {
  const offenders = problems.get(problem)
  if (offenders === undefined) problems.set(problem, [offender])
  else offenders.push(offender)
}

function sentences(problems: Problems): string[] {
  return [...problems].map(([problem, offenders]) => `${problem} ${few(offenders)}`)
}

function count(counts: Map<Label, number>, label: Label): void {
  counts.set(label, (counts.get(label) ?? 0) + 1)
}
