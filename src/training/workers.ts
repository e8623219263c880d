// Several processes that share one training, as the trainer sees them. All that they say to each other is a sum.

import { TrainingError } from '../errors.ts'

/** The processes of a training: each has the whole model, and takes its share of the rows. `joinWorkers` gives them. */
export interface Workers {
  /** This one's number, from 0. The first keeps the checkpoints and tells the watchers. */
  readonly rank: number
  /** How many there are. */
  readonly count: number
  /**
   * Replaces numbers by their sums over all workers. All call it in the same order, with equally many numbers.
   *
   * @throws TrainingError when another has ended or does not come in time; none of the workers can go on then
   */
  sum(numbers: Float32Array): Promise<void>
}

/** Several workers, or none: one alone shares nothing. */
export function several(workers: Workers | undefined): Workers | undefined {
  return workers !== undefined && workers.count > 1 ? workers : undefined
}

/** Bytes in a number: float32 has every integer of so many. */
const PACKED = 3
const LIMIT = 256 ** PACKED

/** What each worker gives, by rank; anything that survives JSON, maps, and numbers that are not finite. */
export async function gather<T>(workers: Workers, value: T): Promise<readonly T[]> {
  const { rank, count } = workers
  const bytes = new TextEncoder().encode(JSON.stringify(value ?? null, packed))
  const sizes = new Float32Array(2 * count)
  sizes.set([Math.floor(bytes.length / LIMIT), bytes.length % LIMIT], 2 * rank)
  await workers.sum(sizes)
  const lengths = Array.from({ length: count }, (_, i) => (sizes[2 * i] ?? 0) * LIMIT + (sizes[2 * i + 1] ?? 0))
  const places = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, length) => sum + Math.ceil(length / PACKED), 0))
  const numbers = new Float32Array(lengths.reduce((sum, length) => sum + Math.ceil(length / PACKED), 0))
  bytes.forEach((byte, i) => {
    const place = (places[rank] ?? 0) + Math.floor(i / PACKED)
    numbers[place] = (numbers[place] ?? 0) + byte * 256 ** (i % PACKED)
  })
  await workers.sum(numbers)
  return lengths.map((length, of) => {
    const own = Uint8Array.from({ length }, (_, i) => Math.floor((numbers[(places[of] ?? 0) + Math.floor(i / PACKED)] ?? 0) / 256 ** (i % PACKED)) % 256)
    return JSON.parse(new TextDecoder().decode(own), unpacked) as T
  })
}

/** The numbers that each worker gives, by rank. @param own integers of at most 24 bits */
export async function gatherNumbers(workers: Workers, own: Int32Array): Promise<readonly Int32Array[]> {
  const lengths = await gather(workers, own.length)
  const places = lengths.map((_, of) => lengths.slice(0, of).reduce((sum, length) => sum + length, 0))
  const numbers = new Float32Array(lengths.reduce((sum, length) => sum + length, 0))
  numbers.set(own, places[workers.rank])
  await workers.sum(numbers)
  return lengths.map((length, of) => Int32Array.from(numbers.subarray(places[of], (places[of] ?? 0) + length)))
}

const [NUMBER, MAP] = ['$number', '$map'] as const

function packed(_: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return { [NUMBER]: String(value) }
  return value instanceof Map ? { [MAP]: [...value] } : value
}

function unpacked(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (NUMBER in value) return Number(value[NUMBER])
  return MAP in value ? new Map(value[MAP] as [unknown, unknown][]) : value
}

/** Those of a series that are this worker's to compute: each `count`th. */
export async function* ownOf<T>(workers: Workers | undefined, series: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T, void> {
  let place = 0
  for await (const each of series) if (workers === undefined || place++ % workers.count === workers.rank) yield each
}

/**
 * Work that the first worker does for all: what it gives, which has to survive JSON, and what it throws.
 *
 * @throws what the work throws; TrainingError with its text on the others
 */
export async function byTheFirst<T>(workers: Workers | undefined, work: () => Promise<T>): Promise<T> {
  const many = several(workers)
  if (many === undefined) return await work()
  let failure: Error | undefined
  let told: { readonly value?: T; readonly error?: string } = {}
  if (many.rank === 0) {
    try {
      told = { value: await work() }
    } catch (error) {
      failure = asError(error)
      told = { error: failure.message }
    }
  }
  const [first = {}] = await gather(many, told)
  if (failure !== undefined) throw failure
  if (first.error !== undefined) throw new TrainingError(`Worker 0: ${first.error}`)
  return first.value as T // as the work gave it
}

/** Numbers of the first worker, on all of them. @param numbers of the others count for nothing */
export async function fromTheFirst(workers: Workers, numbers: Float32Array): Promise<void> {
  if (workers.rank > 0) numbers.fill(0)
  await workers.sum(numbers)
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
