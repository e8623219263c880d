import type { Limits } from '../base/token-input.ts'
import { shown } from '../errors.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { few, isNatural } from './problems.ts'

/** A class by its number or its name, or a number that is to be learned; −100 stands for none. */
export type Label = number | string

/** Rows of what a model takes, such as token ids, with what is to be learned of them; everything is indexed by row. */
export interface Examples {
  /** Token ids of each row, of any length from 1. */
  readonly ids?: readonly ArrayLike<number>[]
  /** Segment of each token, where the model has segments. */
  readonly typeIds?: readonly ArrayLike<number>[]
  /** Picture of each row: channels × height × width. */
  readonly pixels?: readonly ArrayLike<number>[]
  /** Encoder-decoder: token ids that the decoder is given in each row. */
  readonly decoderIds?: readonly ArrayLike<number>[]
  /**
   * Sequence classification: class of each row, by its number or its name; −100 for a row that does not count. Of a regression its
   * number, or one for each output; of several labels a row 1 or 0 for each label, or the names of those that it has. Several numbers may
   * have the names of the model's labels, `{ quality: 3, price: 1 }`: then their order does not matter.
   */
  readonly labels?: ArrayLike<Label> | readonly ArrayLike<Label>[] | readonly Readonly<Record<string, number>>[]
  /**
   * Token classification: class of each token of each row; −100 for one that does not count, such as a special token. LMs:
   * the token that is to be found at each place; a causal LM's own ids count where it is left out, and −100 on a prompt
   * trains on the answer alone. Of an encoder-decoder for each token of the decoder.
   */
  readonly tokenLabels?: readonly ArrayLike<Label>[]
  /** Encoder-decoder: token ids of the text to write for each row; the decoder is given them one place later, as transformers does with its labels. */
  readonly targets?: readonly ArrayLike<number>[]
  /** Question answering: first and last token of each row's answer; −100 for a side that does not count. */
  readonly spans?: readonly (readonly [first: number, last: number])[]
  /** Sentence embedding: token ids of the text that belongs to each row; every other row's is one that does not. With `scores`: of the other text of the pair. */
  readonly positives?: readonly ArrayLike<number>[]
  /** Beside positives: one text for each row, or several, that look as if they belonged to it and do not; they are no other row's either. */
  readonly negatives?: readonly (ArrayLike<number> | readonly ArrayLike<number>[])[]
  /** Beside positives: how alike the texts of each pair are; for the losses `cosineSimilarity` and `coSent`. */
  readonly scores?: ArrayLike<number>
}

/** What of the examples a model is given. */
export const INPUTS = ['ids', 'typeIds', 'pixels', 'decoderIds'] as const

/** The examples without what is to be learned. */
export function inputsOf(examples: Examples): Examples {
  return Object.fromEntries(INPUTS.flatMap((name) => (examples[name] === undefined ? [] : [[name, examples[name]]])))
}

/** The negatives of a row. */
export function negativesOf({ negatives }: Examples, row: number): readonly ArrayLike<number>[] {
  const own = negatives?.[row] ?? []
  return own.length === 0 ? [] : typeof own[0] === 'object' ? (own as readonly ArrayLike<number>[]) : [own as ArrayLike<number>]
}

export function rowCount({ ids, pixels }: Examples): number {
  return (ids ?? pixels ?? []).length
}

/** The tokens of a row that is known to exist. */
export function tokens(source: readonly ArrayLike<number>[], row: number): ArrayLike<number> {
  return source[row] as ArrayLike<number>
}

/** What a model allows, and how many of its positions are taken before a text, by virtual tokens. */
type Room = Limits & { readonly taken: number }

/** What labels must be, where it is known: classes below a number, or numbers. */
interface LabelRules {
  readonly classes?: number
  readonly numeric?: boolean
  /** Of numbers: the least and the most. */
  readonly between?: readonly [least: number, most: number]
}

/**
 * All that is wrong with the examples.
 *
 * @param limits what the model allows, where it is known
 */
export function checkExamples(examples: Examples, { classes, numeric = false, between }: LabelRules, limits?: Room): string[] {
  const { ids = [], typeIds, positives, pixels, decoderIds, targets } = examples
  const shapes = checkShapes(examples)
  if (shapes.length > 0) return shapes
  const rows = rowCount(examples)
  if (rows === 0) return ['ids: expected at least one row, got an empty data set']
  const given = (['labels', 'tokenLabels', 'spans', 'positives', 'targets'] as const).filter((name) => examples[name] !== undefined)
  const alone = (['negatives', 'scores'] as const).filter((name) => positives === undefined && examples[name] !== undefined)
  const problems = [...checkTokens('ids', rowTexts(ids)), ...alone.map((name) => `${name}: expected positives beside them, the other text of each row`)]
  if (pixels !== undefined) {
    problems.push(...checkCount('pixels', pixels.length, rows), ...report('pixels that are not finite numbers', pixels.flatMap((row, i) => firstWrong(row, i, Number.isFinite, 'number'))))
  }
  if (decoderIds !== undefined) problems.push(...checkCount('decoderIds', decoderIds.length, rows), ...checkTokens('decoderIds', rowTexts(decoderIds)))
  if (targets !== undefined) problems.push(...checkCount('targets', targets.length, rows), ...checkTokens('targets', rowTexts(targets)))
  if (targets !== undefined && decoderIds !== undefined) problems.push('targets, decoderIds: expected one of them; what the decoder is given follows from its targets')
  if (typeIds !== undefined) problems.push(...checkBeside('typeIds', typeIds, ids, 'natural numbers', isNatural))
  if (given.length > 1) problems.push(`${given.join(', ')}: expected one of them, for one task`)
  problems.push(...(numeric ? checkNumbers(examples, classes, between) : checkLabels(examples, classes)), ...checkTokenLabels(examples, classes), ...checkSpans(examples))
  if (limits !== undefined) problems.push(...checkLimits(examples, limits))
  if (positives !== undefined) {
    problems.push(...checkCount('positives', positives.length, rows), ...checkTokens('positives', rowTexts(positives)), ...checkPairs(examples, between))
    if (typeIds !== undefined) problems.push('typeIds: expected none beside positives; the two texts of a pair are rows of their own')
  }
  return problems
}

/** What stands beside positives. */
function checkPairs(examples: Examples, [least, most]: readonly [number, number] = [-Infinity, Infinity]): string[] {
  const { negatives, scores } = examples
  const rows = rowCount(examples)
  const problems = negatives === undefined ? [] : [...checkCount('negatives', negatives.length, rows), ...checkTokens('negatives', negativeTexts(examples))]
  if (scores === undefined) return problems
  const without = (isRight: (score: number) => boolean): string[] => Array.from(scores).flatMap((score, row) => (isRight(score) ? [] : [`${shown(score)} in row ${row}`]))
  problems.push(
    ...checkCount('scores', scores.length, rows), ...report('scores that are not finite numbers', without(Number.isFinite)),
    ...report(`scores that are not from ${least} to ${most}, as cosines are; divide them by the highest, or take coSent(), which goes by their order`,
      without((score) => !Number.isFinite(score) || (score >= least && score <= most))),
  )
  if (negatives !== undefined) problems.push('negatives: expected none beside scores; a pair that does not belong together is one with a low score')
  return problems
}

/** That something was given in place of rows, also what makes them or holds them. */
export function notRows(examples: unknown): string | undefined {
  if (examples instanceof Promise) return 'expected rows, as in { ids, labels }, got a Promise of them; write `await` before what makes them'
  if (Array.isArray(examples)) return `expected rows, as in { ids, labels }, got the list ${shown(examples)}; of texts, tokenizer.encode(texts) makes rows`
  if (typeof examples !== 'object' || examples === null) return `expected rows, as in { ids, labels }, got ${shown(examples)}`
  return 'examples' in examples ? 'expected rows, as in { ids, labels }, got what readExamples gives; the rows are its `examples`' : undefined
}

/** What is no row of numbers at all. */
function checkShapes(examples: Examples): string[] {
  const isArray = (value: unknown): boolean => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
  const strange = notRows(examples)
  if (strange !== undefined) return [strange]
  const { ids, labels } = examples
  const needed = examples.pixels === undefined ? 'ids' : 'pixels'
  const ofRows = ([...INPUTS, 'tokenLabels', 'spans', 'positives', 'negatives', 'targets'] as const).flatMap((name) => {
    const rows: unknown = examples[name]
    if (rows === undefined && name !== needed) return []
    if (!Array.isArray(rows)) return [`${name}: expected a list of rows, got ${shown(rows)}`]
    return report(`${name} that are no rows of numbers`, Array.from(rows as readonly unknown[], (row, i) => (isArray(row) ? '' : `${shown(row)} in place of row ${i}`)).filter((text) => text !== ''))
  })
  const oneEach = labels === undefined || isArray(labels) ? [] : [`labels: expected ${Array.isArray(ids) ? ids.length : 'one for each row'} numbers, got ${shown(labels)}`]
  return [...ofRows, ...oneEach]
}

function checkLimits(examples: Examples, { vocabSize, maxLength: positions, taken, types }: Room): string[] {
  const { ids = [], typeIds = [], positives = [], targets = [] } = examples
  const maxLength = positions - taken
  const left = taken === 0 ? '' : ` that ${taken} virtual tokens leave of ${positions}`
  const ofRows = (texts: readonly Text[], below: number): string[] =>
    texts.flatMap(([row, values]) => firstWrong(values, row, (value) => !isNatural(value) || (value as number) < below)) // others are told by themselves
  return [
    ...Object.entries({ ids: rowTexts(ids), positives: rowTexts(positives), negatives: negativeTexts(examples), targets: rowTexts(targets) }).flatMap(([name, texts]) => [
      ...report(`${name} outside the vocabulary of ${vocabSize}; are they this model's tokenizer's`, ofRows(texts, vocabSize)),
      ...report(`${name} longer than the ${maxLength} positions of the model${left}; truncate them (maxLength: ${maxLength})`,
        texts.flatMap(([row, { length }]) => (length > maxLength ? [`${length} in row ${row}`] : []))),
    ]),
    ...(types === undefined ? [] : report(`typeIds that are not one of the model's ${types} segments`, ofRows(rowTexts(typeIds), types))),
  ]
}

/** A text and its row. */
type Text = readonly [row: number, ids: ArrayLike<number>]

function rowTexts(source: readonly ArrayLike<number>[]): readonly Text[] {
  return Array.from(source, (ids, row) => [row, ids] as const)
}

function negativeTexts(examples: Examples): readonly Text[] {
  return Array.from({ length: rowCount(examples) }, (_, row) => negativesOf(examples, row).map((ids) => [row, ids] as const)).flat()
}

function checkTokens(name: string, texts: readonly Text[]): string[] {
  return [
    ...report(name === 'ids' ? 'rows without a token' : `${name} without a token`, texts.flatMap(([row, { length }]) => (length === 0 ? [row] : []))),
    ...report(`${name} that are not natural numbers`, texts.flatMap(([row, ids]) => firstWrong(ids, row, isNatural))),
  ]
}

/** One number for each token. */
function checkBeside(
  name: string, values: readonly ArrayLike<Label>[], ids: readonly ArrayLike<number>[], expected: string, isRight: (value: number | undefined) => boolean,
): string[] {
  const both = Array.from(ids.keys()).slice(0, values.length)
  return [
    ...(values.length === ids.length ? [] : [`${name}: expected ${ids.length} rows as in ids, got ${values.length}`]),
    ...report(`${name} that are not ${expected}`, both.flatMap((row) => firstWrong(values[row] ?? [], row, isRight))),
    ...report(`${name} not as long as their ids`, both
      .filter((row) => values[row]?.length !== tokens(ids, row).length)
      .map((row) => `${values[row]?.length ?? 0} for ${tokens(ids, row).length} in row ${row}`)),
  ]
}

function checkLabels(examples: Examples, classes: number | undefined): string[] {
  const { labels } = examples
  if (labels === undefined) return []
  const known = Array.from({ length: Math.min(rowCount(examples), labels.length) }, (_, row) => row)
  const isMissing = (row: number): boolean => labels[row] === undefined || Number.isNaN(labels[row])
  return [
    ...checkCount('labels', labels.length, rowCount(examples)),
    ...report('rows without a label', known.filter(isMissing)),
    ...report(`labels that are not ${range(classes)}${meantAs(labels)}`, known
      .filter((row) => !isMissing(row) && labels[row] !== IGNORED_LABEL && !isClass(labels[row], classes))
      .map((row) => `${shown(labels[row])} in row ${row}`)),
  ]
}

/** What a model is for whose labels have another form than classes. */
function meantAs(labels: NonNullable<Examples['labels']>): string {
  const all: readonly unknown[] = Array.from(labels as ArrayLike<unknown>)
  const loadedFor = (problemType: string): string => ` are for a model loaded with { problemType: '${problemType}' }`
  if (all.some((label) => Array.isArray(label) || ArrayBuffer.isView(label))) return ` (several for a row${loadedFor('multi_label_classification')})`
  const isNumber = (label: unknown): boolean => (typeof label === 'number' ? Number.isFinite(label) && !Number.isInteger(label) : typeof label === 'object' && label !== null)
  return all.some(isNumber) ? ` (numbers to learn${loadedFor('regression')})` : ''
}

/** One number, or several, for each row. */
function checkNumbers(examples: Examples, outputs: number | undefined, [least, most]: readonly [number, number] = [-Infinity, Infinity]): string[] {
  const { labels } = examples
  if (labels === undefined) return []
  const rows = Array.from(labels as ArrayLike<Label | ArrayLike<Label>>, numbersOf)
  const known = Array.from(rows.keys()).slice(0, rowCount(examples))
  const each = outputs ?? rows[0]?.length ?? 1
  return [
    ...checkCount('labels', rows.length, rowCount(examples)),
    ...report(`rows without ${each} ${each === 1 ? 'number' : 'numbers'} as labels${each > 1 && rows.every(({ length }) => length === 1) ? ' (a list for each row)' : ''}`, known
      .filter((row) => rows[row]?.length !== each)
      .map((row) => `${rows[row]?.length ?? 0} in row ${row}`)),
    ...report(least === -Infinity ? 'labels that are not finite numbers' : `labels that are not numbers from ${least} to ${most}`, known.flatMap((row) =>
      firstWrong(rows[row] ?? [], row, (value = NaN) => Number.isFinite(value) && value >= least && value <= most, 'label'))),
  ]
}

/** A row's labels as a list; where they are names, `withClassNumbers` comes first. */
export function numbersOf(labels: Label | ArrayLike<Label> | Readonly<Record<string, number>>): ArrayLike<number> {
  return (typeof labels === 'object' ? labels : [labels]) as ArrayLike<number>
}

function checkTokenLabels({ ids = [], decoderIds, tokenLabels }: Examples, classes: number | undefined): string[] {
  if (tokenLabels === undefined) return []
  const expected = `${range(classes)} or ${IGNORED_LABEL}`
  return checkBeside('tokenLabels', tokenLabels, decoderIds ?? ids, expected, (label) => label === IGNORED_LABEL || isClass(label, classes))
}

function checkSpans({ ids = [], spans }: Examples): string[] {
  if (spans === undefined) return []
  const isWrong = (row: number): boolean => {
    const [first, last] = spans[row] as readonly [number, number] // the row is below their number
    const length = tokens(ids, row).length
    const isInside = (side: number): boolean => side === IGNORED_LABEL || (isNatural(side) && side < length)
    return !isInside(first) || !isInside(last) || (first > last && last !== IGNORED_LABEL)
  }
  return [
    ...checkCount('spans', spans.length, ids.length),
    ...report('spans that do not lie in their row, first token before last', Array.from(ids.keys()).slice(0, spans.length)
      .filter(isWrong)
      .map((row) => `[${String(spans[row])}] in row ${row} of ${tokens(ids, row).length} tokens`)),
  ]
}

function checkCount(name: string, count: number, rows: number): string[] {
  return count === rows ? [] : [`${name}: expected ${rows}, one per row, got ${count}`]
}

function range(classes: number | undefined): string {
  return classes === undefined ? 'natural numbers' : `integers from 0 to ${classes - 1}`
}

function isClass(label: unknown, classes: number | undefined): boolean {
  return typeof label === 'number' && isNatural(label) && label < (classes ?? Infinity)
}

/** The first number of a row that is not right, if there is one. */
function firstWrong(values: ArrayLike<Label>, row: number, isRight: (value: number | undefined) => boolean, what = 'token'): string[] {
  for (let i = 0; i < values.length; i++) {
    if (!isRight(values[i] as number | undefined)) return [`${shown(values[i])} at ${what} ${i} of row ${row}`]
  }
  return []
}

function report(what: string, offenders: readonly (string | number)[]): string[] {
  return offenders.length === 0 ? [] : [`${what}: ${few(offenders)}`]
}
