import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError, shown } from '../errors.ts'
import { predictTokens } from '../training/predict-tokens.ts'
import { ANSWER_OPTIONS, answering, checkTexts, segments, type AnswerOptions } from './rows.ts'

/** A name, a place or the like in a text. */
export interface Entity {
  /** Its label without B- or I-. */
  readonly type: string
  readonly text: string
  /** Where it begins and ends, as `text.slice` takes it. */
  readonly start: number
  readonly end: number
  /** Mean over its words; of 'simple' over its tokens. */
  readonly probability: number
}

/** How entities are found. */
export interface EntitiesOptions extends AnswerOptions {
  /** Whose labels count, as transformers calls it: those of the first token of each word, or of every token. @default 'first' */
  readonly aggregation?: 'first' | 'simple'
}

const NAMES: Names<EntitiesOptions> = { ...ANSWER_OPTIONS, aggregation: true }

/** A word or a token with its label. */
interface Labelled {
  readonly label: string
  readonly probability: number
  readonly start: number
  readonly end: number
  readonly word: number
}

/**
 * The entities of each text, in its order: neighbours of one type, of which none but the first is labelled B-, are one
 * entity. What is labelled O is none. The rest of a text that is longer than `maxLength` is not read.
 *
 * @throws InputError when the model is for another task, the texts are none, or it has no adapter of the name
 * @example
 * const tagger = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'token-classification', labels: ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'] })
 * const [entities = []] = await extractEntities(tagger, tokenizer, ['Ada Lovelace lived in London.'])
 * for (const { type, text, start, end } of entities) console.log(`${type}: ${text} (${start} to ${end})`)
 */
export async function extractEntities(model: Model, tokenizer: Tokenizer, texts: readonly string[], options: EntitiesOptions = {}): Promise<Entity[][]> {
  checkNames('extractEntities', options, NAMES)
  const { aggregation = 'first', ...rest } = options
  if (!['first', 'simple'].includes(aggregation)) throw new InputError(`extractEntities: aggregation: expected 'first' or 'simple', got ${shown(aggregation)}`)
  const { model: seen, maxLength, batchSize } = answering('extractEntities', model, tokenizer, 'token-classification', rest)
  checkTexts('extractEntities', texts)
  const { ids, typeIds, specialTokensMask, offsets = [], wordIds = [] } = tokenizer.encode(texts, { maxLength, offsets: true })
  const found: Entity[][] = texts.map(() => [])
  const rows = [...texts.keys()].filter((row) => ids[row]?.length !== 0) // an empty text may have no token
  if (rows.length === 0) return found
  const of = (all: readonly Int32Array[]): Int32Array[] => rows.map((row) => all[row] ?? new Int32Array())
  const { classes, scores } = await predictTokens(seen, { ids: of(ids), ...segments(seen, of(typeIds)) }, { batchSize })
  rows.forEach((row, i) => {
    const text = texts[row] ?? ''
    const tokens = [...offsets[row] ?? []].flatMap(([start, end], t): Labelled[] => specialTokensMask[row]?.[t] === 1 ? [] : [{
      label: seen.labels[classes[i]?.[t] ?? -1] ?? '', probability: scores[i]?.[t] ?? NaN, start, end, word: wordIds[row]?.[t] ?? -1,
    }])
    found[row] = entitiesOf(aggregation === 'first' ? wordsOf(tokens, text) : tokens, text)
  })
  return found
}

/** Words with the label of their first tokens. */
function wordsOf(tokens: readonly Labelled[], text: string): Labelled[] {
  const isWord = tokenizerCutsWords(tokens, text)
  const words: Labelled[] = []
  for (const token of tokens) {
    const last = words.at(-1)
    const goesOn = last?.word === token.word && (isWord(token.word) || !/\s/.test(text.slice(Math.max(0, token.start - 1), token.start + 1)))
    if (last !== undefined && goesOn) words[words.length - 1] = { ...last, end: token.end }
    else words.push(token)
  }
  return words
}

/** Whether what a tokenizer calls a word is one: some take a whole text for one, whose words are then what stands between blanks. */
function tokenizerCutsWords(tokens: readonly Labelled[], text: string): (word: number) => boolean {
  const whole = new Map<number, { start: number; end: number }>()
  for (const { word, start, end } of tokens) whole.set(word, { start: whole.get(word)?.start ?? start, end })
  return (word) => {
    const { start = 0, end = 0 } = whole.get(word) ?? {}
    return !/\s/.test(text.slice(start, end).trim())
  }
}

function entitiesOf(words: readonly Labelled[], text: string): Entity[] {
  const groups: Labelled[][] = []
  for (const word of words) {
    const last = groups.at(-1)
    const joins = last !== undefined && typeOf(word) === typeOf(last.at(-1) as Labelled) && !word.label.startsWith('B-') // a group is not empty
    if (joins) last.push(word)
    else groups.push([word])
  }
  const entities = groups.filter(([first]) => first?.label !== 'O').map((group) => {
    const [first, last] = [group[0], group.at(-1)] as [Labelled, Labelled]
    const probability = group.reduce((sum, each) => sum + each.probability, 0) / group.length
    return { type: typeOf(first), ...withoutBlanks(text, first.start, last.end), probability }
  })
  return entities.filter((entity) => entity.text !== '') // some tokenizers have a token for a blank
}

function typeOf({ label }: Labelled): string {
  return label.replace(/^[BI]-/, '')
}

/** A stretch of text without the blanks around it, which some tokenizers count to the word behind them. */
export function withoutBlanks(text: string, start: number, end: number): { readonly text: string; readonly start: number; readonly end: number } {
  const found = text.slice(start, end)
  const begin = start + found.length - found.trimStart().length
  return { text: found.trim(), start: begin, end: begin + found.trim().length }
}
