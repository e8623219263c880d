// The tables of `npm run bench:workers` in docs/distributed.md: what was measured, and what follows for more machines.

import { writeSection } from './doc-section.ts'
import { table } from './markdown.ts'
import { madeOn, type Machine } from './process.ts'
import { ofEachProcessor, readTimes } from './processors.ts'

/** Numbers of a sum whose bytes take the time. */
export const MANY: number = 2 ** 20

export interface WorkersRow {
  readonly workload: string
  /** Between processes of one machine; or 100 Mbit/s and 20 ms. */
  readonly network: 'loopback' | 'slow'
  readonly workers: number
  readonly step_ms: number
  /** Of the processors, that each worker uses in a step with all its threads: others that work on the machine change it little. */
  readonly cpu_ms?: number
  /** Of one worker's step in this one; of as many as each core has, where the workers are more than the cores. */
  readonly efficiency: number
  /** Share of the step that is spent waiting for sums. */
  readonly reduction: number
  readonly numbers: number
  readonly sums: number
  readonly few_ms: number
  readonly many_ms: number
  readonly peer_ms?: number
  readonly peer_cpu_ms?: number
  /** The step's time in that of the peer. */
  readonly peer?: number
  readonly peer_efficiency?: number
}

/** Of a way between two machines. Milliseconds, bytes a millisecond. */
interface Network {
  readonly name: string
  readonly delay: number
  readonly rate: number
}

const SLOW: Network = { name: '100 Mbit/s, 20 ms', delay: 20, rate: 12_500 }
const NETWORKS: readonly Network[] = [SLOW, { name: '1 Gbit/s, 0.2 ms', delay: 0.2, rate: 125_000 }, { name: '10 Gbit/s, 0.05 ms', delay: 0.05, rate: 1_250_000 }]
const MACHINES = [8, 64, 512]

export async function writeTables(): Promise<void> {
  await writeSection('distributed', 'bench:workers', await ofEachProcessor(tablesOf))
}

/** What was measured on a kind of processor, and what follows from it. */
async function tablesOf(kind: string): Promise<string | undefined> {
  const measured = await readTimes<{ readonly machine: Machine; readonly rows: readonly WorkersRow[] }>('workers', kind)
  if (measured === undefined) return undefined
  const { machine, rows } = measured
  return [...measuredTable(rows), '', `Medians of steps; ${madeOn(machine)}.`, '', ...predictedTable(rows)].join('\n')
}

function measuredTable(rows: readonly WorkersRow[]): string[] {
  const percent = (share: number | undefined): string => (share === undefined ? '' : `${(100 * share).toFixed(1)} %`)
  const milliseconds = (ms: number | undefined): string => (ms === undefined ? '' : `${ms.toFixed(0)} ms`)
  return table(['work', 'workers', 'network', 'step', 'of its core\'s speed each', 'processor time each', 'waiting for sums', 'step of DDP', 'the same of DDP', 'processor time each'], rows.map((row) => [
    row.workload, String(row.workers), row.network === 'slow' ? SLOW.name : 'one machine', milliseconds(row.step_ms), percent(row.efficiency), milliseconds(row.cpu_ms),
    row.workers === 1 ? '' : percent(row.reduction), milliseconds(row.peer_ms), percent(row.peer_efficiency), milliseconds(row.peer_cpu_ms),
  ]))
}

/** Each machine's share of the speed that it has alone. */
function predictedTable(rows: readonly WorkersRow[]): string[] {
  const costs = [...new Set(rows.map(({ workload }) => workload))].map((workload) => costOf(rows.filter((row) => row.workload === workload)))
  const lines = costs.flatMap((cost) => NETWORKS.map((network) =>
    [cost.workload, network.name, ...MACHINES.map((machines) => `${(100 * keptBy(machines, network, cost)).toFixed(0)} %`)]))
  return table(['work', 'network', ...MACHINES.map((machines) => `${machines} machines`)], lines)
}

/** What a step's sums take. Milliseconds. */
export interface Cost {
  readonly workload: string
  /** The step of one machine. */
  readonly alone: number
  readonly sums: number
  /** That a machine gives and takes in a step. */
  readonly bytes: number
  /** From one machine to the next, over no distance. */
  readonly hop: number
  /** Of the network's delay, in a hop. */
  readonly delays: number
  /** Of the processors. */
  readonly perByte: number
  /** Waiting over the slow link, of two workers. */
  readonly waiting: number
}

export function costOf(rows: readonly WorkersRow[]): Cost {
  const find = (network: WorkersRow['network'], workers: number): WorkersRow => {
    const row = rows.find((one) => one.network === network && one.workers === workers)
    if (row === undefined) throw new Error(`workers.json: expected a row of ${workers} workers, network ${network}`)
    return row
  }
  const [one, near, far] = [find('loopback', 1), find('loopback', 2), find('slow', 2)]
  const { workload, sums } = near
  const [bytes, hop] = [4 * near.numbers, near.few_ms / 2] // two workers have two hops
  const delays = Math.max(0, far.few_ms / 2 - hop) / SLOW.delay
  const perByte = Math.max(0, near.many_ms - near.few_ms) / (4 * MANY)
  return { workload, alone: one.step_ms, sums, bytes, hop, delays, perByte, waiting: far.step_ms * far.reduction }
}

/**
 * The share of its speed that a machine keeps among so many. A sum goes around a ring: 2 (N - 1) hops, and 2 (N - 1) / N of its bytes go out
 * of each machine. What the backward pass hid of the sums of two workers over the slow link is hidden again.
 */
export function keptBy(machines: number, network: Omit<Network, 'name'>, cost: Cost): number {
  const { alone, sums, bytes, hop, delays, perByte, waiting } = cost
  const sumsTake = (count: number, { delay, rate }: Omit<Network, 'name'>): number =>
    sums * 2 * (count - 1) * (hop + delays * delay) + ((2 * (count - 1)) / count) * bytes * (1 / rate + perByte)
  const hidden = Math.max(0, sumsTake(2, SLOW) - waiting)
  return alone / (alone + Math.max(0, sumsTake(machines, network) - hidden))
}
