// Rows of the chain from poems to a task: what each stage learns from, and what it is measured on.

import { loadTokenizer, type Examples, type Tokenizer } from 'tfjs-peft'
import { loadPoems, splitPoems, type Poem } from './corpus.ts'
import type { Rows } from './setup.ts'
import { trainTokenizer } from './tokenizers.ts'

/** Tokens of the vocabulary: single characters. */
const VOCABULARY = 6000
/** Poems that are held out of each form, and that a tokenizer is trained on. */
const [HELD, READ] = [1000, 20_000]

export const DYNASTIES = ['tang', 'song']

/** The ten tunes that have the most poems. */
export const TUNES = ['浣溪沙', '鹧鸪天', '菩萨蛮', '西江月', '临江仙', '蝶恋花', '点绛唇', '减字木兰花', '清平乐', '好事近']

export type Labelled = Required<Pick<Examples, 'ids'>> & { readonly labels: readonly number[] }

export interface PoemRows {
  readonly tokenizer: Tokenizer
  /** All poems of a form. */
  readonly shi: { readonly train: Rows; readonly evaluate: Rows }
  readonly ci: { readonly train: Rows; readonly evaluate: Rows }
  /** Which dynasty a shi is of, and which tune a ci is to. @param each so many of each class */
  readonly dynasty: (each: number, seed?: number) => { readonly train: Labelled; readonly evaluate: Labelled }
  readonly tune: (each: number, seed?: number) => { readonly train: Labelled; readonly evaluate: Labelled }
}

/** @param folder of the tokenizer, which is trained where there is none yet */
export async function poemRows(folder: string): Promise<PoemRows> {
  const { train, evaluate } = splitPoems(await loadPoems())
  const of = (poems: readonly Poem[], form: Poem['form']): Poem[] => poems.filter((poem) => poem.form === form)
  const tokenizer = await loadTokenizer(folder).catch(() => trainTokenizer(folder, 'characters', of(train, 'shi').slice(0, READ).map(({ text }) => text), VOCABULARY))
  const ids = (poems: readonly Poem[]): Rows => tokenizer.encode(poems.map(({ text }) => text)).ids.map((row) => Int32Array.from(row))
  const labelled = (poems: readonly Poem[], classes: readonly string[], classOf: (poem: Poem) => string, each: number, begin = 0): Labelled => {
    const taken = classes.flatMap((name, label) => poems.filter((poem) => classOf(poem) === name).slice(begin, begin + each).map((poem) => ({ poem, label })))
    return { ids: ids(taken.map(({ poem }) => poem)), labels: taken.map(({ label }) => label) }
  }
  const task = (form: Poem['form'], classes: readonly string[], classOf: (poem: Poem) => string) => (each: number, seed = 0) => ({
    train: labelled(of(train, form), classes, classOf, each, seed * each), evaluate: labelled(of(evaluate, form), classes, classOf, HELD / classes.length),
  })
  const parts = (form: Poem['form']): PoemRows['shi'] => ({ train: ids(of(train, form)), evaluate: ids(of(evaluate, form).slice(0, HELD)) })
  return {
    tokenizer, shi: parts('shi'), ci: parts('ci'),
    dynasty: task('shi', DYNASTIES, ({ dynasty }) => dynasty), tune: task('ci', TUNES, ({ tune }) => tune),
  }
}
