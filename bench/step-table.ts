// The tables of `npm run bench` in docs/performance.md, between their two markers: some for each kind of processor.

import { writeBesidePeft } from './beside-peft.ts'
import { writeSection } from './doc-section.ts'
import { table } from './markdown.ts'
import { madeOn } from './process.ts'
import { ofEachProcessor } from './processors.ts'
import { readResults, rowsOf, type Compared, type Results, type Row, type Side } from './step-results.ts'
import type { Measure } from './step-workloads.ts'

const PEERS: Readonly<Record<Side, string>> = {
  ours: 'without checkpointing',
  'ours, recompute': 'with checkpointing',
  peer: 'PEFT',
  'peer, recompute': 'PEFT, gradient checkpointing',
  'peer, compile': 'PEFT, torch.compile',
  'peer, float32': 'PEFT in float32',
  'peer, bitsandbytes': 'PEFT, bitsandbytes',
}

/** Lines of a table without rows. */
const HEAD = 2

export async function writeTables(): Promise<void> {
  await writeSection('performance', 'bench', await ofEachProcessor(async (kind) => {
    const results = await readResults(kind)
    return results === undefined ? undefined : tablesOf(results)
  }))
  await writeBesidePeft()
}

function tablesOf({ machine, settings, compared }: Results): string {
  const commits = [...new Set(compared.map(({ commit }) => commit))]
  const { rounds, steps, warmup } = settings
  const of = (measure: Measure): readonly Compared[] => compared.filter(({ comparison }) => comparison.measure === measure)
  const parts: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ['A training step', timeTable(of('step'), false)],
    ['Its matrix products alone', productTable(of('step'))],
    ['Gradient checkpointing', timeTable(of('step'), true)],
    ['A forward pass', timeTable(of('forward'), false)],
    ['From the start of the process', startTable(of('start'))],
  ]
  return [
    ...parts.flatMap(([title, lines]) => (lines.length > HEAD ? [`#### ${title}`, '', ...lines, ''] : [])),
    `Medians of ${rounds} processes on each side, which took turns, with ${steps} steps or passes each after ${warmup} that do not count. ` +
      `${madeOn(machine)}; commit ${commits.join(', ')}.`,
  ].join('\n')
}

/** Time and memory of each pair in one line. */
function timeTable(compared: readonly Compared[], recompute: boolean): string[] {
  const lines = compared.flatMap((one) => {
    const rows = rowsOf(one).filter((row) => row.recompute === recompute)
    return [...new Set(rows.map(({ against }) => against))].map((against) => {
      const [time, peak] = rows.filter((row) => row.against === against) as [Row, Row]
      return [time.workload, time.method, time.dtype, peerName(time), ...cells(time, 'ms'), ofFloor(time), ...cells(peak, 'MB')]
    })
  })
  return table(['model, rows x tokens', 'method', 'weights', 'peer', 'time here', 'peer', 'ratio', 'of the floor', 'peak memory here', 'peer', 'ratio'], lines)
}

/** The least that a step takes on each side: of those with LoRA, as other methods have the same products, or more. */
function productTable(compared: readonly Compared[]): string[] {
  const rows = compared.flatMap(rowsOf).filter(({ method, metric, against }) => method === 'LoRA' && metric.endsWith('ms') && against === 'peer')
  const lines = rows.filter(({ recompute, floor }) => !recompute && floor !== undefined).map(({ workload, dtype, peer, floor = NaN, peerFloor = NaN }) => [
    workload, dtype, ...cells({ ours: floor, peer: peerFloor, ratio: floor / peerFloor }, 'ms'), (peerFloor / peer).toFixed(2),
  ])
  return table(['model, rows x tokens', 'weights', 'here', 'PyTorch', 'ratio', "of PEFT's step"], lines)
}

function startTable(compared: readonly Compared[]): string[] {
  const lines = compared.flatMap(rowsOf).map((row) => {
    const [metric = '', unit = ''] = row.metric.split(', ')
    return [row.workload, metric, peerName(row), ...cells(row, unit)]
  })
  return table(['model, rows x tokens', 'until', 'peer', 'here', 'peer', 'ratio'], lines)
}

function peerName({ method, against, dtype }: Row): string {
  if (dtype === 'int8' && (against === 'peer' || against === 'peer, compile')) return `${PEERS[against]}, bfloat16`
  if (dtype === 'nf4' && against === 'peer') return `${PEERS[against]}, bfloat16`
  return method === 'bottleneck' ? PEERS[against].replace('PEFT', 'adapters') : PEERS[against]
}

function cells({ ours, peer, ratio }: Pick<Row, 'ours' | 'peer' | 'ratio'>, unit: string): string[] {
  const digits = unit === 's' ? 2 : 0
  return [`${ours.toFixed(digits)} ${unit}`, `${peer.toFixed(digits)} ${unit}`, ratio.toFixed(2)]
}

function ofFloor({ ours, floor }: Row): string {
  return floor === undefined ? '' : (ours / floor).toFixed(2)
}
