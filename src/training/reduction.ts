// The sums of a step's gradients over several workers, begun while the walk back still computes others.

import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import type { Workers } from './workers.ts'

/** Numbers of a sum: enough that its message is worth sending. A gradient is never taken apart. */
const BUCKET = 2 ** 22

/** The gradients of a step on their way to their sums. */
export interface Reduction {
  /** Takes a gradient of this worker; with the last of its bucket the sum begins, but for the last bucket. Once for a name, in any order. */
  readonly add: (name: string, gradient: Tensor) => void
  /** Begins the sums of what is left, zeros where this worker has nothing, and of the words; waits for all. */
  readonly finish: (words: readonly number[]) => Promise<Float32Array>
  /** The sums of a gradient, once they are all there. */
  readonly sumsOf: (name: string) => Float32Array
}

/** Beside the gradients, numbers that come last: they are sent with the last bucket, as a message of their own would take its time to arrive. */
const WORDS = '/words'

/**
 * Sums gradients over workers in buckets, the last tensors first, as the walk back comes to them. All workers begin their sums in the
 * same order, whatever each has.
 *
 * @param words how many numbers come with the last gradients
 * @param limit numbers of a bucket
 */
export function reduction(workers: Workers, trainable: Readonly<Record<string, Variable>>, words: number, limit: number = BUCKET): Reduction {
  const buckets = bucketsOf(trainable, words, limit)
  const bucketOf = new Map(buckets.flatMap((bucket) => [...bucket.views.keys()].map((name) => [name, bucket] as const)))
  const viewOf = (name: string): Float32Array => bucketOf.get(name)?.views.get(name) ?? new Float32Array()
  const sums: Promise<void>[] = []
  const begin = (numbers: Float32Array): void => {
    const sum = workers.sum(numbers)
    sum.catch(() => undefined) // `finish` tells it
    sums.push(sum)
  }
  let begun = 0
  return {
    add(name: string, gradient: Tensor) {
      viewOf(name).set(gradient.dataSync<'float32'>())
      bucketOf.get(name)?.missing.delete(name)
      for (let next = buckets[begun]; next?.missing.size === 0; next = buckets[++begun]) begin(next.numbers)
    },
    async finish(words: readonly number[]) {
      viewOf(WORDS).set(words)
      for (const { numbers } of buckets.slice(begun)) begin(numbers)
      await Promise.all(sums)
      return viewOf(WORDS)
    },
    sumsOf: viewOf,
  }
}

interface Bucket {
  readonly numbers: Float32Array
  /** Where each gradient stands in them. */
  readonly views: ReadonlyMap<string, Float32Array>
  /** Names whose gradients are not here yet. */
  readonly missing: Set<string>
}

function bucketsOf(trainable: Readonly<Record<string, Variable>>, words: number, limit: number): readonly Bucket[] {
  const groups: { readonly sizes: Map<string, number>; size: number }[] = []
  for (const [name, { size }] of Object.entries(trainable).reverse()) {
    const last = groups.at(-1)
    if (last === undefined || last.size + size > limit) groups.push({ sizes: new Map([[name, size]]), size })
    else {
      last.sizes.set(name, size)
      last.size += size
    }
  }
  groups.at(-1)?.sizes.set(WORDS, words)
  return groups.map(({ sizes }) => {
    const numbers = new Float32Array([...sizes.values()].reduce((sum, size) => sum + size, 0))
    let start = 0
    const views = new Map([...sizes].map(([name, size]) => [name, numbers.subarray(start, start += size)] as const))
    return { numbers, views, missing: new Set(sizes.keys()) }
  })
}
