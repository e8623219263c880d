// What `npm run bench:overfitting` learns: four genres of the Brown corpus from a few passages of each, with one means against overfitting or none.

import { attach, detach, evaluate, loadModel, lora, Trainer, type Examples } from 'tfjs-peft'
import { loadData, pickEach, SETTINGS as PASSAGES } from './chain-run.ts'
import { MODEL } from './forgetting-tasks.ts'

export const SETTINGS = { batch: 16, steps: 50, every: 10, evaluate: 120, rank: 16, learningRate: 1e-3, patience: 2 } as const
export const GENRES = PASSAGES.target.genres

interface Means {
  /** Of LoRA's input, and the model's own 0.1. */
  readonly dropout?: number
  readonly weightDecay?: number
  readonly labelSmoothing?: number
  readonly rank?: number
  /** Ends with the weights of the least loss on passages of their own, as many as those to learn from. */
  readonly early?: boolean
}

export const WAYS = {
  nothing: {},
  'dropout 0.3': { dropout: 0.3 },
  'weight decay 10': { weightDecay: 10 },
  'label smoothing 0.2': { labelSmoothing: 0.2 },
  'rank 1': { rank: 1 },
  'early stopping': { early: true },
} as const satisfies Readonly<Record<string, Means>>
export type Way = keyof typeof WAYS

/** After some steps: the loss of the passages that are learned from, and of held-out ones. */
export interface Place {
  readonly step: number
  readonly train: number
  readonly held: number
}

export interface Measured {
  readonly places: readonly Place[]
  /** At the end, or as early stopping left it. */
  readonly accuracy: number
  readonly loss: number
  readonly step: number
}

type Rows = Examples & { readonly ids: readonly Int32Array[]; readonly labels: Int32Array }

export interface Data {
  readonly train: Rows
  readonly held: Rows
}

export async function load(): Promise<Data> {
  const { target: { train, evaluate: held } } = await loadData()
  return { train, held: pickEach(held, SETTINGS.evaluate / GENRES.length, 0) }
}

/** @param each passages of a genre */
export async function learn({ train, held }: Data, way: Way, each: number, seed: number, steps: number = SETTINGS.steps): Promise<Measured> {
  const { batch, every, learningRate, patience } = SETTINGS
  const { dropout = 0, weightDecay = 0, labelSmoothing = 0, rank = SETTINGS.rank, early = false }: Means = WAYS[way]
  const model = await loadModel(MODEL, { task: 'sequence-classification', labels: GENRES, newHead: true, seed, dropout: dropout > 0 })
  const adapter = attach(model, lora({ rank, alpha: 2 * rank, targets: 'all-linear', dropout }), { seed })
  const [rows, others] = [pickEach(train, each, seed), pickEach(train, each, seed, each)] // others: of early stopping alone
  const trainer = new Trainer({
    model, train: rows, batchSize: batch, maxSteps: steps, learningRate, warmup: 0.1, weightDecay, labelSmoothing, seed,
    ...(early ? { evaluate: others, evaluateEvery: every, best: { metric: 'loss', patience } } : {}),
  })
  const places: Place[] = []
  const look = async (step: number): Promise<void> => { places.push({ step, train: (await evaluate(model, rows)).loss ?? NaN, held: (await evaluate(model, held)).loss ?? NaN }) }
  let last = 0
  let chosen = steps
  await look(0)
  for await (const event of trainer.run()) {
    if (event.type === 'step' && event.step % every === 0) await look((last = event.step))
    if (event.type === 'end') chosen = event.best?.step ?? event.step
  }
  const { accuracy = NaN, loss = NaN } = await evaluate(model, held)
  const end = { train: (await evaluate(model, rows)).loss ?? NaN, held: loss }
  for (let step = last + every; step <= steps; step += every) places.push({ step, ...end }) // as it was left
  detach(adapter)
  model.dispose()
  return { places, accuracy, loss, step: chosen }
}
