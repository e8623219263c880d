// One worker of `bench/workers.ts`: times steps on random token ids; the first prints them, with the milliseconds of each that it waited for sums.

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
}

/** What both sides answer: each step that counts, and the waiting in it for sums that the backward pass did not hide; torch's is not known. */
export interface WorkersMeasured {
  readonly times_ms: readonly number[]
  readonly sums_ms?: readonly number[]
}

const { model: folder, method, batch, length, steps, warmup } = JSON.parse(process.argv[2] ?? 'null') as WorkersRun
const workers = await joinWorkers()
const model = await loadModel(folder, { task: 'sequence-classification', labels: ['a', 'b'] })
attach(model, method === 'LoRA' ? lora({ rank: 8, alpha: 16 }) : fullFineTuning())
const draw = randomStream(0, 'ids')
const ids = Array.from({ length: batch * workers.count }, () => Int32Array.from({ length }, () => 1000 + int(draw, 20_000)))
let [spent, last] = [0, 0]
const distributed = {
  ...workers,
  async sum(numbers: Float32Array) {
    const begin = (last = performance.now())
    await workers.sum(numbers)
    if (begin === last) spent += performance.now() - begin // a step waits behind its last sum alone
  },
}
const trainer = new Trainer({ model, train: { ids, labels: ids.map((_, i) => i % 2) }, batchSize: batch, maxSteps: steps + warmup, distributed })
const [times_ms, sums_ms]: [number[], number[]] = [[], []]
let before = performance.now()
for await (const { type, step } of trainer.run()) {
  if (type !== 'step') continue
  const now = performance.now()
  if (step > warmup) {
    times_ms.push(now - before)
    sums_ms.push(spent)
  }
  spent = 0
  before = performance.now()
}
if (workers.rank === 0) console.log(JSON.stringify({ times_ms, sums_ms } satisfies WorkersMeasured))
