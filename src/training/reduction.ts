// The sums of a step's gradients over several workers, begun while the walk back still computes others.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { alignedFloats } from '../base/engine/native.ts'
import { readInto } from './read-into.ts'
import { isTable, TableSums } from './table-sums.ts'
import type { Workers } from './workers.ts'

/** Numbers of a sum: a share of all, so that the most of them go while others are computed; enough that the message is worth sending. */
const [SHARE, LEAST, MOST] = [1 / 8, 2 ** 15, 2 ** 22]

/** The gradients of a step on their way to their sums, step after step in the same memory. */
export interface Reduction {
  /** Takes a gradient of this worker; with the last of its bucket the sum begins, but for the last bucket. Once for a name, in any order. */
  readonly add: (name: string, gradient: Tensor) => void
  /** Begins the sums of what is left, zeros where this worker has nothing, and of the words; waits for all. @returns sums of the words, until the next step */
  readonly finish: (words: readonly number[]) => Promise<Float32Array>
  /** The sums of a gradient times a factor, once they are all there. */
  readonly scaled: (name: string, factor: number) => Tensor
}

/** Beside the gradients, numbers that come last: they are sent with the last bucket, as a message of their own would take its time to arrive. */
const WORDS = '/words'

/**
 * Sums gradients over workers in buckets, the last tensors first, as the walk back comes to them; of tables only the rows that some worker
 * has anything for. All workers begin their sums in the same order, whatever each has.
 *
 * @param words how many numbers come with the last gradients
 * @param limit numbers of a bucket; a gradient is never taken apart
 */
export function reduction(workers: Workers, trainable: Readonly<Record<string, Variable>>, words: number, limit?: number): Reduction {
  const tables = new Map(Object.entries(trainable).filter(([, { shape }]) => isTable(shape)).map(([name, { shape }]) => [name, new TableSums(shape)] as const))
  const sizes = Object.entries(trainable).filter(([name]) => !tables.has(name)).map(([name, { size }]) => [name, size] as const)
  const last = [...[...tables].map(([name, { rows }]) => [name, rows] as const), [WORDS, words] as const]
  const buckets = bucketsOf(sizes, last, limit ?? limitOf(sizes))
  const bucketOf = new Map(buckets.flatMap((bucket) => [...bucket.views.keys()].map((name) => [name, bucket] as const)))
  const viewOf = (name: string): Float32Array => bucketOf.get(name)?.views.get(name) ?? new Float32Array()
  let sums: Promise<void>[] = []
  const begin = (numbers: Float32Array): Promise<void> => {
    const sum = workers.sum(numbers)
    sum.catch(() => undefined) // `finish` tells it
    sums.push(sum)
    return sum
  }
  let begun = 0
  return {
    add(name, gradient) {
      const table = tables.get(name)
      if (table === undefined) readInto(viewOf(name), gradient)
      else table.add(gradient, viewOf(name))
      bucketOf.get(name)?.missing.delete(name)
      for (let next = buckets[begun]; next?.missing.size === 0; next = buckets[++begun]) void begin(next.numbers)
    },
    async finish(words) {
      try {
        viewOf(WORDS).set(words)
        bucketOf.get(WORDS)?.missing.delete(WORDS)
        for (const { numbers, views, missing } of buckets.slice(begun)) {
          for (const name of missing) views.get(name)?.fill(0)
          void begin(numbers)
        }
        if (tables.size > 0) {
          await Promise.all(sums)
          for (const [name, table] of tables) void begin(table.rowsOf(viewOf(name)))
        }
        await Promise.all(sums)
        return viewOf(WORDS)
      } finally {
        for (const table of tables.values()) table.forget()
        for (const { views, missing } of buckets) for (const name of views.keys()) missing.add(name)
        begun = 0
        sums = []
      }
    },
    scaled(name, factor) {
      const shape = trainable[name]?.shape
      return tables.get(name)?.scaled(factor) ?? tf.tidy(() => tf.mul(tf.tensor(viewOf(name), shape, 'float32'), factor))
    },
  }
}

interface Bucket {
  readonly numbers: Float32Array
  /** Where each gradient stands in them. */
  readonly views: ReadonlyMap<string, Float32Array>
  /** Names whose gradients are not here yet. */
  readonly missing: Set<string>
}

type Sizes = readonly (readonly [name: string, size: number])[]

function limitOf(sizes: Sizes): number {
  return Math.min(MOST, Math.max(LEAST, SHARE * sizes.reduce((sum, [, size]) => sum + size, 0)))
}

/** @param last what the last bucket has beside gradients */
function bucketsOf(sizes: Sizes, last: Sizes, limit: number): readonly Bucket[] {
  const groups: [string, number][][] = [[]]
  let size = 0
  for (const [name, more] of [...sizes].reverse()) {
    if (size > 0 && size + more > limit) {
      groups.push([])
      size = 0
    }
    groups.at(-1)?.push([name, more])
    size += more
  }
  groups.at(-1)?.push(...last.map(([name, more]): [string, number] => [name, more]))
  return groups.map((group) => {
    const numbers = alignedFloats(group.reduce((sum, [, more]) => sum + more, 0))
    let start = 0
    const alignedFirst = group.sort(([, a], [, b]) => Number(a % LINE !== 0) - Number(b % LINE !== 0)) // what is not aligned the runtime copies
    const views = new Map(alignedFirst.map(([name, more]) => [name, numbers.subarray(start, start += more)] as const))
    return { numbers, views, missing: new Set(views.keys()) }
  })
}

/** Numbers of 64 bytes. */
const LINE = 16
