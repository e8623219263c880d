// A memory of examples from earlier tasks, of a fixed size, to be mixed into the training of the next.

import { int, randomStream } from '../base/random.ts'
import { InputError } from '../errors.ts'

/** The size of a buffer of old examples, and its seed. */
export interface ReplayOptions {
  /** How many examples are kept. At least 1. */
  readonly capacity: number
  /** Decides which are kept. @default 0 */
  readonly seed?: number
}

/** A memory of examples of any kind. */
export interface ReplayBuffer<Example> {
  /** Shows it one example, which it keeps or not. */
  add(example: Example): void
  /** What it keeps now; a copy of the list. */
  readonly examples: readonly Example[]
}

/**
 * Keeps a uniform sample of all that it was shown, each with the same chance (reservoir sampling, Vitter 1985).
 *
 * @throws InputError when the capacity is no integer of at least 1
 * @example
 * const buffer = reservoir<{ readonly ids: readonly number[]; readonly label: number }>({ capacity: 200, seed: 1 })
 * buffer.add({ ids: [101, 7592, 102], label: 0 })
 */
export function reservoir<Example>({ capacity, seed = 0 }: ReplayOptions): ReplayBuffer<Example> {
  checkCapacity('reservoir', capacity)
  const random = randomStream(seed, 'reservoir')
  const kept: Example[] = []
  let seen = 0
  return {
    add(example) {
      seen++
      if (kept.length < capacity) kept.push(example)
      else {
        const place = int(random, seen)
        if (place < capacity) kept[place] = example
      }
    },
    get examples() { return [...kept] },
  }
}

/**
 * Keeps as many examples of each class as of every other, as far as there are so many, and of each class a uniform sample
 * of what it was shown: where the memory is full, a largest class gives one up.
 *
 * @param classOf the class of an example
 * @throws InputError when the capacity is no integer of at least 1
 * @example
 * const buffer = classBalanced<{ readonly text: string; readonly label: number }>({ capacity: 200 }, ({ label }) => label)
 * buffer.add({ text: 'you have won', label: 1 })
 */
export function classBalanced<Example>({ capacity, seed = 0 }: ReplayOptions, classOf: (example: Example) => number): ReplayBuffer<Example> {
  checkCapacity('classBalanced', capacity)
  const random = randomStream(seed, 'class balanced')
  const kept = new Map<number, Example[]>()
  const seen = new Map<number, number>()
  const size = (): number => [...kept.values()].reduce((sum, { length }) => sum + length, 0)
  return {
    add(example) {
      const label = classOf(example)
      const own = kept.get(label) ?? []
      const count = (seen.get(label) ?? 0) + 1
      kept.set(label, own)
      seen.set(label, count)
      if (size() < capacity) {
        own.push(example)
        return
      }
      const largest = [...kept.values()].reduce((a, b) => (b.length > a.length ? b : a))
      if (own.length < largest.length) {
        largest.splice(int(random, largest.length), 1)
        own.push(example)
      } else {
        const place = int(random, count)
        if (place < own.length) own[place] = example
      }
    },
    get examples() { return [...kept.values()].flat() },
  }
}

function checkCapacity(caller: string, capacity: number): void {
  if (!Number.isInteger(capacity) || capacity < 1) throw new InputError(`${caller}: expected capacity as an integer of at least 1, got ${capacity}.`)
}
