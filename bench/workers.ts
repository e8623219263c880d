// What several workers of one thread each gain, beside torch's DistributedDataParallel (gloo) with PEFT on the same work.
//
//   npm run bench:workers                  writes bench/results/workers.json; on a machine that does nothing else
//   npm run bench:workers -- --steps 1     a short run, which is no result

import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { compiled, median, path, peersPython, run, writeResults } from './process.ts'
import { randomModelFolder } from './random-model.ts'
import type { WorkersMeasured, WorkersRun } from './workers-run.ts'

const WORKLOADS = [
  { workload: 'LoRA, BERT-base', shape: 'bert-base', method: 'LoRA', batch: 8, length: 128 },
  { workload: 'full, MiniLM', shape: 'minilm', method: 'full', batch: 32, length: 128 },
] as const
const [FULL, WARMUP] = [8, 2]
const WORKERS = [1, 2, 4].filter((count) => count <= Math.max(2, cpus().length))
const { values } = parseArgs({ options: { steps: { type: 'string', default: String(FULL) } } })
const steps = Number(values.steps)

// One thread each, on both sides, however many workers there are.
Object.assign(process.env, { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1', OMP_NUM_THREADS: '1' })
const program = await compiled('workers-run')
const python = peersPython()
const main = path('../dist/cli/main.js')
const rows: object[] = []
for (const { workload, shape, ...work } of WORKLOADS) {
  const told: WorkersRun = { model: await randomModelFolder(shape), ...work, steps, warmup: WARMUP }
  const alone: Partial<Record<'ours' | 'theirs', number>> = {}
  for (const workers of WORKERS) {
    const ours = await measured(process.execPath, [main, 'launch', '--processes', String(workers), program, JSON.stringify(told)])
    const theirs = await measured(python, [path('peers/ddp.py'), String(workers), JSON.stringify(told)])
    const [step_ms, peer_ms] = [median(ours.times_ms), median(theirs.times_ms)]
    alone.ours ??= step_ms
    alone.theirs ??= peer_ms
    const row = {
      workload, workers, step_ms, peer_ms, efficiency: alone.ours / step_ms, peer_efficiency: alone.theirs / peer_ms,
      peer: step_ms / peer_ms, reduction: median(ours.sums_ms ?? []) / step_ms,
    }
    rows.push(row)
    console.log(row)
  }
}
if (steps === FULL) await writeResults('workers', rows)

async function measured(command: string, args: readonly string[]): Promise<WorkersMeasured> {
  return (await run(command, args)) as WorkersMeasured
}
