import type { Workers } from '../../src/training/workers.ts'

interface Waiting {
  readonly numbers: Float32Array
  readonly done: () => void
  readonly failed: (error: Error) => void
}

/** Workers of one process: each sum waits until all have called as often, and adds in their order. */
export function together(count: number): readonly Workers[] {
  const waiting: readonly Waiting[][] = Array.from({ length: count }, () => [])
  const addUp = (): void => {
    while (waiting.every((calls) => calls.length > 0)) {
      const all = waiting.flatMap((calls) => calls.shift() ?? [])
      const sums = new Float32Array(all[0]?.numbers.length ?? 0)
      const isEven = all.every(({ numbers }) => numbers.length === sums.length)
      for (const { numbers } of all) numbers.forEach((value, i) => { sums[i] = (sums[i] ?? 0) + value })
      for (const { numbers, done, failed } of all) {
        if (!isEven) failed(new Error(`sums of ${all.map(({ numbers: each }) => each.length).join(' and ')} numbers`))
        else {
          numbers.set(sums)
          done()
        }
      }
    }
  }
  return waiting.map((calls, rank) => ({
    rank, count,
    sum: (numbers) => new Promise<void>((done, failed) => {
      calls.push({ numbers, done, failed })
      addUp()
    }),
  }))
}
