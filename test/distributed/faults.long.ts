// Random faults in trainings of two or three workers: each run ends by itself, in time, and what goes on from its checkpoint ends with
// the right weights.
//
//     npm run test:faults                                                two hundred faults
//     TFJS_PEFT_SEED=7 TFJS_PEFT_FAULTS=20 npm run test:faults           so many, drawn from that seed

import { expect, it } from 'vitest'
import { openLink } from '../../bench/link.ts'
import { int, permutation, randomStream, type RandomStream } from '../../src/base/random.ts'
import { addressesOf } from '../../src/distributed/addresses.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { FAULTS, type Fault, type Outcome } from './faults.ts'
import { hasCollectives, launched, type Ended, type LaunchOptions } from './launched.ts'
import type { Told } from './program.ts'

const temporary = temporaryFolder()
const seed = Number(process.env['TFJS_PEFT_SEED'] ?? 0)
const count = Number(process.env['TFJS_PEFT_FAULTS'] ?? FAULTS.length)
const STEPS = 30
const LIMIT = 60_000 // of a run; the longest waits are twenty seconds
const AWAY = 3000 // while the processes start, and join each other

interface Case {
  readonly fault: Fault
  readonly draw: RandomStream
  readonly workers: number
}

it.runIf(await hasCollectives())(`after each of ${count} random faults a training goes on to the right weights, or has ended with an error; none hangs`, async () => {
  const whole = await launched([['--processes', '2']], { steps: STEPS })
  const right = weightsOf(whole)[0] ?? []
  expect(right.length, whole.stderr).toBeGreaterThan(0)
  const wrong: string[] = []
  const ends = new Map<string, Record<Outcome, number>>()
  const begin = performance.now()
  for (let number = 0; number < count; number++) {
    const draw = randomStream(seed, 'fault', number)
    const round = permutation(randomStream(seed, 'round', Math.floor(number / FAULTS.length)), FAULTS.length) // each kind as often as the others
    const fault = FAULTS[round[number % FAULTS.length] ?? 0] as Fault
    const workers = fault.strikeLink === undefined && int(draw, 4) === 0 ? 3 : 2
    const told: Told = { steps: STEPS, folder: temporary(`fault-${number}`), every: 5 }
    const struck = await strike({ fault, draw, workers }, { ...told, ...fault.told })
    const outcome = outcomeOf(struck)
    const what = `fault ${number} of seed ${seed}: ${fault.name}, ${workers} workers: ${outcome} after ${(struck.took / 1000).toFixed(1)} s`
    console.log([what, ...(outcome === 'failed' ? errorsOf(struck) : [])].join('\n  '))
    try {
      expect(struck.hung, 'it hung').toBe(false)
      expect(fault.outcomes).toContain(outcome)
      const byStrike = struck.codes.includes(null) // the launcher itself was ended
      if (outcome === 'failed' && !byStrike) expect(errorsOf(struck).join(' ')).toMatch(fault.says ?? /Error: |ended with SIG|did nothing for/)
      if (outcome === 'finished') for (const weights of weightsOf(struck)) expect(apart(weights, right), 'weights').toBeLessThan(1e-4)
      const later = await launched([['--processes', String(1 + int(draw, 3))]], told, { limit: LIMIT })
      expect(later.codes, `what went on from it failed:\n${later.stderr}`).toEqual([0])
      for (const weights of weightsOf(later)) expect(apart(weights, right), 'weights of what went on from it').toBeLessThan(1e-4)
    } catch (error) {
      wrong.push(`${what}\n${(error as Error).message}\n${struck.stderr}`)
      console.log(wrong.at(-1))
    }
    const found = ends.get(fault.name) ?? { finished: 0, stopped: 0, failed: 0 }
    ends.set(fault.name, { ...found, [outcome]: found[outcome] + 1 })
  }
  const rows = [...ends].map(([name, { finished, stopped, failed }]) => `${name.padEnd(36)}${[finished, stopped, failed].map((n) => String(n).padStart(10)).join('')}`)
  console.log([`${count} faults of seed ${seed} in ${((performance.now() - begin) / 60_000).toFixed(0)} minutes, ${wrong.length} of them wrong`, `${''.padEnd(36)}  finished   stopped    failed`, ...rows].join('\n'))
  expect(wrong).toEqual([])
}, 3 * LIMIT * (count + 1))

/** A training, and what befalls it: while the workers join, or at a step. */
async function strike({ fault, draw, workers }: Case, told: Told): Promise<Ended & { readonly took: number }> {
  const at = int(draw, 5) === 0 ? 0 : 1 + int(draw, STEPS - 5)
  const rank = int(draw, workers)
  const [early, later] = [int(draw, AWAY), int(draw, 30)]
  const begin = performance.now()
  const run = async (launchers: readonly (readonly string[])[], hit: (...of: Parameters<NonNullable<Fault['strike']>>) => void): Promise<Ended> => {
    const options: LaunchOptions = {
      limit: LIMIT,
      onStart(team) { if (at === 0) setTimeout(() => hit(team, rank, draw), early) },
      onLine({ type, step }, team) { if (type === 'step' && step === at) setTimeout(() => hit(team, rank, draw), later) },
    }
    return await launched(launchers, told, options)
  }
  const waits = ['--timeout', String(told.timeout ?? 20)]
  if (fault.strikeLink === undefined) {
    const ended = await run([['--processes', String(workers), ...waits]], fault.strike ?? (() => undefined))
    return { ...ended, took: performance.now() - begin }
  }
  // Two machines: each knows the other by the port of the link.
  const [first, second] = (await addressesOf({ processes: '2' })).all.map((address) => Number(address.replace(/.*:/, '')))
  const link = await openLink([first ?? NaN, second ?? NaN])
  const hosts = (ports: readonly (number | undefined)[]): string => ports.map((port) => `127.0.0.1:${port}`).join(',')
  try {
    const ended = await run([['--hosts', hosts([first, link.ports[0]]), '--rank', '0', ...waits], ['--hosts', hosts([link.ports[1], second]), '--rank', '1', ...waits]], () => fault.strikeLink?.(link))
    return { ...ended, took: performance.now() - begin }
  } finally {
    await link.close()
  }
}

function weightsOf({ lines }: Ended): readonly (readonly number[])[] {
  return lines.flatMap(({ weights }) => (weights === undefined ? [] : [weights]))
}

function outcomeOf({ codes, lines }: Ended): Outcome {
  if (codes.some((code) => code !== 0)) return 'failed'
  return lines.some(({ end }) => end === 'stopped') ? 'stopped' : 'finished'
}

/** What workers and launchers say that went wrong, each in a line. */
function errorsOf({ stderr }: Ended): readonly string[] {
  const lines = stderr.split('\n').filter((line) => /^(\[\d+\] (\w*Error: | {2}- )|tfjs-peft: )/.test(line))
  return lines.join('\n').replaceAll(/\n\[\d+\] {3}- /g, ' ').split('\n')
}

function apart(a: readonly number[], b: readonly number[]): number {
  return a.length === b.length ? Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? NaN)))) : NaN
}
