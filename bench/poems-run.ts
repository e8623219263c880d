// What `bench/poems.ts` measures, a stage a function.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { accuracy, attach, bottleneck, createModel, diagonalFisher, ewc, fullFineTuning, loadModel, lora, prefix, prompt, predict, Trainer, type Examples, type Method, type Model, type Tokenizer } from 'tfjs-peft'
import { interpolateTensors } from 'tfjs-peft/advanced'
import * as tf from '@tensorflow/tfjs-core'
import { DYNASTIES, TUNES, type Labelled, type PoemRows } from '../examples/poems/rows.ts'
import { configOf, learnMasked, masked, maskedLoss, SETTINGS, untrained, type Rows } from '../examples/poems/setup.ts'
import { trainTokenizer, type Kind } from '../examples/poems/tokenizers.ts'
import { byTorch, writeBatches } from './from-nothing.ts'

export const STEPS = { vocabulary: 300, pretraining: 2000, domain: 400, rates: 300, tasks: 300 } as const

/** Of a vocabulary: its size in tokens, and what a model of it learns in the same steps. */
export interface Vocabulary {
  readonly tokensPerCharacter: number
  /** Share of the tokens that stand for what the vocabulary lacks. */
  readonly unknown: number
  /** Of a hidden token, and of a character of it. */
  readonly loss: number
  readonly lossPerCharacter: number
}

export interface Texts {
  readonly train: readonly string[]
  readonly evaluate: readonly string[]
}

export async function measureVocabulary(folder: string, kind: Kind, size: number, texts: Texts, seed: number): Promise<Vocabulary> {
  const tokenizer = await trainTokenizer(join(folder, 'vocabulary'), kind, texts.train, size)
  const idsOf = (of: readonly string[]): Rows => tokenizer.encode(of).ids.map((row) => Int32Array.from(row))
  const [train, held] = [idsOf(texts.train), idsOf(texts.evaluate)]
  const characters = texts.evaluate.reduce((sum, text) => sum + Array.from(text).length, 0)
  const tokens = held.reduce((sum, row) => sum + row.length - 2, 0)
  const unknownId = tokenizer.tokenToId('[UNK]')
  const unknown = held.reduce((sum, row) => sum + row.filter((id) => id === unknownId).length, 0)
  const model = await learnMasked(await untrained(tokenizer, seed), train, { tokenizer, seed, maxSteps: STEPS.vocabulary, wholeWords: false })
  const loss = await maskedLoss(model, held, tokenizer, { wholeWords: false })
  model.dispose()
  return { tokensPerCharacter: tokens / characters, unknown: unknown / tokens, loss, lossPerCharacter: loss * (tokens / characters) }
}

/** Held-out losses here and by torch, which trains on the same batches in the same order; what was trained here stays in a folder. */
export async function pretrain(folder: string, { tokenizer, shi }: PoemRows, seed: number): Promise<{ readonly ours: number; readonly torch: number }> {
  await mkdir(folder, { recursive: true })
  const start = await untrained(tokenizer, seed)
  await start.save(join(folder, 'untrained'))
  const held = masked(shi.evaluate, tokenizer, 0, { order: 'given' })
  await writeBatches(join(folder, 'rows.safetensors'), {
    train: { batches: masked(shi.train, tokenizer, seed), count: STEPS.pretraining }, evaluate: { batches: held, count: held.count },
  })
  const trained = await learnMasked(start, shi.train, { tokenizer, seed, maxSteps: STEPS.pretraining })
  const ours = await maskedLoss(trained, shi.evaluate, tokenizer)
  await trained.save(join(folder, 'pretrained'))
  trained.dispose()
  const { held_out_loss: torch } = (await byTorch('poems', folder, STEPS.pretraining, { batchSize: 32, ...SETTINGS })) as { held_out_loss: number }
  return { ours, torch }
}

/** A way to the other form of poems. */
export interface Way {
  readonly name: string
  readonly method?: () => Method
  /** Strength of EWC. @default none */
  readonly ewc?: number
  /** How far the weights are taken from those before to those behind the training. @default 1, all the way */
  readonly alpha?: number
}

export const WAYS: readonly Way[] = [
  { name: 'as pretrained' },
  { name: 'all weights', method: fullFineTuning },
  ...[0.1, 0.3, 1, 3].map((strength) => ({ name: `all weights, EWC ${strength}`, method: fullFineTuning, ewc: strength })),
  ...[0.25, 0.5, 0.75].map((alpha) => ({ name: `all weights, ${alpha} of the way`, method: fullFineTuning, alpha })),
  { name: 'LoRA', method: () => lora({ rank: 16, alpha: 32, targets: 'all-linear' }) },
]

/** Held-out losses on ci, which are learned, and on shi, which are not to be forgotten. */
export async function adaptToDomain(folder: string, { tokenizer, shi, ci }: PoemRows, way: Way, seed: number): Promise<{ readonly ci: number; readonly shi: number }> {
  const { name, method, ewc: strength, alpha = 1 } = way
  const model = await loadModel(join(folder, 'pretrained'), { task: 'masked-lm' })
  const learned = method === undefined ? model : await adapted(model, method())
  const losses = { ci: await maskedLoss(learned, ci.evaluate, tokenizer), shi: await maskedLoss(learned, shi.evaluate, tokenizer) }
  learned.dispose()
  return losses

  async function adapted(of: Model, by: Method): Promise<Model> {
    const adapter = attach(of, by, { seed })
    const before = Object.fromEntries(Object.entries(adapter.trainable).map(([each, tensor]) => [each, tf.clone(tensor)]))
    const guard = ewc({ strength: strength ?? 0, normalize: true })
    if (strength !== undefined) {
      const importance = await diagonalFisher(of, adapter.trainable, await hidden(shi.train.slice(0, FISHER_ROWS), tokenizer, seed), { kind: 'empirical' })
      guard.addTask(adapter.trainable, importance)
      tf.dispose(importance)
    }
    await new Trainer({ model: of, train: masked(ci.train, tokenizer, seed), ...SETTINGS, learningRate: name === 'LoRA' ? 1e-3 : 5e-4, maxSteps: STEPS.domain, guards: strength === undefined ? [] : [guard] }).fit()
    guard.dispose()
    if (alpha < 1) tf.tidy(() => { for (const [each, value] of Object.entries(interpolateTensors(before, adapter.trainable, alpha))) adapter.trainable[each]?.assign(value) })
    tf.dispose(before)
    return of
  }
}

const FISHER_ROWS = 256

/** Rows with hidden tokens, and what they were. */
async function hidden(ids: Rows, tokenizer: Tokenizer, seed: number): Promise<Examples> {
  const rows = { ids: [] as Int32Array[], tokenLabels: [] as Int32Array[] }
  for await (const { batch, length, ids: of = new Int32Array(), labels = new Int32Array(), mask } of masked(ids, tokenizer, seed, { order: 'given' }).epoch(0)) {
    for (let row = 0; row < batch; row++) {
      const end = row * length + (mask === undefined ? length : mask.subarray(row * length, (row + 1) * length).lastIndexOf(1) + 1)
      rows.ids.push(of.slice(row * length, end))
      rows.tokenLabels.push(Int32Array.from(labels.slice(row * length, end)))
    }
  }
  return rows
}

/** Each with the learning rate at which its search begins. */
export const METHODS = {
  'all weights': { method: () => fullFineTuning(), begin: 3e-4 },
  LoRA: { method: () => lora({ rank: 8, alpha: 16 }), begin: 3e-3 },
  bottleneck: { method: () => bottleneck({ reductionFactor: 8 }), begin: 3e-3 },
  prefix: { method: () => prefix({ virtualTokens: 8 }), begin: 1e-2 },
  prompt: { method: () => prompt({ virtualTokens: 8 }), begin: 1e-2 },
} satisfies Readonly<Record<string, { readonly method: () => Method; readonly begin: number }>>

export const TASKS = { dynasty: DYNASTIES, tune: TUNES } as const

export interface Learner {
  readonly name: keyof typeof METHODS
  readonly learningRate: number
  readonly start: 'pretrained' | 'untrained'
  readonly seed: number
}

/** Share of the held-out poems whose class is right. */
export async function learnTask(folder: string, tokenizer: Tokenizer, task: keyof typeof TASKS, { train, held }: { readonly train: Labelled; readonly held: Labelled }, { name, learningRate, start, seed }: Learner): Promise<number> {
  const options = { task: 'sequence-classification', labels: TASKS[task], pooling: 'mean', seed } as const
  const model = start === 'pretrained' ? await loadModel(join(folder, start), options) : await createModel(configOf(tokenizer.vocabSize), options)
  attach(model, METHODS[name].method(), { seed })
  await new Trainer({ model, train, batchSize: 16, learningRate, warmup: 0.1, maxSteps: STEPS.tasks, seed }).fit()
  const { classes } = await predict(model, held)
  model.dispose()
  return accuracy(classes, held.labels)
}
