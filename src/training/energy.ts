// What a training draws: read where the machine tells it, else what its user says it draws.
//
//   RAPL         counters of Intel and AMD processors, of packages and their memory, in /sys/class/powercap; most systems show them to root alone
//   nvidia-smi   the power of NVIDIA's GPUs (NVML), asked every few seconds
//   watts        stated: of the whole machine, or of the share of it that the training is to answer for

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tensorflow } from '../base/engine/tensorflow.ts'

/** What was used, and how that is known. */
export interface Energy {
  readonly joules: number
  /** 'RAPL', 'nvidia-smi', both, or 'stated watts'. */
  readonly source: string
}

/** A counter of energy; each is read at the end. */
interface Meter {
  readonly source: string
  /** J since it was started. */
  readonly joules: () => number
  readonly stop: () => void
}

const POWERCAP = '/sys/class/powercap'

/** Starts what there is to read. @returns the energy of the seconds since, and what ends the reading */
export function startEnergy(watts: number | undefined, powercap: string = POWERCAP): { readonly read: (seconds: number) => Energy | undefined; readonly stop: () => void } {
  const meters = [rapl(powercap), tensorflow()?.isUsingGpuDevice === true ? nvidia() : undefined].filter((meter) => meter !== undefined)
  return {
    read: (seconds) => {
      if (meters.length > 0) return { joules: meters.reduce((sum, { joules }) => sum + joules(), 0), source: meters.map(({ source }) => source).join(' and ') }
      return watts === undefined ? undefined : { joules: watts * seconds, source: 'stated watts' }
    },
    stop: () => { for (const { stop } of meters) stop() },
  }
}

/** Packages, and the memory beside each; undefined where there are none, or they are not shown. */
function rapl(folder: string): Meter | undefined {
  const counters = zonesOf(folder).map((zone) => ({ zone, before: microjoules(zone), wrap: numberIn(join(zone, 'max_energy_range_uj')), sum: 0 }))
  if (counters.length === 0 || counters.some(({ before }) => Number.isNaN(before))) return undefined
  const update = (): number => {
    for (const counter of counters) {
      const now = microjoules(counter.zone)
      counter.sum += now >= counter.before ? now - counter.before : now + counter.wrap - counter.before // it starts again at its end, after some minutes
      counter.before = now
    }
    return counters.reduce((sum, each) => sum + each.sum, 0) / 1e6
  }
  const timer = setInterval(update, 30_000).unref()
  return { source: 'RAPL', joules: update, stop: () => { clearInterval(timer) } }
}

function zonesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^intel-rapl:\d+(:\d+)?$/.test(name))
      .map((name) => join(folder, name))
      .filter((zone) => /^(package-\d+|dram)$/.test(readFileSync(join(zone, 'name'), 'utf8').trim()))
  } catch {
    return [] // no such counters, or not for this user
  }
}

const microjoules = (zone: string): number => numberIn(join(zone, 'energy_uj'))

function numberIn(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return NaN
  }
}

/** Between two questions, ms. */
const EVERY = 5_000

/** The power of all GPUs, taken as the same until the next answer. */
function nvidia(): Meter {
  let [joules, watts, since] = [0, 0, performance.now()]
  const pass = (): number => {
    const now = performance.now()
    joules += (watts * (now - since)) / 1000
    since = now
    return joules
  }
  const ask = (): void => {
    execFile('nvidia-smi', ['--query-gpu=power.draw', '--format=csv,noheader,nounits'], (error, printed) => {
      if (error !== null) return
      pass()
      watts = printed.trim().split('\n').reduce((sum, line) => sum + (Number(line) || 0), 0)
    }).unref()
  }
  ask()
  const timer = setInterval(ask, EVERY).unref()
  return { source: 'nvidia-smi', joules: pass, stop: () => { clearInterval(timer) } }
}
