// The tasks that `npm run bench:forgetting` learns one after the other: mails and pairs of genres of the Brown corpus, all of
// them with two classes and one head.

import { loadTokenizer, type Tokenizer } from 'tfjs-peft'
import { loadBrown, splitSamples, type Sample } from '../examples/brown.ts'
import { loadMails, splitMails } from '../examples/mails.ts'
import { permutation, randomStream } from '../src/base/random.ts'

/** Rows with labels 0 and 1, as many of the one as of the other. */
export interface Rows {
  readonly ids: readonly Int32Array[]
  readonly labels: Int32Array
}

/** A task with as many rows as there are; each run draws its own from them. */
export interface Task {
  readonly name: string
  readonly train: Rows
  readonly evaluate: Rows
}

/** Two sequences of tasks that share no row and no genre. */
export interface Sequences {
  /** To choose the guards' strengths on. */
  readonly search: readonly Task[]
  /** To report. */
  readonly final: readonly Task[]
}

export const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
export const SIZES = { tokens: 32, words: 26, evaluate: 200 } as const

type Texts = readonly (readonly string[])[] // by class

export async function loadSequences(): Promise<Sequences> {
  const tokenizer = await loadTokenizer(MODEL)
  const { train, evaluate } = await splitSamples(await loadBrown(), 0.3)
  const genres = (zero: string, one: string): Task => {
    const texts = (samples: readonly Sample[]): Texts =>
      [zero, one].map((genre) => samples.filter((sample) => sample.genre === genre).flatMap(({ text }) => passages(text)))
    return taskOf(tokenizer, `${zero} or ${one}`, texts(train), texts(evaluate))
  }
  const mails = splitMails(await loadMails(), { evaluate: 0.2 })
  const byClass = (rows: typeof mails.train): Texts => [0, 1].map((label) => rows.filter((mail) => mail.label === label).map(({ text }) => text))
  const [search, rest] = halves(byClass(mails.train))
  const [searchEvaluate, searchTrain] = [search.map((texts) => texts.slice(0, 200)), search.map((texts) => texts.slice(200))]
  return {
    search: [
      taskOf(tokenizer, 'ham or spam', searchTrain, searchEvaluate),
      genres('government', 'mystery'),
      genres('religion', 'reviews'),
    ],
    final: [
      taskOf(tokenizer, 'ham or spam', rest, byClass(mails.evaluate)),
      genres('learned', 'hobbies'),
      genres('news', 'romance'),
    ],
  }
}

/** `count` rows by the seed, half of each class in turn. */
export function draw({ ids, labels }: Rows, count: number, seed: number): { readonly ids: readonly Int32Array[]; readonly labels: Int32Array } {
  const places = [0, 1].map((label) => {
    const own = Array.from(labels.keys()).filter((row) => labels[row] === label)
    return Array.from(permutation(randomStream(seed, 'rows', label), own.length), (i) => own[i] as number) // an index of it
  })
  const rows = Array.from({ length: count }, (_, i) => places[i % 2]?.[i >> 1] ?? -1)
  if (rows.includes(-1)) throw new Error(`There are no ${count} rows with equal classes.`)
  return { ids: rows.map((row) => ids[row] as Int32Array), labels: Int32Array.from(rows, (row) => labels[row] ?? NaN) } // rows of it
}

function taskOf(tokenizer: Tokenizer, name: string, train: Texts, evaluate: Texts): Task {
  const rowsOf = (texts: Texts): Rows => ({
    ids: tokenizer.encode(texts.flat(), { maxLength: SIZES.tokens }).ids.map((row) => Int32Array.from(row)),
    labels: Int32Array.from(texts.flatMap((own, label) => own.map(() => label))),
  })
  return { name, train: rowsOf(train), evaluate: draw(rowsOf(evaluate), SIZES.evaluate, 0) }
}

function halves(texts: Texts): readonly [Texts, Texts] {
  return [texts.map((own) => own.filter((_, i) => i % 2 === 0)), texts.map((own) => own.filter((_, i) => i % 2 === 1))]
}

/** Its words in pieces of the same number; the rest is left out. */
export function passages(text: string): string[] {
  const words = text.split(/\s+/)
  return Array.from({ length: Math.floor(words.length / SIZES.words) }, (_, i) => words.slice(i * SIZES.words, (i + 1) * SIZES.words).join(' '))
}
