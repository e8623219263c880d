// The tasks of `npm run bench:quantised`: the mails, genres of the Brown corpus, and a language model of it that learns one more genre.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { attach, evaluate, fullFineTuning, loadModel, loadTokenizer, lora, merge, Trainer, type Examples, type LoadOptions } from 'tfjs-peft'
import { loadMails, splitMails, type Mail } from '../examples/mails.ts'
import { prepare, SETTINGS as PRETRAINING } from '../examples/pretrain/setup.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { cacheFolder } from '../src/setup/cache.ts'
import { loadData as loadPassages, SETTINGS as PASSAGES } from './chain-run.ts'
import { MODEL, SIZES } from './forgetting-tasks.ts'

export const SETTINGS = { rank: 8, alpha: 16, steps: 100, batch: 16, every: 25, evaluate: 400, learningRate: 3e-3, language: { pretraining: 1000, evaluate: 60, batch: 8, learningRate: 2e-3 } } as const

export const TASKS = ['spam', 'genre', 'language'] as const
export type TaskName = (typeof TASKS)[number]
export const KINDS = ['float32', 'int8', 'nf4'] as const
export type Kind = (typeof KINDS)[number]

/** What the held-out rows give after some steps: an accuracy, or of the language model the loss alone. */
export interface Place {
  readonly step: number
  readonly loss: number
  readonly accuracy?: number
}

interface Task {
  readonly source: string
  readonly options: LoadOptions
  readonly targets: 'all-linear' | readonly string[]
  readonly batch: number
  readonly learningRate: number
  readonly train: Examples & { readonly ids: readonly ArrayLike<number>[] }
  readonly evaluate: Examples
}

const LOADERS: Readonly<Record<TaskName, () => Promise<Task>>> = { spam, genre, language }
const loaded = new Map<TaskName, Promise<Task>>()

/** One training of a LoRA on a base of a kind. */
export async function learn(name: TaskName, dtype: Kind, seed: number): Promise<Place[]> {
  const known = loaded.get(name) ?? LOADERS[name]()
  loaded.set(name, known)
  const { source, options, targets, batch, learningRate, train, evaluate: heldOut } = await known
  const model = await loadModel(source, { ...options, seed, dtype })
  attach(model, lora({ rank: SETTINGS.rank, alpha: SETTINGS.alpha, targets }), { seed })
  const places: Place[] = []
  const note = (step: number, { loss = NaN, accuracy }: { readonly loss?: number; readonly accuracy?: number }): void => {
    places.push({ step, loss, ...(accuracy === undefined ? {} : { accuracy }) })
  }
  note(0, await evaluate(model, heldOut))
  const order = permutation(randomStream(seed, name), train.ids.length)
  await new Trainer({
    model, train, evaluate: heldOut, evaluateEvery: SETTINGS.every, order, batchSize: batch, epochs: 10, maxSteps: SETTINGS.steps, learningRate, warmup: 0.1, seed,
  }).fit({ onEvent: (event) => { if (event.type === 'evaluate') note(event.step, event) } })
  model.dispose()
  return places
}

async function spam(): Promise<Task> {
  const tokenizer = await loadTokenizer(MODEL)
  const rows = (mails: readonly Mail[]): Task['train'] & { readonly labels: Int32Array } => ({
    ids: tokenizer.encode(mails.map(({ text }) => text), { maxLength: SIZES.tokens }).ids,
    labels: Int32Array.from(mails, ({ label }) => label),
  })
  const { train, evaluate } = splitMails(await loadMails(), { evaluate: 0.2 })
  return { ...classification(['ham', 'spam']), train: rows(train), evaluate: rows(some(evaluate, SETTINGS.evaluate)) }
}

async function genre(): Promise<Task> {
  const { intermediate: { train, evaluate } } = await loadPassages()
  const places = some(Array.from(evaluate.ids.keys()), SETTINGS.evaluate)
  const heldOut = { ids: places.map((row) => evaluate.ids[row] as Int32Array), labels: places.map((row) => evaluate.labels[row] ?? NaN) } // rows of it
  return { ...classification(PASSAGES.intermediate.genres), train, evaluate: heldOut }
}

function classification(labels: readonly string[]): Omit<Task, 'train' | 'evaluate'> {
  const { batch, learningRate } = SETTINGS
  return { source: MODEL, options: { task: 'sequence-classification', labels, newHead: true }, targets: ['query', 'value'], batch, learningRate }
}

/** Rows from the beginning to the end, as many as asked for or all there are. */
function some<T>(rows: readonly T[], count: number): T[] {
  const most = Math.min(count, rows.length)
  return Array.from({ length: most }, (_, i) => rows[Math.floor((i * rows.length) / most)] as T)
}

/** A GPT-2 that is pretrained on the other genres first, once. */
async function language(): Promise<Task> {
  const { pretraining, evaluate: held, ...settings } = SETTINGS.language
  const folder = join(cacheFolder(), 'bench', `quantised-${pretraining}`)
  const { model, general, genre: { train, evaluate } } = await prepare(`${folder}-untrained`)
  if (await access(join(folder, 'config.json')).then(() => false, () => true)) {
    const all = attach(model, fullFineTuning())
    await new Trainer({ model, train: { ids: general.train }, ...PRETRAINING, maxSteps: pretraining }).fit()
    const trained = merge(model, all)
    await trained.save(folder)
    trained.dispose()
  }
  model.dispose()
  return { source: folder, options: { task: 'causal-lm' }, targets: 'all-linear', ...settings, train: { ids: train }, evaluate: { ids: some(evaluate, held) } }
}

