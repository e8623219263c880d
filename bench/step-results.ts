// The file of `npm run bench`: every run as it was measured, and the rows that follow from them.

import { median } from './process.ts'
import { readTimes, saveTimes } from './processors.ts'
import type { Measured } from './step-run.ts'
import { nameOf, titleOf, type Comparison } from './step-workloads.ts'

/** Who takes turns; the peer's variants are those that it has. */
export type Side = 'ours' | 'ours, recompute' | 'peer' | 'peer, recompute' | 'peer, compile' | 'peer, float32' | 'peer, bitsandbytes'

export interface Compared {
  readonly comparison: Comparison
  readonly commit: string
  readonly runs: Readonly<Partial<Record<Side, readonly Measured[]>>>
}

export interface Row {
  readonly workload: string
  readonly method: string
  readonly dtype: string
  /** With its unit. */
  readonly metric: string
  /** What ours is compared with. */
  readonly against: Side
  readonly recompute: boolean
  readonly ours: number
  readonly peer: number
  readonly ratio: number
  /** Of the same unit: the step's matrix products by themselves, here and there. */
  readonly floor?: number
  readonly peerFloor?: number
}

export interface Results {
  readonly machine: Readonly<Record<string, string | number>>
  readonly settings: Readonly<Record<'rounds' | 'steps' | 'warmup', number>>
  readonly compared: readonly Compared[]
}

/** @param kind of processor. Default: this machine's */
export async function readResults(kind?: string): Promise<Results | undefined> {
  return await readTimes('latest', kind)
}

export async function saveResults(results: Results): Promise<void> {
  const { machine, settings, compared } = results
  await saveTimes('latest', { machine, settings, rows: compared.flatMap(rowsOf), compared })
}

/** A comparison's medians side by side. */
export function rowsOf({ comparison, runs }: Compared): readonly Row[] {
  const { workload, method, dtype, measure } = comparison
  const pairs: readonly (readonly [ours: Side, against: Side])[] = [
    ['ours', 'peer'],
    ['ours', 'peer, compile'],
    ['ours', 'peer, float32'],
    ['ours', 'peer, bitsandbytes'],
    ['ours, recompute', 'peer, recompute'],
    ['ours, recompute', 'peer'],
    ['ours, recompute', 'ours'],
  ]
  const metrics: readonly (readonly [name: string, of: (runs: readonly Measured[]) => number])[] =
    measure === 'start'
      ? [
          ['first logits, s', (of) => median(of.map(({ first_logits_s = NaN }) => first_logits_s))],
          ['first step, s', (of) => median(of.map(({ first_step_s = NaN }) => first_step_s))],
        ]
      : [[`${measure}, ms`, (of) => median(of.flatMap(({ times_ms }) => times_ms))]]
  return pairs.flatMap(([left, against]) => {
    const [mine, theirs] = [runs[left], runs[against]]
    if (mine === undefined || theirs === undefined) return []
    const peak = ['peak memory, MB', (of: readonly Measured[]) => median(of.map(({ peak_rss_mb }) => peak_rss_mb))] as const
    const weights = median((runs.ours ?? []).map(({ weights_mb = NaN }) => weights_mb))
    const above = ['peak memory above the weights, MB', (of: readonly Measured[]) => peak[1](of) - weights] as const
    return [...metrics, peak, ...(measure === 'step' && !Number.isNaN(weights) ? [above] : [])].map(([metric, value]): Row => {
      const [ours, peer] = [value(mine), value(theirs)]
      const floorOf = (of: readonly Measured[] = []): number => median(of.map(({ floor_ms }) => floor_ms ?? NaN))
      const hasFloor = metric.endsWith('ms') && Number.isFinite(floorOf(runs.ours)) // of pictures none is timed
      const floor = hasFloor ? { floor: floorOf(runs.ours), peerFloor: floorOf(runs.peer) } : {}
      return {
        workload: nameOf(workload), method, dtype, metric, against, recompute: left === 'ours, recompute', ours, peer, ratio: ours / peer, ...floor,
      }
    })
  })
}

/** The same comparison: its title says all. */
export function isOf(comparison: Comparison): (compared: Compared) => boolean {
  return (compared) => titleOf(compared.comparison) === titleOf(comparison)
}
