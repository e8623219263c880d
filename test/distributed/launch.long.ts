// Processes of their own, started by `tfjs-peft launch`, that train over TensorFlow's collectives.

import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addressesOf } from '../../src/distributed/addresses.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { hasCollectives, launched, scheduled, type Line } from './launched.ts'

const temporary = temporaryFolder()

const lossesOf = (lines: readonly Line[]): readonly number[] => lines.filter(({ type }) => type === 'step').map(({ loss = NaN }) => loss)
const weightsOf = (lines: readonly Line[]): readonly (readonly number[])[] => lines.flatMap(({ weights }) => (weights === undefined ? [] : [weights]))

describe.runIf(await hasCollectives())('tfjs-peft launch', { timeout: 120_000 }, () => {
  it.each([['of a LoRA', {}], ['of a whole model', { whole: true }]])('starts workers that together give the losses and weights %s of one alone; the first prints them', async (_, told) => {
    const [one, two] = [await launched([['--processes', '1']], { steps: 50, ...told }), await launched([['--processes', '2']], { steps: 50, ...told })]
    expect([one.codes, two.codes]).toEqual([[0], [0]])
    expect(new Set(two.lines.filter(({ type }) => type === 'step').map(({ rank }) => rank))).toEqual(new Set([0]))
    const [alone, together] = [lossesOf(one.lines), lossesOf(two.lines)]
    expect(together).toHaveLength(50)
    together.forEach((loss, i) => expect(Math.abs(loss - (alone[i] ?? NaN))).toBeLessThan(1e-5))
    const [[of0, of1], [single = []]] = [weightsOf(two.lines), weightsOf(one.lines)]
    expect(of1).toEqual(of0)
    expect(Math.max(...single.map((value, i) => Math.abs(value - (of0?.[i] ?? NaN))))).toBeLessThan(1e-4)
  })

  it('passes Ctrl-C on: all end behind the same step, with one checkpoint, and another number of workers goes on from it', async () => {
    const folder = temporary('interrupted')
    const first = await launched([['--processes', '2']], { steps: 100_000, folder }, { onLine({ type, step }, { launchers: [launcher = NaN] }) {
      if (type === 'step' && step === 5) process.kill(launcher, 'SIGINT')
    } })
    expect(first.codes).toEqual([0])
    const stopped = first.lines.filter(({ type }) => type === 'end')
    expect(stopped).toEqual([expect.objectContaining({ rank: 0, end: 'stopped' })])
    expect(weightsOf(first.lines)[1]).toEqual(weightsOf(first.lines)[0])
    expect(readdirSync(folder).filter((name) => name.endsWith('.safetensors'))).toEqual([`step-${String(stopped[0]?.step).padStart(8, '0')}.safetensors`])
    const second = await launched([['--processes', '1']], { steps: 100_000, folder }, { onLine({ type }, { launchers: [launcher = NaN] }) {
      if (type === 'step') process.kill(launcher, 'SIGINT')
    } })
    expect(second.lines[0]).toMatchObject({ type: 'resume', step: stopped[0]?.step })
  })

  it('ends all within five seconds when one is killed, and says which', async () => {
    let killed = Infinity
    const { codes, stderr, at } = await launched([['--processes', '2']], { steps: 100_000 }, { onLine({ type, step }, team) {
      if (type !== 'step' || step !== 5) return
      killed = performance.now()
      process.kill(team.pidOf(1) ?? NaN, 'SIGKILL')
    } })
    expect(at - killed).toBeLessThan(5000)
    expect(codes).toEqual([137])
    expect(stderr).toMatch(/worker 1 \(127\.0\.0\.1:\d+\) ended with SIGKILL(; the others are ended)?\n/) // or they have ended by themselves
  })

  it('lets no worker begin that would train something else', async () => {
    const { codes, stderr } = await launched([['--processes', '2']], { steps: 10, other: 'seed' })
    expect(codes).toEqual([1])
    expect(stderr).toContain('The workers would not train the same')
    expect(stderr).toContain('worker 1 and worker 0: seed: 7 there, 0 here')
  })
})

const JOB = String(process.pid % 10_000) // the ports that Slurm's and Open MPI's jobs take follow from a number
const SCHEDULERS: Readonly<Record<string, (rank: string) => Promise<NodeJS.ProcessEnv>>> = {
  'TF_CONFIG': async (index) => ({ TF_CONFIG: JSON.stringify({ cluster: { worker: (await ADDRESSES).all }, task: { type: 'worker', index: Number(index) } }) }),
  "Slurm's variables": (rank) => Promise.resolve({ SLURM_PROCID: rank, SLURM_STEP_NUM_TASKS: '2', SLURM_JOB_ID: JOB, SLURM_STEP_NODELIST: 'localhost', SLURM_STEP_TASKS_PER_NODE: '2' }),
  "Open MPI's variables": (rank) => Promise.resolve({ OMPI_COMM_WORLD_RANK: rank, OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_SIZE: '2' }),
}
const ADDRESSES = addressesOf({ processes: '2' })

describe.runIf(await hasCollectives())('processes that a scheduler starts', { timeout: 120_000 }, () => {
  it.each(Object.entries(SCHEDULERS))('find each other by %s, without a launcher', async (_, environment) => {
    const ended = await scheduled(await Promise.all(['0', '1'].map(environment)), { steps: 5 })
    expect(ended.map(({ code }) => code), ended.map(({ text }) => text).join('\n')).toEqual([0, 0])
    const [first, second] = ended.map(({ text }) => text.split('\n').find((line) => line.startsWith('{"type":"weights"')))
    expect(first).toContain('weights')
    expect(second).toBe(first)
  })
})
