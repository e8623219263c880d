// What befalls a training of several workers.

import { execFileSync } from 'node:child_process'
import type { Link } from '../../bench/link.ts'
import { isRunning } from '../../src/base/files/lock.ts'
import { int, type RandomStream } from '../../src/base/random.ts'
import type { Team } from './launched.ts'
import type { Told } from './program.ts'

/** What a fault may lead to. */
export type Outcome = 'finished' | 'stopped' | 'failed'

export interface Fault {
  readonly name: string
  readonly outcomes: readonly Outcome[]
  /** Of one of the workers, at some moment. @default nothing happens */
  readonly strike?: (team: Team, rank: number, draw: RandomStream) => void
  /** The same of the link between two workers, each with a launcher of its own. */
  readonly strikeLink?: (link: Link) => void
  /** What the program is told. @default what all are */
  readonly told?: Partial<Told>
  /** What the error has to say. @default any error of the library's, or the launcher's */
  readonly says?: RegExp
}

/** Seconds of waiting, where nobody comes. */
const SHORT = 5

type Strike = NonNullable<Fault['strike']>
type StrikeLink = NonNullable<Fault['strikeLink']>

const send = (signal: NodeJS.Signals): Strike => (team, rank) => {
  const pid = team.pidOf(rank)
  if (pid !== undefined) process.kill(pid, signal)
}

/** A process that was stopped as it ended does not say any more which worker it was. */
const pause = (millisecondsOf: (draw: RandomStream) => number): Strike => (team, rank, draw) => {
  const pid = team.pidOf(rank)
  if (pid === undefined) return
  process.kill(pid, 'SIGSTOP')
  setTimeout(() => { if (isRunning(pid)) process.kill(pid, 'SIGCONT') }, millisecondsOf(draw))
}

const interruptAll: Strike = ({ launchers }) => launchers.forEach((pid) => process.kill(pid, 'SIGINT'))
const killLauncher: Strike = ({ launchers: [pid = NaN], look }) => {
  look()
  process.kill(pid, 'SIGKILL')
}

/** Files of the first worker cannot become larger: to it the disk is full, in the middle of what it writes. */
const fillDisk: Strike = (team, _, draw) => {
  const pid = team.pidOf(0)
  if (pid !== undefined) execFileSync('prlimit', ['--pid', String(pid), `--fsize=${int(draw, 30_000)}:`])
}

const drop: StrikeLink = (link) => { link.drop() }
const cut: StrikeLink = (link) => { link.cut() }
const swallow: StrikeLink = (link) => { link.swallow() }

const any = ['finished', 'stopped', 'failed'] as const

export const FAULTS: readonly Fault[] = [
  { name: 'a worker is killed', outcomes: any, strike: send('SIGKILL'), says: /ended with SIGKILL/ },
  { name: 'a worker is asked to end', outcomes: any, strike: send('SIGTERM') },
  { name: 'all are interrupted', outcomes: any, strike: interruptAll },
  { name: 'the launcher is killed', outcomes: any, strike: killLauncher },
  { name: 'a worker stands still for a while', outcomes: ['finished'], strike: pause((draw) => int(draw, 2000)) },
  { name: 'a worker stands still for long', outcomes: ['finished', 'failed'], strike: pause(() => 4000 * SHORT), told: { timeout: SHORT } },
  { name: 'a worker is stopped for good', outcomes: ['finished', 'failed'], strike: send('SIGSTOP'), told: { timeout: SHORT } },
  { name: 'the disk is full', outcomes: ['finished', 'failed'], strike: fillDisk, says: /(CheckpointError|TrainingError: Worker 0): .* cannot be written: / }, // whoever is the first to say so: the launcher ends the other
  { name: 'connections are dropped', outcomes: ['finished', 'failed'], strikeLink: drop },
  { name: 'the link is cut', outcomes: ['finished', 'failed'], strikeLink: cut, told: { timeout: SHORT } },
  { name: 'the link delivers nothing', outcomes: ['finished', 'failed'], strikeLink: swallow, told: { timeout: SHORT } },
  { name: 'a worker has other data', outcomes: ['failed'], told: { other: 'data' }, says: /The workers would not train the same.*data: / },
  { name: 'a worker has another seed', outcomes: ['failed'], told: { other: 'seed' }, says: /The workers would not train the same.*seed: 7 there, 0 here/ },
]
