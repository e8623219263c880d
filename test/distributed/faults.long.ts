// Random faults in trainings of two workers: each run ends by itself, in time, and what goes on from its checkpoint ends with the right weights.

import { expect, it } from 'vitest'
import { int, randomStream } from '../../src/base/random.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { childrenOf, hasCollectives, launched, type Line } from './launched.ts'

const temporary = temporaryFolder()
const FAULTS = Number(process.env['TFJS_PEFT_FAULTS'] ?? 12)
const STEPS = 40

type Fault = (launcher: number, worker: number) => void

const send = (signal: NodeJS.Signals): Fault => (launcher, worker) => {
  const pid = childrenOf(launcher)[worker]
  if (pid !== undefined) process.kill(pid, signal)
}

/** What happens, and whether the training must come to its end all the same. */
const KINDS: readonly { readonly name: string; readonly strike: Fault; readonly survived?: true }[] = [
  { name: 'a worker is killed', strike: send('SIGKILL') },
  { name: 'a worker is asked to end', strike: send('SIGTERM') },
  { name: 'a worker stands still for a second', strike: (launcher, worker) => {
    send('SIGSTOP')(launcher, worker)
    setTimeout(() => send('SIGCONT')(launcher, worker), 1000)
  }, survived: true },
  { name: 'all are interrupted', strike: (launcher) => { if (childrenOf(launcher).length > 0) process.kill(launcher, 'SIGINT') } },
]

const weightsOf = (lines: readonly Line[]): readonly (readonly number[])[] => lines.flatMap(({ weights }) => (weights === undefined ? [] : [weights]))

it.runIf(await hasCollectives())(`after each of ${FAULTS} random faults a training of two workers goes on to the right weights, or has ended with an error; none hangs`, async () => {
  const whole = await launched(['--processes', '2'], [STEPS, temporary('whole')])
  const [right] = weightsOf(whole.lines)
  const random = randomStream(0, 'faults')
  for (let i = 0; i < FAULTS; i++) {
    const { name, strike, survived } = KINDS[int(random, KINDS.length)] as (typeof KINDS)[number]
    const [worker, at, folder] = [int(random, 2), 1 + int(random, STEPS - 5), temporary(`fault-${i}`)]
    const begin = performance.now()
    const struck = await launched(['--processes', '2'], [STEPS, folder, 0, 5], ({ type, step }, launcher) => {
      if (type === 'step' && step === at) setTimeout(() => strike(launcher, worker), int(random, 30))
    })
    const what = `fault ${i}: ${name}, worker ${worker}, step ${at}`
    expect(performance.now() - begin, what).toBeLessThan(90_000)
    const ended = struck.lines.some(({ end }) => end !== undefined)
    expect(ended || struck.code !== 0, what).toBe(true)
    if (survived === true) expect(struck.code, what).toBe(0)
    const later = await launched(['--processes', '2'], [STEPS, folder, 0, 5])
    expect(later.code, `${what}\n${later.stderr}`).toBe(0)
    expect(weightsOf(later.lines), what).toEqual([right, right])
  }
}, 100_000 * FAULTS)
