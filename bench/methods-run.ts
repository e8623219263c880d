// One run of one method, in a process of its own: what `bench/methods.ts` starts.
//
//   node --import tsx bench/methods-run.ts '{"kind":"accuracy", …}'      prints its result as JSON

import { readFile } from 'node:fs/promises'
import { accuracy, attach, loadModel, precisionRecallF1, predict, rankBudget, Trainer, type Adapter, type Examples, type Model } from 'tfjs-peft'
import { TrainingError } from 'tfjs-peft/advanced'
import { tensorflow } from '../src/base/engine/tensorflow.ts'
import { int, permutation, randomStream } from '../src/base/random.ts'
import { benchMethod, MODEL } from './methods-rows.ts'

export interface AccuracyTask {
  readonly kind: 'accuracy'
  readonly method: string
  readonly learningRate: number
  readonly seed: number
  readonly batch: number
  readonly steps: number
  /** A `Data` as JSON. */
  readonly data: string
}

/** Rows to train on and rows to measure on. */
export interface Data {
  readonly train: Rows
  readonly evaluate: Rows
}

export interface Rows {
  readonly ids: readonly (readonly number[])[]
  readonly labels: readonly number[]
}

export interface AccuracyResult {
  /** 0 where the training broke off because its numbers were not finite. */
  readonly accuracy: number
  readonly f1: number
  readonly trainable: number
  /** Parameters of the model and what is attached. */
  readonly total: number
}

export interface TimeTask {
  readonly kind: 'time'
  readonly method: string
  readonly batch: number
  readonly length: number
  /** Steps that count, after `warmup` that do not. */
  readonly steps: number
  readonly warmup: number
}

export interface TimeResult {
  readonly step_ms: readonly number[]
  readonly peak_rss_mb: number
  /** Version of TensorFlow. */
  readonly engine: string
}

const task = JSON.parse(process.argv[2] ?? 'null') as AccuracyTask | TimeTask
console.log(JSON.stringify(await (task.kind === 'time' ? time(task) : learn(task))))

async function learn({ method, learningRate, seed, batch, steps, data }: AccuracyTask): Promise<AccuracyResult> {
  const { train, evaluate } = JSON.parse(await readFile(data, 'utf8')) as Data
  const order = permutation(randomStream(seed, 'mails'), train.ids.length).slice(0, batch * steps)
  const { model, adapters } = await adapted(method, seed)
  const size = sizeOf(adapters)
  const { groups, budget } = benchMethod(method)
  const trainer = new Trainer({
    model, train, order, batchSize: batch, learningRate, warmup: 0.1, seed,
    ...(groups === undefined ? {} : { groups: groups() }),
    guards: budget === undefined ? [] : adapters.map((adapter) => rankBudget(adapter, { ...budget, steps })),
  })
  try {
    await trainer.fit()
  } catch (error) {
    if (error instanceof TrainingError) return { accuracy: 0, f1: 0, ...size } // a learning rate that is too high is a result too
    throw error
  }
  const { classes } = await predict(model, evaluate)
  return { accuracy: accuracy(classes, evaluate.labels), f1: precisionRecallF1(classes, evaluate.labels).f1, ...size }
}

/** Steps on random token ids: their values do not change the time. */
async function time({ method, batch, length, steps, warmup }: TimeTask): Promise<TimeResult> {
  const { model } = await adapted(method, 0)
  const draw = randomStream(0, 'ids')
  const ids = Array.from({ length: batch * (warmup + steps) }, () => Int32Array.from({ length }, () => int(draw, 30_000)))
  const train: Examples = { ids, labels: Int32Array.from(ids, (_, i) => i % 2) }
  const times: number[] = []
  await new Trainer({ model, train, batchSize: batch, learningRate: 1e-5 }).fit({
    onEvent: (event) => event.type === 'step' && times.push(event.milliseconds),
  })
  const peak = (process.resourceUsage().maxRSS * 1024) / 1e6
  return { step_ms: times.slice(warmup), peak_rss_mb: peak, engine: tensorflow()?.binding.TF_Version ?? 'none' }
}

async function adapted(method: string, seed: number): Promise<{ readonly model: Model; readonly adapters: readonly Adapter[] }> {
  const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['ham', 'spam'], seed })
  const { calls } = benchMethod(method)
  const adapters = calls.map((make, i) => {
    const last = i === calls.length - 1
    return attach(model, make(), { name: String(i), seed, ...(last ? {} : { train: [] }) })
  })
  return { model, adapters }
}

function sizeOf(adapters: readonly Adapter[]): Pick<AccuracyResult, 'trainable' | 'total'> {
  const summaries = adapters.map((adapter) => adapter.summary())
  const trainable = summaries.reduce((sum, one) => sum + one.trainable, 0)
  const first = summaries[0]
  if (first === undefined) throw new Error('Nothing is attached.')
  // `total` of one adapter is the model and it alone
  return { trainable, total: first.total + trainable - first.trainable }
}
