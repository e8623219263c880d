import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { LONGEST } from '../base/tasks/span-measure.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { firstOf, InputError, shown } from '../errors.ts'
import { predictSpans, type Span } from '../training/predict-spans.ts'
import { withoutBlanks } from './extract-entities.ts'
import { ANSWER_OPTIONS, answering, segments, type AnswerOptions } from './rows.ts'
import { strideFor, strideProblems, windowsOver } from './windows.ts'

/** A question, and the text that holds its answer. */
export interface Question {
  readonly question: string
  readonly context: string
}

/** An answer that was found in a context. */
export interface Answer {
  readonly text: string
  /** Where it begins and ends in the context, as `context.slice` takes it. */
  readonly start: number
  readonly end: number
  readonly probability: number
}

/** How answers are sought. */
export interface AnswersOptions extends AnswerOptions {
  /** Tokens that a window of a long context has in common with the one before. @default 128, half of `maxLength` at most */
  readonly stride?: number
  /** Most tokens of an answer. @default 15 */
  readonly maxAnswerLength?: number
}

const NAMES: Names<AnswersOptions> = { ...ANSWER_OPTIONS, stride: true, maxAnswerLength: true }

/** So many spans of a window are looked at: those that are the same words count together. */
const CANDIDATES = 12

/**
 * The answer to each question, as whole words of its context. A context that is longer than `maxLength` leaves room for is
 * read in windows that overlap. It is chosen as by transformers' pipeline (4.57), but that an answer which several windows
 * find has the greatest probability of them, where that adds them up.
 *
 * @throws InputError when the model is for another task, questions or contexts are missing, a question leaves no room for its context, or
 *   it has no adapter of the name
 * @example
 * const reader = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'question-answering' })
 * const [found] = await answer(reader, tokenizer, [{ question: 'Who won?', context: 'The visitors won by one goal.' }])
 * console.log(found?.text, found?.probability)
 */
export async function answer(model: Model, tokenizer: Tokenizer, questions: readonly Question[], options: AnswersOptions = {}): Promise<Answer[]> {
  checkNames('answer', options, NAMES)
  const { maxAnswerLength = LONGEST, stride: asked, ...rest } = options
  const { model: seen, maxLength, batchSize } = answering('answer', model, tokenizer, 'question-answering', rest)
  check(questions, asked)
  const swapped = questions.findIndex(({ question, context }) => context.trimEnd().endsWith('?') && !question.trimEnd().endsWith('?') && question.length > context.length)
  if (swapped >= 0) console.warn(`answer: question ${swapped}: its context ends in a question mark and is the shorter of the two: are they in each other's place?`)
  const windows = windowsOf(tokenizer, questions, maxLength, asked)
  if (questions.length === 0) return []
  const examples = { ids: windows.map(({ ids }) => ids), ...segments(seen, windows.map(({ typeIds }) => typeIds)) }
  const spans = await predictSpans(seen, examples, { context: windows.map(({ allowed }) => allowed), best: CANDIDATES + maxAnswerLength, maxLength: maxAnswerLength, batchSize })
  return questions.map(({ context }, i) => {
    const found = new Map<string, Answer>()
    windows.forEach((window, w) => {
      if (window.question !== i) return
      for (const [key, one] of answersIn(window, spans[w] ?? [], context)) {
        const known = found.get(key)
        found.set(key, known === undefined || one.probability > known.probability ? one : known)
      }
    })
    return [...found.values()].reduce((best, one) => (one.probability > best.probability ? one : best), { text: '', start: 0, end: 0, probability: 0 })
  })
}

function check(questions: unknown, stride: number | undefined): void {
  if (!Array.isArray(questions)) throw new InputError(`answer: expected a list of { question, context }, got ${shown(questions)}. One question is a list too: [{ question, context }]`)
  const wrong = (questions as readonly unknown[]).flatMap((each, i) => {
    if (Array.isArray(each) || typeof each !== 'object' || each === null) return [`question ${i}: expected { question, context }, got ${Array.isArray(each) && each.length === 2 ? 'a pair of texts' : shown(each)}`]
    return (['question', 'context'] as const).flatMap((name) => {
      const text = (each as Partial<Record<string, unknown>>)[name]
      return typeof text === 'string' && text.trim() !== '' ? [] : [`question ${i}: ${name}: expected a text that is not empty, got ${shown(text)}`]
    })
  })
  const problems = [...strideProblems(stride), ...firstOf(wrong, 'of the questions')]
  if (problems.length > 0) throw new InputError('answer: the questions cannot be answered:', problems)
}

/** A question with as much of its context as a row has room for. */
interface Window {
  readonly question: number
  readonly ids: Int32Array
  readonly typeIds: Int32Array
  /** 1 for a token that an answer may contain, and for the first one of the row: its share says that there is no answer. */
  readonly allowed: readonly number[]
  /** Of each token: its word, and its place in the context. */
  readonly words: readonly number[]
  readonly places: readonly (readonly [number, number])[]
}

function windowsOf(tokenizer: Tokenizer, questions: readonly Question[], maxLength: number, asked: number | undefined): Window[] {
  const pairs = tokenizer.encode(questions.map(({ question, context }) => [question, context] as const), { offsets: true })
  const alone = tokenizer.encode(questions.map(({ question }) => question), { specialTokens: false })
  const problems: string[] = []
  const windows = questions.flatMap((_, question) => {
    const [ids, typeIds, special, words] = [pairs.ids, pairs.typeIds, pairs.specialTokensMask, pairs.wordIds ?? []].map((rows) => [...(rows[question] ?? [])]) as [number[], number[], number[], number[]]
    const offsets = pairs.offsets?.[question] ?? []
    const texts = ids.flatMap((__, t) => (special[t] === 0 ? [t] : [])) // those of the question come first
    const inContext = texts.slice(alone.ids[question]?.length)
    const begin = inContext[0] ?? ids.length
    const end = begin + inContext.length
    const room = maxLength - (ids.length - inContext.length)
    const stride = strideFor(asked, maxLength, room)
    if (room <= Math.max(0, stride)) {
      problems.push(`question ${question}: its ${begin} tokens leave ${Math.max(0, room)} of maxLength ${maxLength} for the context, which must be more than the stride of ${Math.max(0, stride)}`)
      return []
    }
    const allowed = ids.map((__, t) => (t >= begin && t < end) || (t === 0 && ids[0] === tokenizer.clsId) ? 1 : 0)
    return windowsOver(inContext.length, room, stride).map(([from, to]): Window => {
      const part = <T>(row: readonly T[]): T[] => [...row.slice(0, begin), ...row.slice(begin + from, begin + to), ...row.slice(end)]
      return { question, ids: Int32Array.from(part(ids)), typeIds: Int32Array.from(part(typeIds)), words: part(words), places: part(offsets), allowed: part(allowed) }
    })
  })
  if (problems.length > 0) throw new InputError('answer: the questions cannot be answered:', firstOf(problems, 'questions'))
  return windows
}

/** The answers of a window by their text; spans of the same words are one. */
function answersIn({ allowed, words, places }: Window, spans: readonly Span[], context: string): Map<string, Answer> {
  const found = new Map<string, Answer>()
  const isIn = (t: number): boolean => allowed[t] === 1 && t > 0
  const place = (t: number): readonly [number, number] => {
    const own = [...places.keys()].filter((other) => isIn(other) && words[other] === words[t])
    const whole = [places[own[0] ?? t]?.[0] ?? 0, places[own.at(-1) ?? t]?.[1] ?? 0] as const
    const isWord = !/\s/.test(context.slice(...whole).trim()) // some tokenizers do not cut words
    return isWord ? whole : places[t] ?? whole
  }
  for (const { first, last, score } of spans.filter((span) => isIn(span.first)).slice(0, CANDIDATES)) {
    const one = withoutBlanks(context, place(first)[0], place(last)[1])
    const key = one.text.toLowerCase()
    const known = found.get(key)
    found.set(key, known === undefined ? { ...one, probability: score } : { ...known, probability: known.probability + score })
  }
  return found
}
