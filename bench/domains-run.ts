// What `npm run bench:domains` learns: names of diseases by chapter and mails by kind, from few labelled rows, from MiniLM as it is or after masked LM on texts of
// a field.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { attach, detach, loadModel, loadTokenizer, lora, maskTokens, prepareBatches, Trainer } from 'tfjs-peft'
import type { BatchSource } from 'tfjs-peft/advanced'
import { CHAPTERS, loadDiseases, splitDiseases } from '../examples/diseases.ts'
import { loadMails, splitMails } from '../examples/mails.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { accuracyOn, fit, lossOn, pickEach, type Labelled } from './chain-run.ts'
import { MODEL } from './forgetting-tasks.ts'

export const SETTINGS = { batch: 16, rank: 8, alpha: 16, domain: { steps: 200, learningRate: 1e-3 }, target: { steps: 60, learningRate: 3e-3, evaluate: 560 }, hidden: 320 } as const
/** Labels that there are of each class, and tokens of a row. */
export const EACH = [8, 64] as const

export const FIELDS = {
  medicine: { classes: CHAPTERS, tokens: 24, texts: diseases },
  security: { classes: ['ham', 'spam'], tokens: 48, texts: mails },
} as const
export type Field = keyof typeof FIELDS
export const FIELD_NAMES = Object.keys(FIELDS) as Field[]

/** What the classifier begins with. */
export const STARTS = ['as it is', 'masked LM on the field', 'masked LM on the other field'] as const
export type Start = (typeof STARTS)[number]

type Texts = readonly { readonly text: string; readonly label: number }[] // −1: of no class

export interface Data {
  readonly field: Field
  readonly train: Labelled
  readonly held: Labelled
  readonly masked: (seed: number) => BatchSource
  readonly maskedHeld: BatchSource
}

async function diseases(): Promise<{ readonly train: Texts; readonly held: Texts }> {
  const { train, evaluate } = splitDiseases(await loadDiseases())
  const texts = (rows: typeof train): Texts => rows.map(({ text, chapter }) => ({ text, label: (CHAPTERS as readonly string[]).indexOf(chapter) }))
  return { train: texts(train), held: texts(evaluate) }
}

async function mails(): Promise<{ readonly train: Texts; readonly held: Texts }> {
  const { train, evaluate } = splitMails(await loadMails(), { evaluate: 0.2 })
  return { train, held: evaluate }
}

export async function load(field: Field): Promise<Data> {
  const { classes, tokens, texts } = FIELDS[field]
  const tokenizer = await loadTokenizer(MODEL)
  const { train, held } = await texts()
  const rowsOf = (rows: Texts): Labelled => ({ ids: tokenizer.encode(rows.map(({ text }) => text), { maxLength: tokens }).ids, labels: Int32Array.from(rows, ({ label }) => label) })
  const masked = ({ ids }: Pick<Labelled, 'ids'>, seed: number): BatchSource => prepareBatches({ ids }, { batchSize: SETTINGS.batch, order: { seed }, transform: maskTokens({ tokenizer, seed }) })
  const [all, others] = [rowsOf(train), rowsOf(held)]
  const some = Array.from(permutation(randomStream(0, 'hidden'), others.ids.length).subarray(0, SETTINGS.hidden), (row) => others.ids[row] as Int32Array) // rows of it
  const ofClasses = (rows: Texts): Labelled => rowsOf(rows.filter(({ label }) => label >= 0))
  return {
    field, train: ofClasses(train), held: pickEach(ofClasses(held), SETTINGS.target.evaluate / classes.length, 0),
    masked: (seed) => masked(all, seed), maskedHeld: masked({ ids: some }, 0),
  }
}

/** Masked LM on all texts of the field that are not held out. @param folder where the model is left @returns the loss of a held-out hidden token, before and after */
export async function adapt({ masked, maskedHeld }: Data, folder: string, seed: number, steps: number = SETTINGS.domain.steps): Promise<{ readonly before: number; readonly after: number }> {
  const model = await loadModel(MODEL, { task: 'masked-lm', newHead: true, seed })
  const before = await lossOn(model, maskedHeld)
  await fit(model, { train: masked(seed), maxSteps: steps, learningRate: SETTINGS.domain.learningRate, warmup: 0.1, seed }, folder)
  const adapted = await loadModel(folder, { task: 'masked-lm' })
  const after = await lossOn(adapted, maskedHeld)
  adapted.dispose()
  return { before, after }
}

/** Learns the classes by LoRA from a few rows of each. @param from a model's folder, or its name @returns the share of held-out rows that are right */
export async function classify({ field, train, held }: Data, from: string, each: number, seed: number, steps: number = SETTINGS.target.steps): Promise<number> {
  const model = await loadModel(from, { task: 'sequence-classification', labels: FIELDS[field].classes, newHead: true, pooling: 'mean', seed })
  const { rank, alpha, batch, target: { learningRate } } = SETTINGS
  const adapter = attach(model, lora({ rank, alpha, targets: ['query', 'value'] }), { seed })
  await new Trainer({ model, train: pickEach(train, each, seed), batchSize: batch, maxSteps: steps, learningRate, warmup: 0.1, seed }).fit()
  const score = await accuracyOn(model, held)
  detach(adapter)
  model.dispose()
  return score
}

/** The model that a start names. */
export async function startOf(start: Start, folder: (field: Field) => string, field: Field): Promise<string> {
  if (start === 'as it is') return MODEL
  const of = start === 'masked LM on the field' ? field : FIELD_NAMES.find((other) => other !== field) as Field // there are two
  await access(join(folder(of), 'config.json'))
  return folder(of)
}
