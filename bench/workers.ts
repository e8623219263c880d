// What several workers of one thread each gain, beside torch's DistributedDataParallel (gloo) with PEFT on the same work, and what two keep
// over a slow network.
//
//   npm run bench:workers                  under ten minutes on a machine that does nothing else
//   npm run bench:workers -- --steps 1     a short run, which is no result and writes nothing
//   npm run bench:workers -- --table       writes the tables alone
//
// Writes workers.json into bench/results/<kind of processor> and the tables of docs/distributed.md.

import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { addressesOf } from '../src/distributed/addresses.ts'
import { openLink } from './link.ts'
import { compiled, machineNow, median, path, peersPython, run } from './process.ts'
import { saveTimes } from './processors.ts'
import { randomModelFolder } from './random-model.ts'
import type { WorkersMeasured, WorkersRun } from './workers-run.ts'
import { MANY, writeTables, type WorkersRow } from './workers-table.ts'

const WORKLOADS = [
  { workload: 'LoRA, BERT-base', shape: 'bert-base', method: 'LoRA', batch: 8, length: 128 },
  { workload: 'full, MiniLM', shape: 'minilm', method: 'full', batch: 32, length: 128 },
] as const
/** Milliseconds, in either direction, and bytes a second: 100 Mbit/s. */
const SLOW = { delay: 20, rate: 12.5e6 }
const [FULL, WARMUP] = [6, 2]
const WORKERS = [1, 2, 4]
const CORES = cpus().length
const { values } = parseArgs({ options: { steps: { type: 'string', default: String(FULL) }, table: { type: 'boolean', default: false } } })
const steps = Number(values.steps)

// One thread each, on both sides, however many workers there are.
Object.assign(process.env, { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1', OMP_NUM_THREADS: '1' })

if (!values.table) {
  const rows = await measureAll()
  if (steps === FULL) await saveTimes('workers', { machine: machineNow(), rows })
}
if (values.table || steps === FULL) await writeTables()

async function measureAll(): Promise<readonly WorkersRow[]> {
  const program = await compiled('workers-run')
  const python = peersPython()
  const rows: WorkersRow[] = []
  for (const { workload, shape, ...work } of WORKLOADS) {
    const whole: WorkersRun = { model: await randomModelFolder(shape), ...work, steps, warmup: WARMUP, many: MANY }
    const fewer = { ...whole, steps: Math.ceil(steps / 2), warmup: 1 } // where each step takes long
    const alone: Partial<Record<'ours' | 'theirs', number>> = {}
    const note = (row: WorkersRow): void => {
      rows.push(row)
      console.log(row)
    }
    for (const workers of WORKERS) {
      const told = workers > CORES ? fewer : whole
      const ours = (await run(process.execPath, launcher(['--processes', String(workers)], program, told))) as WorkersMeasured
      const theirs = (await run(python, [path('peers/ddp.py'), String(workers), JSON.stringify(told)])) as WorkersMeasured
      const peer_ms = median(theirs.times_ms)
      const row = rowOf(workload, 'loopback', workers, ours, alone.ours ??= median(ours.times_ms))
      note({ ...row, peer_ms, peer_cpu_ms: median(theirs.cpu_ms), peer: row.step_ms / peer_ms, peer_efficiency: (ideal(workers) * (alone.theirs ??= peer_ms)) / peer_ms })
    }
    note(rowOf(workload, 'slow', 2, await overSlowLink(program, fewer), alone.ours ?? NaN))
  }
  return rows
}

/** A step of so many workers, in steps of one: they share the cores where there are fewer. */
function ideal(workers: number): number {
  return Math.max(1, workers / CORES)
}

function rowOf(workload: string, network: WorkersRow['network'], workers: number, ours: WorkersMeasured, alone: number): WorkersRow {
  const { times_ms, cpu_ms, sums_ms = [], numbers = NaN, sums = NaN, few_ms = [], many_ms = [] } = ours
  const step_ms = median(times_ms)
  return { workload, network, workers, step_ms, cpu_ms: median(cpu_ms), efficiency: (ideal(workers) * alone) / step_ms, reduction: median(sums_ms) / step_ms, numbers, sums, few_ms: median(few_ms), many_ms: median(many_ms) }
}

/** Two workers as on two machines, each with a launcher of its own, which know each other by the ports of a link. */
async function overSlowLink(program: string, told: WorkersRun): Promise<WorkersMeasured> {
  const [first = NaN, second = NaN] = (await addressesOf({ processes: '2' })).all.map((address) => Number(address.replace(/.*:/, '')))
  const link = await openLink([first, second], SLOW)
  try {
    const hosts = [[first, link.ports[0]], [link.ports[1], second]].map((ports) => ports.map((port) => `127.0.0.1:${port}`).join(','))
    const [measured] = await Promise.all(hosts.map((list, rank) => run(process.execPath, launcher(['--hosts', list, '--rank', String(rank)], program, told))))
    return measured as WorkersMeasured
  } finally {
    await link.close()
  }
}

function launcher(options: readonly string[], program: string, told: WorkersRun): readonly string[] {
  return [path('../dist/cli/main.js'), 'launch', ...options, program, JSON.stringify(told)]
}
