// What the rows of each task must have to be learned from.

import type { LossOptions } from '../base/architecture.ts'
import { positionsTaken } from '../base/adapter/positions.ts'
import type { Model } from '../base/model.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { contrastive, coSent, cosineSimilarity } from '../base/tasks/similarity.ts'
import { noLoss, recordWith, tasksWith, type TaskRecord } from '../base/tasks/task.ts'
import { paddingProblem, warnOfOtherRows } from '../base/tokenizer/own-words.ts'
import { firstOf, shown } from '../errors.ts'
import { areBatches, type BatchOptions, type BatchSource } from './batches.ts'
import { strangeNames, withClassNumbers } from './class-names.ts'
import { checkExamples, notRows, rowCount, type Examples, type Label } from './examples.ts'
import { rowOf } from './padding.ts'

const LOSSES: readonly (() => unknown)[] = [contrastive, cosineSimilarity, coSent]
const TARGETS = ['labels', 'tokenLabels', 'spans', 'positives', 'targets'] as const

/** What is missing for the task, or is of another. */
export function missingLabels({ name, target, prepare }: TaskRecord, examples: Examples): string[] {
  const given = TARGETS.filter((field) => examples[field] !== undefined)
  if (examples.scores !== undefined && target?.field !== 'scores') return ['scores: only the losses cosineSimilarity and coSent learn from them, as in { loss: coSent() }']
  const others = given.filter((field) => field !== target?.field && (prepare === undefined || field !== 'tokenLabels'))
  const ofOthers = others.map((field) => `; rows with ${field} are for a model for ${tasksWith(field)}`).join('')
  if (target !== undefined && examples[target.field] === undefined) return [`expected ${target.what}${ofOthers === '' ? '' : `, for a model for '${name}'${ofOthers}`}`]
  if (prepare === undefined) return []
  return others.length > 0 ? [`a model for '${name}' learns from the ids themselves, or from tokenLabels${ofOthers}`] : []
}

const PAIR = 'typeIds: the rows are pairs of texts, and a causal LM would learn both of them. A question and its answer are a conversation: readExamples(data, ' +
  "{ messages: (row) => [{ role: 'user', content: row.question }, { role: 'assistant', content: row.answer }] }); of what is one text, make one: { text: (row) => row.title + row.body }"

/** Tokens of a second text, none of which is left out by labels. */
function isPair({ typeIds, tokenLabels }: Examples): boolean {
  return tokenLabels === undefined && Array.isArray(typeIds) && typeIds.some((row: ArrayLike<number>) => Array.from(row).some((type) => type > 0))
}

/** That no label counts, of which there would be no loss. */
function nothingCounts({ prepare, numeric = false }: TaskRecord, { ids = [], labels, tokenLabels, spans }: Examples): string[] {
  const none = (rows: readonly ArrayLike<Label>[] | undefined, first = 0): boolean =>
    rows?.every((row) => Array.from(row).slice(first).every((label) => label === IGNORED_LABEL)) === true
  if (prepare !== undefined && none(tokenLabels ?? ids, 1)) return ['a token is predicted from those before it: expected a row of two tokens at least, and a label there that counts']
  if (!numeric && none(labels && [labels as ArrayLike<Label>])) return [`labels: expected a label that counts, all of them are ${IGNORED_LABEL}`]
  if (none(tokenLabels)) return [`tokenLabels: expected a label that counts, all of them are ${IGNORED_LABEL}`]
  return none(spans) ? [`spans: expected an answer that counts, all of them are ${IGNORED_LABEL}`] : []
}

/**
 * All that is wrong with rows that a model is to learn from or be measured on; of batches, with the rows they are made of, where those
 * are known.
 *
 * @param loss in place of the task's; of one of one's own, labels are what it makes of them
 */
export function rowProblems(model: Model, given: Examples | BatchSource, loss?: LossOptions['loss']): string[] {
  if (typeof given !== 'object' || (given as unknown) === null) return [`expected rows, as in { ids, labels }, or batches of them, got ${shown(given)}`]
  const strangeRows = areBatches(given) ? undefined : notRows(given)
  if (strangeRows !== undefined) return [strangeRows]
  const { limits, labels, parts: { architecture, task } } = model
  const uncalled = LOSSES.find((make) => make === loss)
  if (uncalled !== undefined) return [`loss: expected what ${uncalled.name} gives, got the function; call it: ${uncalled.name}()`]
  if (typeof loss === 'object' && task !== 'sentence-embedding') return [`loss: ${loss.name} is for a model for 'sentence-embedding', this one is for '${task}'`]
  const record = recordWith(model.record, loss)
  const ownLoss = typeof loss === 'function'
  if (record.loss === undefined && !ownLoss) return [noLoss(record)]
  const { examples: rows, transform } = areBatches(given) ? given : { examples: given, transform: undefined }
  const others = areBatches(given) ? otherClasses(model, given) : []
  if (rows === undefined || others.length > 0) return others
  warnOfOtherRows(model, rows.ids)
  const filled = (['ids', 'positives', 'negatives', 'targets'] as const).flatMap((name) => paddingProblem(model, name, rows[name]) ?? [])
  if (filled.length > 0) return filled
  if (record.prepare !== undefined && !ownLoss && transform === undefined && isPair(rows)) return [PAIR]
  const names = record.numeric === true && model.problem === 'regression' && Array.isArray(rows.labels) && rows.labels.some((label) => typeof label === 'string')
  if (names) return ['labels: the model learns numbers (regression), got names of classes; to tell classes apart, load it with two labels or more']
  const isOne = model.problem === 'multi_label_classification' && Array.isArray(rows.labels) && rows.labels.some((label) => typeof label === 'string')
  if (isOne) return ['labels: the model learns sets of labels (multi_label_classification), got one name for each row; give lists of names, as `labelSet` reads them, or load the model without problemType']
  const strange = strangeNames(model, rows)
  if (strange.length > 0) return strange
  const examples = withClassNumbers(model, rows)
  const { numeric = false, between, named = false, language = false } = record
  const classes = ownLoss ? undefined : language ? limits?.vocabSize : named ? labels.length : undefined
  const one = classes === 1 && !numeric ? ['labels: the model has one class, of which there is nothing to learn; give it more, or load it with { problemType: \'regression\' }'] : []
  const options = { numeric, ...(between === undefined || ownLoss ? {} : { between }), ...(classes === undefined ? {} : { classes }) }
  const missing = ownLoss || transform !== undefined ? [] : missingLabels(record, examples)
  const room = limits === undefined ? undefined : { ...limits, taken: positionsTaken(model) }
  const problems = [...one, ...missing, ...checkExamples(examples, options, room)]
  if (problems.length > 0) return problems
  if (limits === undefined || examples.pixels !== undefined || examples.decoderIds !== undefined || examples.targets !== undefined) {
    return firstOf(Array.from({ length: rowCount(examples) }, (_, row) => architecture.check(rowOf(examples, row, { numeric, ...decoderStartOf(model) }), limits).map((problem) => `row ${row}: ${problem}`)).flat(), 'of the rows')
  }
  return ownLoss || transform !== undefined ? [] : nothingCounts(record, examples)
}

/** That a loss which compares the rows of a batch has nothing to compare, so that nothing is learned of it and all is right. */
export function aloneInBatch(model: Model, rows: Examples | BatchSource, batchSize: number, loss?: LossOptions['loss']): string[] {
  if (areBatches(rows) || typeof loss === 'function') return []
  const { target, byOrder = false } = recordWith(model.record, loss)
  const isAlone = Math.min(batchSize, rowCount(rows)) < 2
  if (byOrder) {
    const scores = Array.from(rows.scores ?? [])
    if (scores.length > 1 && scores.every((score) => score === scores[0])) return [`scores: all of them are ${scores[0]}, and coSent learns from their order; take cosineSimilarity(), or pairs of other scores`]
    return isAlone ? ['a batch of one row: coSent learns from the order of the pairs of a batch; take two rows at least (batchSize)'] : []
  }
  if (target?.field !== 'positives' || rows.negatives !== undefined || !isAlone) return []
  return ['a batch of one row: its own text is the only one to choose from; take two rows at least (batchSize), or give negatives']
}

/** That the batches number their classes otherwise than the model. */
function otherClasses({ record: { named = false }, problem, labels }: Model, { labels: own = [] }: BatchSource): string[] {
  const same = (a: readonly string[], b: readonly string[]): boolean => a.join('\n') === b.join('\n')
  // numbers may have other names than a model's outputs, but not the same in another order
  const isRight = same(own, labels) || (problem === 'regression' && own.length === labels.length && !same([...own].sort(), [...labels].sort()))
  if (!named || own.length === 0 || isRight) return []
  return [`its classes are ${own.map(shown).join(', ')}, those of the model ${labels.map(shown).join(', ')}; read the rows with { labels: model.labels }, or load the model with those of the rows`]
}

/** How the rows of a task become batches that it learns from. */
export function batchOptionsFor(model: Model): Pick<BatchOptions, 'transform' | 'numeric' | 'decoderStart'> {
  const { prepare, numeric = false } = model.record
  return { ...(prepare === undefined ? {} : { transform: prepare }), ...(numeric ? { numeric } : {}), ...decoderStartOf(model) }
}

function decoderStartOf({ parts: { architecture: { decoderStart } } }: Model): Pick<BatchOptions, 'decoderStart'> {
  return decoderStart === undefined ? {} : { decoderStart }
}
