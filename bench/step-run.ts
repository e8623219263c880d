// One run in a process of its own: what `bench/step.ts` starts.
//
//   npx tsx bench/step-run.ts '{"model": …}'      prints a `Measured` as JSON

import { attach, loadModel, Trainer, type LoadOptions, type Model, type Task } from 'tfjs-peft'
import { tensorflow } from '../src/base/engine/tensorflow.ts'
import { int, normal, randomStream } from '../src/base/random.ts'
import { floorOf, productsOf, type Product } from './step-floor.ts'
import { METHODS, type Measure } from './step-workloads.ts'

/** What both sides are told. */
export interface Run {
  /** Folder of the checkpoint. */
  readonly model: string
  readonly task: Task
  readonly method: keyof typeof METHODS
  readonly dtype: NonNullable<LoadOptions['dtype']>
  readonly batch: number
  readonly length: number
  /** Tokens of each text to write, of an encoder-decoder. */
  readonly targets?: number
  /** Share of the tokens that have a label, see `Workload`. */
  readonly labelled?: number
  /** Height and width of pictures, in place of texts. */
  readonly pixels?: number
  readonly measure: Measure
  /** Steps or passes that count, after `warmup` that do not. */
  readonly steps: number
  readonly warmup: number
  readonly compile: boolean
  readonly recompute: boolean
  /** For the peer, which times the same. */
  readonly products?: readonly Product[]
}

/** What both sides answer. */
export interface Measured {
  /** Each step or pass that counts. */
  readonly times_ms: readonly number[]
  /** The whole process's, in units of 10⁶ bytes. */
  readonly peak_rss_mb: number
  /** The frozen weights, of the same units; the peer's are as many. */
  readonly weights_mb?: number
  /** From the start of the process on; where that is what is measured. */
  readonly first_logits_s?: number
  readonly first_step_s?: number
  /** The products of a step or pass by themselves, and which they are. */
  readonly floor_ms?: number
  readonly products?: readonly Product[]
  readonly versions: Readonly<Record<string, string>>
}

const run = JSON.parse(process.argv[2] ?? 'null') as Run
console.log(JSON.stringify(await measure(run)))

async function measure({ model: folder, task, method, dtype, batch, length, targets, labelled, pixels, measure: what, ...run }: Run): Promise<Measured> {
  const model = await loadModel(folder, { task, dtype, ...(task.endsWith('classification') ? { labels: ['a', 'b'] } : {}) })
  attach(model, METHODS[method]())
  const size = { batch, length, targets, labelled, pixels }
  const timings = what === 'step'
    ? { times_ms: await stepTimes(model, size, run) }
    : what === 'forward'
      ? { times_ms: Array.from({ length: run.warmup + run.steps }, () => forwardTime(model, size)).slice(run.warmup) }
      : await startTimes(model, size)
  const weights = [...model.parts.params.values()].reduce((sum, { bytes }) => sum + bytes, 0) / 1e6
  const peak = (process.resourceUsage().maxRSS * 1024) / 1e6
  const versions = { node: process.version, tensorflow: tensorflow()?.binding.TF_Version ?? 'none' }
  const isPlain = targets === undefined && labelled === undefined && pixels === undefined
  const products = what === 'start' || !isPlain ? [] : productsOf(model, size, { dtype, backward: what === 'step' })
  const floor = products.length === 0 ? {} : { floor_ms: floorOf(products), products }
  return { ...timings, ...floor, peak_rss_mb: peak, weights_mb: weights, versions }
}

type Size = Pick<Run, 'batch' | 'length'> & { readonly [name in 'targets' | 'labelled' | 'pixels']: number | undefined }

async function stepTimes(model: Model, { batch, length, targets, labelled, pixels }: Size, { warmup, steps, recompute }: Pick<Run, 'warmup' | 'steps' | 'recompute'>): Promise<number[]> {
  const count = batch * (warmup + steps)
  const ids = randomRows(count, length)
  const rows = pixels === undefined ? { ids } : { pixels: new Array<Float32Array>(count).fill(randomPixels(1, pixels)) }
  const labels = targets !== undefined
    ? { targets: randomRows(count, targets) }
    : labelled !== undefined ? { tokenLabels: ids.map((row) => row.map((id, i) => (hasLabel(model.parts.task, labelled, i, length) ? id : -100))) }
    : model.parts.task === 'causal-lm' ? {} : { labels: Int32Array.from(ids, (_, i) => i % 2) }
  const times: number[] = []
  await new Trainer({ model, train: { ...rows, ...labels }, batchSize: batch, learningRate: 1e-4, gradientCheckpointing: recompute }).fit({
    onEvent: (event) => event.type === 'step' && times.push(event.milliseconds),
  })
  return times.slice(warmup)
}

function forwardTime(model: Model, { batch, length, pixels }: Size): number {
  const rows = pixels === undefined ? { ids: Int32Array.from(randomRows(batch, length).flatMap((row) => [...row])) } : { pixels: randomPixels(batch, pixels) }
  const start = performance.now()
  const logits = model.forward({ ...rows, batch, length })
  logits.dataSync()
  const time = performance.now() - start
  logits.dispose()
  return time
}

async function startTimes(model: Model, size: Size): Promise<Omit<Measured, 'peak_rss_mb' | 'weights_mb' | 'versions'>> {
  forwardTime(model, size)
  const logits = process.uptime()
  await stepTimes(model, size, { warmup: 0, steps: 1, recompute: false })
  return { times_ms: [], first_logits_s: logits, first_step_s: process.uptime() }
}

function hasLabel(task: Task, share: number, i: number, length: number): boolean {
  return task === 'causal-lm' ? i >= (1 - share) * length : Math.floor((i + 1) * share) > Math.floor(i * share)
}

/** Pictures of three channels. */
function randomPixels(count: number, side: number): Float32Array {
  return normal(randomStream(0, 'pixels'), count * 3 * side * side, 0, 1)
}

/** Token ids; their values do not change the time. */
function randomRows(count: number, length: number): Int32Array[] {
  const draw = randomStream(0, 'ids')
  return Array.from({ length: count }, () => Int32Array.from({ length }, () => int(draw, 30_000)))
}
