import type { Workers } from '../../src/training/workers.ts'

/** Workers of one process: each sum waits until all have called, and adds in their order. */
export function together(count: number): readonly Workers[] {
  let waiting: { readonly numbers: Float32Array; readonly done: () => void }[] = []
  const given = new Map<number, Float32Array>()
  return Array.from({ length: count }, (_, rank) => ({
    rank, count,
    async sum(numbers) {
      given.set(rank, numbers)
      await new Promise<void>((done) => {
        waiting.push({ numbers, done })
        if (waiting.length < count) return
        const sums = new Float32Array(numbers.length)
        for (let other = 0; other < count; other++) given.get(other)?.forEach((value, i) => { sums[i] = (sums[i] ?? 0) + value })
        const all = waiting
        waiting = []
        for (const each of all) {
          if (each.numbers.length !== sums.length) throw new Error(`sums of ${each.numbers.length} and ${sums.length} numbers`)
          each.numbers.set(sums)
          each.done()
        }
      })
    },
  }))
}
