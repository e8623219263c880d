import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { goesOn, isOutside, tagsOf, type Tags } from '../base/tasks/tags.ts'
import type { Encoded } from '../base/tokenizer/encode.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError, shown } from '../errors.ts'
import { predictTokens } from '../training/predict-tokens.ts'
import { ANSWER_OPTIONS, answering, checkTexts, segments, type AnswerOptions } from './rows.ts'
import { strideFor, strideProblems, windowsOver } from './windows.ts'

/** A name, a place or the like in a text. */
export interface Entity {
  /** Its label without B-, I- or what else says where it stands. */
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
  /** Tokens that a window of a long text has in common with the one before. @default 128, half of `maxLength` at most */
  readonly stride?: number
}

const NAMES: Names<EntitiesOptions> = { ...ANSWER_OPTIONS, aggregation: true, stride: true }

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
 * entity; of labels that say where it ends (BIOES, BILOU, BMES), it ends there. What is labelled O is none. A text that is longer than `maxLength` is read in windows that overlap; a token in
 * two of them has the label of the one that shows more of what is around it.
 *
 * @throws InputError when the model is for another task, the texts are none, `maxLength` leaves no room, or it has no adapter of the name
 * @example
 * const tagger = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'token-classification', labels: ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'] })
 * const [entities = []] = await extractEntities(tagger, tokenizer, ['Ada Lovelace lived in London.'])
 * for (const { type, text, start, end } of entities) console.log(`${type}: ${text} (${start} to ${end})`)
 */
export async function extractEntities(model: Model, tokenizer: Tokenizer, texts: readonly string[], options: EntitiesOptions = {}): Promise<Entity[][]> {
  checkNames('extractEntities', options, NAMES)
  const { aggregation = 'first', stride, ...rest } = options
  const problems = strideProblems(stride)
  if (!['first', 'simple'].includes(aggregation)) problems.push(`aggregation: expected 'first' or 'simple', got ${shown(aggregation)}`)
  if (problems.length > 0) throw new InputError('extractEntities: the options cannot be used:', problems)
  const { model: seen, maxLength, batchSize } = answering('extractEntities', model, tokenizer, 'token-classification', rest)
  checkTexts('extractEntities', texts)
  const encoded = tokenizer.encode(texts, { offsets: true })
  const windows = texts.flatMap((_, text) => windowsOf(encoded, text, maxLength, stride))
  const found: Labelled[][] = texts.map(() => [])
  if (windows.length > 0) {
    const examples = { ids: windows.map(({ ids }) => ids), ...segments(seen, windows.map(({ typeIds }) => typeIds)) }
    const { classes, scores } = await predictTokens(seen, examples, { batchSize })
    windows.forEach(({ text, skipped, own: [from, to] }, w) => {
      for (let t = from; t < to; t++) {
        if (encoded.specialTokensMask[text]?.[t] === 1) continue
        const [start = 0, end = 0] = encoded.offsets?.[text]?.[t] ?? []
        found[text]?.push({ label: seen.labels[classes[w]?.[t - skipped] ?? -1] ?? '', probability: scores[w]?.[t - skipped] ?? NaN, start, end, word: encoded.wordIds?.[text]?.[t] ?? -1 })
      }
    })
  }
  const tags = tagsOf(seen.labels)
  if (!seen.labels.some(isOutside) && !toldOfNoOutside.has(seen.parts)) {
    toldOfNoOutside.add(seen.parts)
    console.warn(`extractEntities: none of the labels is O, for a word that is nothing: every word is of an entity. They are ${seen.labels.map(shown).join(', ')}.`)
  }
  return found.map((tokens, i) => entitiesOf(aggregation === 'first' ? wordsOf(tokens, texts[i] ?? '') : tokens, texts[i] ?? '', tags))
}

/** Models of which it has been said. */
const toldOfNoOutside = new WeakSet()

/** Part of a text, between the special tokens of the whole. */
interface Window {
  readonly text: number
  readonly ids: Int32Array
  readonly typeIds: Int32Array
  /** Tokens before it: what is token t of the text is token t − skipped of the row. */
  readonly skipped: number
  /** The tokens of the text whose labels it gives. */
  readonly own: readonly [from: number, to: number]
}

function windowsOf({ ids, typeIds, specialTokensMask }: Encoded, text: number, maxLength: number, asked: number | undefined): Window[] {
  const special = specialTokensMask[text] ?? new Int32Array()
  const [begin, end] = [special.indexOf(0), special.lastIndexOf(0) + 1]
  if (begin < 0) return [] // nothing but special tokens
  const room = maxLength - (special.length - (end - begin))
  const stride = strideFor(asked, maxLength, room)
  if (room <= Math.max(0, stride)) {
    throw new InputError(`extractEntities: maxLength ${maxLength} leaves ${Math.max(0, room)} tokens for a text, which must be more than the stride of ${Math.max(0, stride)}`)
  }
  const parts = windowsOver(end - begin, room, stride)
  const middle = (w: number): number => begin + Math.floor(((parts[w]?.[0] ?? 0) + (parts[w - 1]?.[1] ?? 0)) / 2) // of what two windows have in common
  return parts.map(([from, to], w) => {
    const part = (row: Iterable<number> = []): Int32Array => Int32Array.from(row).filter((_, t) => t < begin || t >= end || (t >= begin + from && t < begin + to))
    return { text, ids: part(ids[text]), typeIds: part(typeIds[text]), skipped: from, own: [w === 0 ? begin : middle(w), w === parts.length - 1 ? end : middle(w + 1)] }
  })
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

function entitiesOf(words: readonly Labelled[], text: string, { read }: Tags): Entity[] {
  const groups: Labelled[][] = []
  for (const word of words) {
    const last = groups.at(-1)
    if (last !== undefined && goesOn(read((last.at(-1) as Labelled).label), read(word.label))) last.push(word) // a group is not empty
    else groups.push([word])
  }
  const entities = groups.filter(([first]) => first !== undefined && !isOutside(first.label)).map((group) => {
    const [first, last] = [group[0], group.at(-1)] as [Labelled, Labelled]
    const probability = group.reduce((sum, each) => sum + each.probability, 0) / group.length
    return { type: read(first.label).type, ...withoutBlanks(text, first.start, last.end), probability }
  })
  return entities.filter((entity) => entity.text !== '') // some tokenizers have a token for a blank
}

/** A stretch of text without the blanks around it, which some tokenizers count to the word behind them. */
export function withoutBlanks(text: string, start: number, end: number): { readonly text: string; readonly start: number; readonly end: number } {
  const found = text.slice(start, end)
  const begin = start + found.length - found.trimStart().length
  return { text: found.trim(), start: begin, end: begin + found.trim().length }
}
