// The stages of `npm run bench:chain`: each is a training of its own, and hands its model on to the next through a folder.

import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import {
  accuracy, attach, detach, loadModel, loadTokenizer, lora, maskTokens, merge, predict, prepareBatches, Trainer,
  type Examples, type LoadOptions, type Model, type TrainerOptions,
} from 'tfjs-peft'
import type { BatchSource } from 'tfjs-peft/advanced'
import { loadBrown, splitSamples, type Sample } from '../examples/brown.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { MODEL, passages, SIZES } from './forgetting-tasks.ts'

export const SETTINGS = {
  tokens: SIZES.tokens, words: SIZES.words, batch: 16, rank: 8, alpha: 16,
  domain: { steps: 100, learningRate: 1e-3 },
  intermediate: { steps: 200, learningRate: 3e-3, genres: ['news', 'government', 'hobbies', 'learned', 'religion', 'mystery', 'romance', 'belles_lettres'] },
  target: { steps: 60, labelled: 64, evaluate: 800, genres: ['adventure', 'editorial', 'fiction', 'lore'] },
} as const

export const CHAINS = ['target', 'intermediate → target', 'domain → target', 'domain → intermediate → target'] as const
export type Chain = (typeof CHAINS)[number]

export interface Measured {
  /** Held-out accuracy at the target task. */
  readonly accuracy: number
  /** Held-out loss of masked tokens before and after the stage, and held-out accuracy at the intermediate task. */
  readonly domain?: readonly [before: number, after: number]
  readonly intermediate?: number
}

export interface Labelled extends Examples {
  readonly ids: readonly Int32Array[]
  readonly labels: Int32Array
}

export interface Data {
  /** Every passage to train on, without its genre. */
  readonly domain: { readonly train: BatchSourceOf; readonly evaluate: BatchSource }
  readonly intermediate: { readonly train: Labelled; readonly evaluate: Labelled }
  readonly target: { readonly train: Labelled; readonly evaluate: Labelled }
}

type BatchSourceOf = (seed: number) => BatchSource

/** Passages of the Brown corpus; those to measure on come from samples that no stage trains on. */
export async function loadData(): Promise<Data> {
  const tokenizer = await loadTokenizer(MODEL)
  const { train, evaluate } = await splitSamples(await loadBrown(), 0.3)
  const idsOf = (samples: readonly Sample[]): Int32Array[] => {
    const texts = samples.flatMap(({ text }) => passages(text))
    return tokenizer.encode(texts, { maxLength: SETTINGS.tokens }).ids.map((row) => Int32Array.from(row))
  }
  const labelled = (samples: readonly Sample[], genres: readonly string[]): Labelled => {
    const rows = genres.map((genre) => idsOf(samples.filter((sample) => sample.genre === genre)))
    return { ids: rows.flat(), labels: Int32Array.from(rows.flatMap((own, label) => own.map(() => label))) }
  }
  const task = ({ genres }: { readonly genres: readonly string[] }): Data['target'] => ({
    train: labelled(train, genres),
    evaluate: draw(labelled(evaluate, genres), SETTINGS.target.evaluate, 0),
  })
  const masked = (ids: readonly Int32Array[], seed: number): BatchSource =>
    prepareBatches({ ids }, { batchSize: SETTINGS.batch, order: { seed }, transform: maskTokens({ tokenizer, seed }) })
  const [text, held] = [idsOf(train), idsOf(evaluate)]
  return {
    domain: { train: (seed) => masked(text, seed), evaluate: masked(draw({ ids: held, labels: new Int32Array(held.length) }, 320, 0).ids, 0) },
    intermediate: task(SETTINGS.intermediate),
    target: task(SETTINGS.target),
  }
}

/** Goes through the stages of chains, each of which is trained once for a seed. @param folder for models and adapters */
export function chainRunner(folder: string, { domain, intermediate, target }: Data, seed: number): (chain: Chain, learningRate: number, evaluate?: Labelled) => Promise<Measured> {
  const { batch } = SETTINGS
  const done = new Map<string, Promise<Partial<Measured>>>()
  const once = (name: string, train: () => Promise<Partial<Measured>>): Promise<Partial<Measured>> => {
    const running = done.get(name) ?? train()
    done.set(name, running)
    return running
  }
  const path = (name: string): string => join(folder, `${seed} ${name}`)

  const domainStage = (): Promise<Partial<Measured>> => once('domain', async () => {
    const { steps, learningRate } = SETTINGS.domain
    const model = await loadModel(MODEL, { task: 'masked-lm', newHead: true, seed })
    const before = await lossOn(model, domain.evaluate)
    await fit(model, { train: domain.train(seed), maxSteps: steps, learningRate, warmup: 0.1, seed }, path('domain'))
    const trained = await loadModel(path('domain'), { task: 'masked-lm' })
    const after = await lossOn(trained, domain.evaluate)
    trained.dispose()
    return { domain: [before, after] }
  })
  const intermediateStage = (from: string, name: string): Promise<Partial<Measured>> => once(name, async () => {
    const { steps, learningRate, genres } = SETTINGS.intermediate
    const model = await loadModel(from, classifier(genres, seed))
    await fit(model, { train: draw(intermediate.train, batch * steps, seed), batchSize: batch, learningRate, warmup: 0.1, seed }, path(name))
    const trained = await loadModel(path(name), { task: 'sequence-classification' })
    const score = await accuracyOn(trained, intermediate.evaluate)
    trained.dispose()
    return { intermediate: score }
  })

  return async (chain, learningRate, evaluate = target.evaluate) => {
    const stages = chain.split(' → ').slice(0, -1)
    let from: string = MODEL
    let measured: Partial<Measured> = {}
    for (const [i, stage] of stages.entries()) {
      const name = stages.slice(0, i + 1).join(' ')
      measured = { ...measured, ...(stage === 'domain' ? await domainStage() : await intermediateStage(from, name)) }
      from = path(name)
    }
    const model = await loadModel(from, classifier(SETTINGS.target.genres, seed))
    const rows = draw(target.train, SETTINGS.target.labelled, seed)
    await fit(model, { train: rows, batchSize: batch, maxSteps: SETTINGS.target.steps, learningRate, warmup: 0.1, seed }, path('target'))
    const trained = await loadModel(path('target'), { task: 'sequence-classification' })
    const score = await accuracyOn(trained, evaluate)
    trained.dispose()
    return { accuracy: score, ...measured }
  }
}

/** Passages to train on that a seed's labelled ones are not among, to choose the learning rate on. */
export function restOf({ target }: Data, seed: number): Labelled {
  const taken = new Set(draw(target.train, SETTINGS.target.labelled, seed).ids)
  const rows = Array.from(target.train.ids.keys()).filter((row) => !taken.has(target.train.ids[row] as Int32Array))
  return draw(pick(target.train, rows), SETTINGS.target.evaluate, seed)
}

function classifier(labels: readonly string[], seed: number): LoadOptions {
  return { task: 'sequence-classification', labels, newHead: true, seed }
}

/** Trains an adapter, saves it, and the model with the adapter in its weights for the next stage. */
export async function fit(model: Model, options: Omit<TrainerOptions, 'model'>, folder: string): Promise<void> {
  const { rank, alpha } = SETTINGS
  const adapter = attach(model, lora({ rank, alpha, targets: ['query', 'value'] }), { seed: options.seed ?? 0 })
  await new Trainer({ model, ...options }).fit()
  await adapter.save(`${folder} lora`)
  const merged = merge(model, adapter)
  await merged.save(folder)
  detach(adapter)
  for (const each of [merged, model]) each.dispose()
}

export async function accuracyOn(model: Model, { ids, labels }: Labelled): Promise<number> {
  return accuracy((await predict(model, { ids }, { batchSize: 50 })).classes, labels)
}

export async function lossOn(model: Model, source: BatchSource): Promise<number> {
  let sum = 0
  for await (const batch of source.epoch(0)) sum += tf.tidy(() => model.loss(batch).dataSync()[0] ?? NaN)
  return sum / source.count
}

/** `count` rows by the seed, as many of each class. */
function draw(rows: Labelled, count: number, seed: number): Labelled {
  return pickFrom(rows, count, seed, 0)
}

/** Rows by the seed, so many of each class, behind as many that are left to others. */
export function pickEach(rows: Labelled, each: number, seed: number, behind = 0): Labelled {
  return pickFrom(rows, each * new Set(rows.labels).size, seed, behind)
}

function pickFrom(rows: Labelled, count: number, seed: number, behind: number): Labelled {
  const classes = [...new Set(rows.labels)]
  const places = classes.map((label) => {
    const own = Array.from(rows.labels.keys()).filter((row) => rows.labels[row] === label)
    return Array.from(permutation(randomStream(seed, 'rows', label), own.length), (i) => own[i] as number) // an index of it
  })
  const picked = Array.from({ length: count }, (_, i) => places[i % classes.length]?.[behind + Math.floor(i / classes.length)] ?? -1)
  if (picked.includes(-1)) throw new Error(`There are no ${count} rows with equal classes.`)
  return pick(rows, picked)
}

function pick({ ids, labels }: Labelled, rows: readonly number[]): Labelled {
  return { ids: rows.map((row) => ids[row] as Int32Array), labels: Int32Array.from(rows, (row) => labels[row] ?? NaN) } // rows of it
}
