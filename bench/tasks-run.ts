// What `npm run bench:tasks` learns: genre, part of speech and hidden tokens of the same passages of the Brown corpus, each by an adapter of its own or all three
// with one LoRA.

import {
  adaptersOf, alignLabels, attach, detach, evaluate, loadModel, loadTokenizer, lora, maskTokens, prepareBatches, shareAdapter, trainTasks, Trainer, withHead,
  type Adapter, type Examples, type Model,
} from 'tfjs-peft'
import type { BatchSource, MultiTaskOptions } from 'tfjs-peft/advanced'
import { loadTagged, PARTS_OF_SPEECH, type TaggedSample } from '../examples/brown.ts'
import { permutation, randomStream } from '../src/base/random.ts'

export const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
export const SETTINGS = { words: 26, tokens: 40, batch: 16, steps: 96, evaluate: 320, rank: 8, alpha: 16, learningRate: 2e-3 } as const
/** Genres with 24 samples or more. */
export const GENRES = ['news', 'hobbies', 'lore', 'belles_lettres', 'government', 'learned', 'fiction', 'mystery', 'adventure', 'romance'] as const

/** How the three are learned: each alone, or together. */
export const WAYS = {
  alone: undefined,
  'together, fixed weights': {},
  'together, by uncertainty': { weighting: 'uncertainty' },
  'together, by descent of the losses': { weighting: 'descent' },
  'together, PCGrad': { surgery: 'PCGrad' },
  'together, CAGrad': { surgery: 'CAGrad' },
} as const satisfies Readonly<Record<string, Pick<MultiTaskOptions, 'weighting' | 'surgery'> | undefined>>
export type Way = keyof typeof WAYS

export interface Measured {
  /** Held out: shares of right answers, and the loss of a hidden token. */
  readonly genre: number
  readonly partOfSpeech: number
  readonly hidden: number
  /** Parameters. */
  readonly trained: number
  /** Floating-point operations of all products. */
  readonly operations: number
}

interface Passage {
  readonly words: readonly string[]
  readonly tags: readonly string[]
  readonly genre: string
}

type Task = 'genre' | 'partOfSpeech' | 'hidden'
const TASKS: readonly Task[] = ['genre', 'partOfSpeech', 'hidden']
/** What is trained of masked LM's head: its product is the table of the words, which stays as it is. */
const HIDDEN_HEAD = ['cls.predictions.transform', 'cls.predictions.decoder.bias']

/** Rows of each task; hidden tokens are drawn anew in each epoch. */
export interface Data {
  readonly train: (task: Task, seed: number) => BatchSource
  readonly held: Readonly<Record<Task, Examples | BatchSource>>
}

/** Passages of whole sentences; those that are held out come from samples that are not trained on. */
export async function loadData(): Promise<Data> {
  const tokenizer = await loadTokenizer(MODEL)
  const samples = (await loadTagged()).filter(({ genre }) => (GENRES as readonly string[]).includes(genre))
  const isHeld = new Set(GENRES.flatMap((genre) => {
    const own = samples.filter((sample) => sample.genre === genre)
    return Array.from(permutation(randomStream(0, 'held', genre), own.length), (i) => own[i]).slice(0, Math.round(own.length * 0.3))
  }))
  const rowsOf = (passages: readonly Passage[]): Record<'genre' | 'partOfSpeech', Examples> & { readonly ids: readonly Int32Array[] } => {
    const { ids, wordIds } = tokenizer.encodeWords(passages.map(({ words }) => words), { maxLength: SETTINGS.tokens })
    return {
      ids,
      genre: { ids, labels: passages.map(({ genre }) => genre) },
      partOfSpeech: { ids, tokenLabels: passages.map(({ tags }, i) => alignLabels(wordIds[i] ?? [], tags)) },
    }
  }
  const train = rowsOf(samples.filter((sample) => !isHeld.has(sample)).flatMap(passagesOf))
  const held = rowsOf(evenly(samples.filter((sample) => isHeld.has(sample)).flatMap(passagesOf), SETTINGS.evaluate))
  const masked = (ids: readonly Int32Array[], seed: number, order: 'given' | { readonly seed: number }): BatchSource =>
    prepareBatches({ ids }, { batchSize: SETTINGS.batch, order, transform: maskTokens({ tokenizer, seed }) })
  const labels = { genre: GENRES, partOfSpeech: PARTS_OF_SPEECH }
  return {
    train: (task, seed) => (task === 'hidden' ? masked(train.ids, seed, { seed }) : prepareBatches(numbered(train[task], labels[task]), { batchSize: SETTINGS.batch, order: { seed } })),
    held: { genre: held.genre, partOfSpeech: held.partOfSpeech, hidden: masked(held.ids, 0, 'given') },
  }
}

function numbered({ ids = [], labels, tokenLabels }: Examples, names: readonly string[]): Examples {
  const number = (label: unknown): number => (typeof label === 'string' ? names.indexOf(label) : Number(label))
  return { ids, ...(labels === undefined ? {} : { labels: Array.from(labels as ArrayLike<unknown>, number) }), ...(tokenLabels === undefined ? {} : { tokenLabels: tokenLabels.map((row) => Array.from(row as ArrayLike<unknown>, number)) }) }
}

/** Sentences one behind the other, until they have the words of a passage. */
function passagesOf({ genre, sentences }: TaggedSample): Passage[] {
  const passages: Passage[] = []
  let [words, tags]: [string[], string[]] = [[], []]
  for (const sentence of sentences) {
    words.push(...sentence.words)
    tags.push(...sentence.tags)
    if (words.length < SETTINGS.words) continue
    passages.push({ genre, words, tags });
    [words, tags] = [[], []]
  }
  return passages
}

function evenly<T>(rows: readonly T[], count: number): T[] {
  return Array.from({ length: Math.min(count, rows.length) }, (_, i) => rows[Math.floor((i * rows.length) / Math.min(count, rows.length))] as T)
}

/** Trains all three in one way, and measures them. */
export async function learn({ train, held }: Data, way: Way, seed: number, steps: number = SETTINGS.steps): Promise<Measured> {
  const hidden = await loadModel(MODEL, { task: 'masked-lm', newHead: true, seed })
  const models: Readonly<Record<Task, Model>> = {
    genre: await withHead(hidden, { task: 'sequence-classification', labels: GENRES, pooling: 'mean', seed }),
    partOfSpeech: await withHead(hidden, { task: 'token-classification', labels: PARTS_OF_SPEECH, seed }),
    hidden,
  }
  const { rank, alpha, learningRate } = SETTINGS
  const alone = WAYS[way] === undefined
  const adapters: Adapter[] = []
  for (const task of TASKS) {
    const [first] = adapters
    const options = { seed, ...(task === 'hidden' ? { train: HIDDEN_HEAD } : {}) }
    adapters.push(alone || first === undefined ? attach(models[task], lora({ rank, alpha, targets: ['query', 'value'] }), options) : shareAdapter(first, models[task], options))
  }
  let operations = 0
  const common = { learningRate, warmup: 0.1, seed }
  if (alone) {
    for (const task of TASKS) operations += (await new Trainer({ model: models[task], train: train(task, seed), maxSteps: steps, ...common }).fit()).cost.operations
  } else {
    const tasks = TASKS.map((name) => ({ name, model: models[name], adapters: ['default'], train: train(name, seed) }))
    for await (const { cost } of trainTasks({ tasks, steps, ...common, ...WAYS[way] })) operations = cost?.operations ?? 0
  }
  const trained = new Set(adapters.flatMap(({ trainable }) => Object.values(trainable)))
  const [genre, partOfSpeech, words] = [await evaluate(models.genre, held.genre), await evaluate(models.partOfSpeech, held.partOfSpeech), await evaluate(models.hidden, held.hidden)]
  const measured = {
    genre: genre['accuracy'] ?? NaN, partOfSpeech: partOfSpeech['accuracy'] ?? NaN, hidden: words['loss'] ?? NaN,
    trained: [...trained].reduce((sum, { size }) => sum + size, 0), operations,
  }
  for (const model of Object.values(models)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
  return measured
}
