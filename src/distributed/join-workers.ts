// The processes of a training, connected by TensorFlow's own collectives.

import { lookup } from 'node:dns/promises'
import { isIPv4 } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { loadEngine } from '../base/engine/engine.ts'
import { findAddon } from '../base/engine/load-native.ts'
import type { Collectives } from '../base/engine/native.ts'
import { tensorflow } from '../base/engine/tensorflow.ts'
import { checkNames } from '../base/options.ts'
import { EngineError, InputError, TrainingError } from '../errors.ts'
import type { Workers } from '../training/workers.ts'
import { placeOf, type Place } from './place.ts'

/** How `joinWorkers` waits, and where it listens. */
export interface JoinOptions {
  /** Seconds that the workers wait for each other, at the start and in each step. @default 600 */
  readonly timeout?: number
  /**
   * IPv4 address that this worker listens on; what was sent to another of the machine's is not let in. @default what its own name among
   * the workers stands for
   */
  readonly listen?: string
}

/** Milliseconds after which a process that does not answer counts as gone, and between two attempts to reach it. */
const [ANSWERS_IN, RETRY_AFTER] = [2000, 200]

let joined: Promise<Workers> | undefined

/**
 * Joins the other processes of a training, which run the same program: those that `npx tfjs-peft launch` has started, that `TF_CONFIG`
 * names, or that Slurm's `srun` or Open MPI's `mpirun` have started. By itself a process is one worker, and waits for none. What is sent
 * between the machines is neither encrypted nor checked: they belong in a private network. Linux only.
 *
 * @throws InputError when the environment contradicts itself. EngineError when the fused kernels are not there, which bring the
 *   collectives. TrainingError when the others do not come in time
 * @example
 * const workers = await joinWorkers()
 * await new Trainer({ model, train, distributed: workers }).fit()
 * if (workers.rank === 0) await adapter.save('out/spam-lora')
 */
export async function joinWorkers(options: JoinOptions = {}): Promise<Workers> {
  checkNames('joinWorkers', options, { timeout: true, listen: true })
  const { timeout = 600, listen } = options
  if (!(timeout > 0 && timeout < Infinity)) throw new InputError(`joinWorkers: expected a timeout of some seconds, got ${timeout}.`)
  if (listen !== undefined && !isIPv4(listen)) throw new InputError(`joinWorkers: expected an IPv4 address to listen on, got ${listen}.`)
  const place = placeOf(process.env, process.ppid)
  if (place === undefined || place.addresses.length === 1) return ALONE
  joined ??= connect(place, timeout, listen)
  return await joined
}

const ALONE: Workers = { rank: 0, count: 1, sum: () => Promise.resolve() }

async function connect({ rank, addresses }: Place, timeout: number, listen: string | undefined): Promise<Workers> {
  await loadEngine()
  const collectives = findAddon(tensorflow())
  if ('reason' in collectives) throw new EngineError(`joinWorkers: TensorFlow's collectives come with the fused kernels, and these are not there: ${collectives.reason}. Run \`npx tfjs-peft setup\`.`)
  const address = listen ?? (await ownAddress(addresses, rank))
  const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const onGpu = tensorflow()?.isUsingGpuDevice === true && process.env['TFJS_PEFT_SUMS'] !== 'cpu'
  const failure = collectives.connect(addresses, rank, number, timeout, onGpu)
  if (failure !== '') throw new EngineError(`joinWorkers: worker ${rank} cannot listen at ${addresses[rank] ?? ''}: ${firstLine(failure)}`)
  const end = performance.now() + timeout * 1000
  for (let missing = await silent(collectives, addresses, rank); missing.length > 0; missing = await silent(collectives, addresses, rank)) {
    if (performance.now() > end) throw new TrainingError(`joinWorkers: worker ${rank} waited ${timeout} seconds for others:`, missing.map((other) => `worker ${other} (${addresses[other] ?? ''}) does not answer`))
    await wait(RETRY_AFTER)
  }
  return {
    rank, count: addresses.length,
    async sum(numbers) {
      const reason = numbers.length === 0 ? '' : await collectives.sum(numbers)
      if (reason !== '') throw await explained(collectives, { rank, addresses }, timeout, reason)
    },
  }
}

/** Other workers that do not answer. */
async function silent(collectives: Collectives, addresses: readonly string[], rank: number): Promise<readonly number[]> {
  const others = addresses.map((_, other) => other).filter((other) => other !== rank)
  const reasons = await Promise.all(others.map((other) => collectives.check(other, ANSWERS_IN)))
  return others.filter((_, i) => reasons[i] !== '')
}

async function explained(collectives: Collectives, { rank, addresses }: Place, timeout: number, reason: string): Promise<TrainingError> {
  const gone = await silent(collectives, addresses, rank)
  const names = gone.map((other) => `worker ${other} (${addresses[other] ?? ''}) has ended, or cannot be reached`)
  const again = 'The weights are those of the step before. Start all workers again; where there are checkpoints, they go on from the last'
  if (gone.length > 0) return new TrainingError(`Worker ${rank} cannot go on without the others. ${again}.`, names)
  const late = reason.startsWith(`${DEADLINE_EXCEEDED}:`) ? `The others did not come within ${timeout} seconds` : `The others cannot go on: ${firstLine(reason)}`
  return new TrainingError(`Worker ${rank} cannot go on. ${late}. ${again}.`)
}

const DEADLINE_EXCEEDED = 4

/** The address that the others reach this worker at. */
async function ownAddress(addresses: readonly string[], rank: number): Promise<string> {
  const host = (addresses[rank] ?? '').replace(/:\d+$/, '')
  const found = await lookup(host, { family: 4 }).catch((cause: unknown) => {
    throw new InputError(`joinWorkers: '${host}', this worker's own name, has no IPv4 address. Give one: joinWorkers({ listen: '10.0.0.1' }).`, [], { cause })
  })
  const isLocal = addresses.every((address) => address.startsWith('localhost:') || address.startsWith('127.'))
  if (!found.address.startsWith('127.') || isLocal || addresses.every((address) => address.startsWith(`${host}:`))) return found.address
  throw new InputError(`joinWorkers: '${host}', this worker's own name, stands for ${found.address} here, where no other machine reaches it. Give the address: joinWorkers({ listen: '10.0.0.1' }).`)
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
