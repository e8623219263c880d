// What the functions that answer in words have in common: texts become rows of the model.

import type { Adapter } from '../base/adapter/adapter.ts'
import { withRandomHead } from '../base/adapter/as-attached.ts'
import { modelWith } from '../base/adapter/named.ts'
import { positionsTaken } from '../base/adapter/positions.ts'
import type { Task } from '../base/architecture.ts'
import { checkKind } from '../base/awaited.ts'
import type { Model, ModelParts } from '../base/model.ts'
import type { Names } from '../base/options.ts'
import { warnOfOtherWords } from '../base/tokenizer/own-words.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { unknownTokens } from '../base/tokenizer/unknown-tokens.ts'
import { firstOf, InputError, shown } from '../errors.ts'
import { PREDICT_OPTIONS, type PredictOptions } from '../training/predict.ts'

/** How texts are answered. */
export interface AnswerOptions extends PredictOptions {
  /** Most tokens of a row, special ones included; a longer text is cut. @default as many as the model has positions for */
  readonly maxLength?: number
}

export const ANSWER_OPTIONS: Names<AnswerOptions> = { ...PREDICT_OPTIONS, maxLength: true }

/** A text, or a pair of texts, as the tokenizer joins them. */
export type Text = string | readonly [string, string]

/** What answers in words, by the model's task. */
const ANSWERED_BY: Readonly<Partial<Record<Task, string>>> = {
  'sequence-classification': 'classify', 'image-classification': 'classifyImages', 'image-text': 'classifyZeroShot', 'token-classification': 'extractEntities', 'question-answering': 'answer', 'sentence-embedding': 'similar', 'causal-lm': 'chat', 'seq2seq-lm': 'generateText',
}

/** A model as it answers one call: with the adapters asked for, whatever is enabled meanwhile. */
interface AnsweringRows {
  readonly caller: string
  readonly model: Model
  readonly batchSize: number
}

/** One that reads texts. */
export interface Answering extends AnsweringRows {
  readonly maxLength: number
  /** Where texts are cut was asked for. */
  readonly isCutAsked: boolean
}

/**
 * @param caller the function, as errors name it
 * @throws InputError when the model is for another task, takes no texts, or has no adapter of the name
 */
export function answering(caller: string, model: Model, tokenizer: Tokenizer, task: Task, { maxLength, ...options }: AnswerOptions): Answering {
  const own = answeringRows(caller, model, task, options)
  checkKind('tokenizer', tokenizer)
  warnOfOtherWords(own.model, tokenizer)
  const { limits, record: { predictedBy } } = own.model
  if (limits === undefined) throw new InputError(`${caller}: expected a model that takes texts, got one without token ids; use ${predictedBy}.`)
  return { ...own, isCutAsked: maxLength !== undefined, maxLength: maxLength ?? limits.maxLength - positionsTaken(own.model) }
}

/** @throws InputError when the model is for another task, or has no adapter of the name */
export function answeringRows(caller: string, model: Model, task: Task, { adapter, batchSize = 32 }: PredictOptions): AnsweringRows {
  const seen = modelWith(model, adapter)
  const { parts } = seen
  if (parts.task !== task) {
    const other = ANSWERED_BY[parts.task] ?? seen.record.predictedBy
    throw new InputError(`${caller}: expected a model loaded for '${task}', got one for '${parts.task}'; use ${other}.`)
  }
  warnOfNewHead(caller, seen)
  return { caller, model: seen, batchSize }
}

/** Models and adapters of which it has been said. */
const told = new WeakSet<ModelParts | Adapter>()

/** Says once that answers come from a head of random weights: it looks like any other answer. */
function warnOfNewHead(caller: string, model: Model): void {
  const { parts, attached: { adapters, wiring } } = model
  for (const adapter of withRandomHead(model).filter((each) => !told.has(each))) {
    told.add(adapter)
    console.warn(`${caller}: nobody has trained the head of '${adapter.name}': it is random, and so is what it answers. Train it (await trainer.fit()), or load one that was: loadAdapter(model, folder).`)
  }
  const untrained = parts.initialized.filter((name) => parts.head.modules.some((module) => name.startsWith(`${module}.`)) && !wiring.replacements.has(name))
  if (untrained.length === 0 || told.has(parts)) return
  told.add(parts)
  const names = adapters.map(({ name }) => `'${name}'`).join(', ')
  const wayOut = names === '' ? 'Load an adapter that was trained: loadAdapter(model, folder)' : `Name an adapter that was trained: { adapter: … }, of ${names}`
  console.warn(`${caller}: the checkpoint has no ${untrained.join(', ')}: these are random, and so is what they answer. ${wayOut}.`)
}

/** @throws InputError naming all that are no texts */
export function checkTexts(caller: string, texts: unknown, pairs = false): void {
  if (!Array.isArray(texts)) throw new InputError(`${caller}: expected a list of texts, got ${shown(texts)}. One text is a list too: [text]`)
  const isText = (text: unknown): boolean => typeof text === 'string' || (pairs && Array.isArray(text) && text.length === 2 && text.every((part) => typeof part === 'string'))
  const problems = texts.flatMap((text: unknown, i) => (isText(text) ? [] : [`text ${i}: expected a text${pairs ? ' or a pair of texts' : ''}, got ${shown(text)}`]))
  if (problems.length > 0) throw new InputError(`${caller}: the texts cannot be answered:`, firstOf(problems, 'texts'))
}

/** Models of which it has been said that they do not see the whole of a text. */
const toldOfCut = new WeakSet<ModelParts>()

/** Models of which it has been said that there is little in their texts. */
const toldOfTexts = new WeakSet<ModelParts>()

/** The rows of texts, cut where they are too long. */
export function rowsOf({ caller, model, maxLength, isCutAsked }: Answering, tokenizer: Tokenizer, texts: readonly Text[]): { ids: readonly Int32Array[]; typeIds?: readonly Int32Array[] } {
  const { ids, typeIds, truncated } = tokenizer.encode(texts, { maxLength, ...(model.limits?.filled === true ? { padding: 'max' } : {}) })
  const cut = truncated.filter(Boolean).length
  if (cut > 0 && !isCutAsked && !toldOfCut.has(model.parts)) {
    toldOfCut.add(model.parts)
    console.warn(`${caller}: ${cut} of ${texts.length} texts are longer than the ${maxLength} tokens that the model reads: their rest is not seen. Where that is right, say so: { maxLength: ${maxLength} }.`)
  }
  const empty = texts.filter((text) => [text].flat().every((part) => part.trim() === '')).length
  const warnings = [unknownTokens(tokenizer, ids), empty === 0 ? undefined : `${empty} of ${texts.length} texts are empty, and are answered all the same.`].filter((text) => text !== undefined)
  if (warnings.length > 0 && !toldOfTexts.has(model.parts)) for (const text of warnings) console.warn(`${caller}: ${text}`)
  if (warnings.length > 0) toldOfTexts.add(model.parts)
  return { ids, ...segments(model, typeIds) }
}

/** Segments, for a model that tells them apart. */
export function segments({ limits }: Model, typeIds: readonly Int32Array[]): { typeIds?: readonly Int32Array[] } {
  return (limits?.types ?? 1) > 1 ? { typeIds } : {}
}
