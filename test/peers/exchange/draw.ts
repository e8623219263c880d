// Random choices, each from one stream, so that a case is the same whenever it is made again.

import { int, randomStream, type RandomStream } from '../../../src/base/random.ts'

export interface Draw {
  /** An integer from `low` to `high`, both included. */
  int(low: number, high: number): number
  /** A number from `low` to `high`, with two digits after the point. */
  number(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(list: readonly T[]): T
  /** From 1 to `most` of the list, each once, in any order. */
  some<T>(list: readonly T[], most: number): T[]
  /** The value, or nothing: for settings that are left out as a rule. */
  maybe<T>(probability: number, value: () => T): T | undefined
}

export function drawFrom(seed: number, ...path: readonly (string | number)[]): Draw {
  const stream: RandomStream = randomStream(seed, ...path)
  const upTo = (below: number): number => int(stream, below)
  const draw: Draw = {
    int: (low, high) => low + upTo(high - low + 1),
    number: (low, high) => Math.round((low + ((high - low) * upTo(10_001)) / 10_000) * 100) / 100,
    chance: (probability) => upTo(10_000) < probability * 10_000,
    pick: (list) => {
      const chosen = list[upTo(list.length)]
      if (chosen === undefined) throw new Error('there is nothing to pick from')
      return chosen
    },
    some: (list, most) => {
      const left = [...list]
      const count = draw.int(1, Math.min(most, list.length))
      return Array.from({ length: count }, () => left.splice(upTo(left.length), 1)).flat()
    },
    maybe: (probability, value) => (draw.chance(probability) ? value() : undefined),
  }
  return draw
}

/** Without what is undefined: a setting that is left out. */
export function given(settings: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}
