import { describe, expect, it } from 'vitest'
import { int, kaimingUniform, normal, permutation, randomStream, uniform } from '../../src/base/random.ts'
import { InputError } from '../../src/errors.ts'

const COUNT = 100_000

/** From an independent Python implementation of xoshiro128** seeded by hashlib's SHA-256 of `[0]`. */
const GOLDEN_SEED_0 = [3744648282, 1221898872, 3483176255, 2719883117]

function moments(values: Float32Array): { mean: number; variance: number; skew: number; kurtosis: number } {
  const average = (f: (x: number) => number): number => values.reduce((sum, x) => sum + f(x), 0) / values.length
  const mean = average((x) => x)
  const variance = average((x) => (x - mean) ** 2)
  return {
    mean,
    variance,
    skew: average((x) => (x - mean) ** 3) / variance ** 1.5,
    kurtosis: average((x) => (x - mean) ** 4) / variance ** 2,
  }
}

function correlation(a: Float32Array, b: Float32Array): number {
  const [ma, mb] = [moments(a), moments(b)]
  const covariance = a.reduce((sum, x, i) => sum + (x - ma.mean) * ((b[i] ?? NaN) - mb.mean), 0) / a.length
  return covariance / Math.sqrt(ma.variance * mb.variance)
}

describe('randomStream', () => {
  it('gives the same numbers for the same seed and path', () => {
    const draw = (): number[] => {
      const stream = randomStream(7, 'layer.0', 'lora_A')
      return Array.from({ length: 5 }, () => stream())
    }
    expect(draw()).toEqual(draw())
  })

  it('keeps its numbers from version to version, so that a seed in a paper stays good', () => {
    const stream = randomStream(0)
    expect(Array.from({ length: 4 }, () => stream())).toEqual(GOLDEN_SEED_0)
  })

  it('gives unrelated numbers for another seed, path, part border or part type', () => {
    const draw = (seed: number, ...path: (string | number)[]): Float32Array =>
      uniform(randomStream(seed, ...path), COUNT, 0, 1)
    const reference = draw(0, 'a', 1)
    const others = [draw(1, 'a', 1), draw(-1, 'a', 1), draw(0, 'a', 2), draw(0, 'a', '1'), draw(0, 'a1'), draw(0), draw(0, 1, 'a')]
    for (const other of others) expect(Math.abs(correlation(reference, other))).toBeLessThan(4 / Math.sqrt(COUNT))
  })

  it('shows no serial correlation within a stream', () => {
    const values = uniform(randomStream(3), COUNT + 1, 0, 1)
    expect(Math.abs(correlation(values.slice(0, COUNT), values.slice(1)))).toBeLessThan(4 / Math.sqrt(COUNT))
  })

  it('sets each of the 32 bits half of the time', () => {
    const stream = randomStream(5)
    const ones = new Array<number>(32).fill(0)
    for (let i = 0; i < COUNT; i++) {
      const draw = stream()
      for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] ?? 0) + ((draw >>> bit) & 1)
    }
    for (const count of ones) expect(Math.abs(count / COUNT - 0.5)).toBeLessThan(5 * 0.5 / Math.sqrt(COUNT))
  })

  it('refuses a seed or a path number that is not an integer', () => {
    expect(() => randomStream(0.5)).toThrow(InputError)
    expect(() => randomStream(0.5, 'a', NaN)).toThrow(
      'randomStream: expected integers as seed and in the path, got 0.5, NaN. Round the seed, or pass the value as a string.')
  })
})

describe('distributions', () => {
  it('uniform has the moments of the uniform distribution and stays in its range', () => {
    const values = uniform(randomStream(1), COUNT, -2, 4)
    const { mean, variance, kurtosis } = moments(values)
    expect(mean).toBeCloseTo(1, 1)
    expect(variance).toBeCloseTo(3, 1) // (high - low)^2 / 12
    expect(kurtosis).toBeCloseTo(1.8, 1)
    expect(Math.min(...values.subarray(0, 10_000))).toBeGreaterThanOrEqual(-2)
    expect(Math.max(...values.subarray(0, 10_000))).toBeLessThanOrEqual(4)
  })

  it('normal has the moments of the normal distribution, for odd counts too', () => {
    const values = normal(randomStream(2), COUNT + 1, 1, 2)
    const { mean, variance, skew, kurtosis } = moments(values)
    expect(values).toHaveLength(COUNT + 1)
    expect(mean).toBeCloseTo(1, 1)
    expect(variance).toBeCloseTo(4, 1)
    expect(skew).toBeCloseTo(0, 1)
    expect(kurtosis).toBeCloseTo(3, 1)
  })

  it('kaimingUniform is uniform up to one over the root of the width', () => {
    const values = kaimingUniform(randomStream(4), COUNT, 400)
    expect(Math.max(...values.subarray(0, 10_000))).toBeCloseTo(0.05, 4)
    expect(Math.min(...values.subarray(0, 10_000))).toBeCloseTo(-0.05, 4)
    expect(moments(values).variance).toBeCloseTo(0.05 ** 2 / 3, 5)
  })

  it('draws nothing for a count of zero', () => {
    expect(uniform(randomStream(0), 0, 0, 1)).toHaveLength(0)
    expect(normal(randomStream(0), 0, 0, 1)).toHaveLength(0)
    expect(permutation(randomStream(0), 0)).toHaveLength(0)
  })

  it('refuses counts, bounds and widths that make no sense', () => {
    const stream = randomStream(0)
    expect(() => uniform(stream, 1.5, 0, 1)).toThrow('uniform: expected a natural number of draws, got 1.5.')
    expect(() => normal(stream, -1, 0, 1)).toThrow('normal: expected a natural number of draws, got -1.')
    expect(() => permutation(stream, NaN)).toThrow('permutation: expected a natural number of draws, got NaN.')
    expect(() => int(stream, 0)).toThrow('int: expected a bound from 1 to 4294967296, got 0.')
    expect(() => kaimingUniform(stream, 8, 0)).toThrow('kaimingUniform: expected fanIn of at least 1, got 0.')
  })
})

describe('int and permutation', () => {
  it('int reaches every value equally often', () => {
    const stream = randomStream(6)
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 70_000; i++) {
      const draw = int(stream, 7)
      counts[draw] = (counts[draw] ?? 0) + 1
    }
    expect(chiSquare(counts, 10_000)).toBeLessThan(22.46) // 6 degrees of freedom, p = 0.001
  })

  it('int covers the whole 32-bit range', () => {
    const stream = randomStream(8)
    const draws = Array.from({ length: 1000 }, () => int(stream, 2 ** 32))
    expect(Math.max(...draws)).toBeGreaterThan(2 ** 31)
  })

  it('permutation holds each index once', () => {
    const order = permutation(randomStream(9), 1000)
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  })

  it('permutation draws each of the 24 orders of four equally often', () => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 24_000; i++) {
      const order = permutation(randomStream(10, i), 4).join('')
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(counts.size).toBe(24)
    expect(chiSquare([...counts.values()], 1000)).toBeLessThan(49.73) // 23 degrees of freedom, p = 0.001
  })
})

function chiSquare(counts: readonly number[], expected: number): number {
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}
