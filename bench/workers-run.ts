// One worker of `bench/workers.ts`: times steps on random token ids, and sums of a few numbers; the first prints what it measured.

import { attach, fullFineTuning, joinWorkers, loadModel, lora, Trainer } from 'tfjs-peft'
import { int, randomStream } from '../src/base/random.ts'

/** What both sides are told. */
export interface WorkersRun {
  /** Folder of the checkpoint. */
  readonly model: string
  readonly method: 'LoRA' | 'full'
  /** Rows of each worker. */
  readonly batch: number
  readonly length: number
  readonly steps: number
  readonly warmup: number
  /** Numbers of a sum whose bytes take the time. */
  readonly many: number
}

/** What both sides answer; of torch only the times are known. */
export interface WorkersMeasured {
  /** Of each step that counts. */
  readonly times_ms: readonly number[]
  /** Of the processors, in each of them, of the first worker with all its threads. */
  readonly cpu_ms: readonly number[]
  /** The waiting in it for sums that the backward pass did not hide. */
  readonly sums_ms?: readonly number[]
  /** Numbers that a step sums, and in how many sums. */
  readonly numbers?: number
  readonly sums?: number
  /** Each of some sums of so few numbers that only the ways between the workers take time, and of some of `many`. */
  readonly few_ms?: readonly number[]
  readonly many_ms?: readonly number[]
}

const { model: folder, method, batch, length, steps, warmup, many } = JSON.parse(process.argv[2] ?? 'null') as WorkersRun
const workers = await joinWorkers()
const model = await loadModel(folder, { task: 'sequence-classification', labels: ['a', 'b'] })
attach(model, method === 'LoRA' ? lora({ rank: 8, alpha: 16 }) : fullFineTuning())
const draw = randomStream(0, 'ids')
const ids = Array.from({ length: batch * workers.count }, () => Int32Array.from({ length }, () => 1000 + int(draw, 20_000)))
/** Of a step: what it sums, since when its thread has nothing else to do, and when the last sum was there. */
interface OfStep { numbers: number, sums: number, idle?: number, done?: number }
let ofStep: OfStep = { numbers: 0, sums: 0 }
const distributed = {
  ...workers,
  async sum(values: Float32Array) {
    const own = ofStep
    own.numbers += values.length
    own.sums++
    setImmediate(() => { own.idle ??= performance.now() }) // the walk back lets none through
    await workers.sum(values)
    own.done = performance.now()
  },
}
const trainer = new Trainer({ model, train: { ids, labels: ids.map((_, i) => i % 2) }, batchSize: batch, maxSteps: steps + warmup, distributed })
const [times_ms, cpu_ms, sums_ms]: [number[], number[], number[]] = [[], [], []]
let { numbers, sums } = ofStep
let [before, used] = [performance.now(), process.cpuUsage()]
for await (const { type, step } of trainer.run()) {
  if (type !== 'step') continue
  const [now, { user, system }] = [performance.now(), process.cpuUsage(used)]
  if (step > warmup) {
    times_ms.push(now - before)
    cpu_ms.push((user + system) / 1000)
    sums_ms.push((ofStep.done ?? 0) - (ofStep.idle ?? 0))
  }
  ({ numbers, sums } = ofStep)
  ofStep = { numbers: 0, sums: 0 }
  used = process.cpuUsage()
  before = performance.now()
}
const [few_ms, many_ms] = [await sumsTake(2 * workers.count, 10), await sumsTake(many, 5)]
if (workers.rank === 0) console.log(JSON.stringify({ times_ms, cpu_ms, sums_ms, numbers, sums, few_ms, many_ms } satisfies WorkersMeasured))

async function sumsTake(count: number, times: number): Promise<readonly number[]> {
  const taken: number[] = []
  for (let i = 0; i < times; i++) {
    const begin = performance.now()
    await workers.sum(new Float32Array(count))
    taken.push(performance.now() - begin)
  }
  return taken
}
