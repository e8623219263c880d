import * as tf from '@tensorflow/tfjs-core'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { averageTensors, fisherAverage } from '../../src/forgetting/average.ts'
import { interpolateTensors } from '../../src/forgetting/interpolate.ts'
import type { Tensors } from '../../src/forgetting/records.ts'
import { slerp } from '../../src/forgetting/slerp.ts'
import { addTaskVectors, taskVector } from '../../src/forgetting/task-vector.ts'
import { largestDifference, valuesOf } from '../golden.ts'

beforeAll(loadEngine)

/** Two tensors, a matrix and a vector, of one array of numbers. */
function record(numbers: ArrayLike<number>): Tensors {
  const values = Float32Array.from(numbers)
  return { 'layer.0.w': tf.tensor2d(values.slice(0, 6), [2, 3]), b: tf.tensor1d(values.slice(6)) }
}

function one(): Tensors {
  return { w: tf.tensor([1]) }
}

function numbersOf(tensors: Tensors): number[] {
  return Object.values(tensors).flatMap((tensor) => [...valuesOf(tensor)])
}

const SIZE = 10
// What is closer to 0 than float32's normal numbers counts as 0 in the engine.
const number = fc.float({ min: -1000, max: 1000, noNaN: true }).map((value) => (Math.abs(value) < 2 ** -126 ? 0 : value))
const numbers = fc.array(number, { minLength: SIZE, maxLength: SIZE })
const share = fc.double({ min: 0, max: 1, noNaN: true })

/** Runs a property on numbers in and out, its tensors freed. */
function holds<Ts extends [unknown, ...unknown[]]>(arbitraries: { [I in keyof Ts]: fc.Arbitrary<Ts[I]> }, check: (...values: Ts) => void): void {
  fc.assert(fc.property(...arbitraries, (...values) => tf.tidy(() => check(...values))), { numRuns: 50 })
}

/** Float32 rounding of sums of numbers up to this size. */
function close(actual: ArrayLike<number>, expected: ArrayLike<number>, size: number): void {
  expect(largestDifference(actual, expected)).toBeLessThanOrEqual(1e-6 * Math.max(1, size))
}

describe('interpolateTensors', () => {
  it('gives the base at 0 and the tuned weights at 1, to the bit', () => {
    holds([numbers, numbers], (a, b) => {
      expect(largestDifference(numbersOf(interpolateTensors(record(a), record(b), 0)), a)).toBe(0)
      expect(largestDifference(numbersOf(interpolateTensors(record(a), record(b), 1)), b)).toBe(0)
    })
  })

  it('is the base and a part of the task vector', () => {
    holds([numbers, numbers, share], (a, b, alpha) => {
      const base = record(a)
      const moved = addTaskVectors(base, [{ vector: taskVector(base, record(b)) }], { scale: alpha })
      close(numbersOf(interpolateTensors(base, record(b), alpha)), numbersOf(moved), 2000)
    })
  })

  it('asks for an alpha by name and layer', () => tf.tidy(() => {
    const mixed = interpolateTensors(record(new Float32Array(SIZE)), record(new Float32Array(SIZE).fill(1)), (name, layer) => (layer === 0 ? 0.25 : name === 'b' ? 0.75 : NaN))
    expect(numbersOf(mixed)).toEqual([...Array<number>(6).fill(0.25), ...Array<number>(4).fill(0.75)])
  }))
})

describe('averageTensors', () => {
  it('of equal records is that record, to the bit', () => {
    holds([numbers, fc.integer({ min: 1, max: 7 })], (a, count) => {
      expect(largestDifference(numbersOf(averageTensors(Array.from({ length: count }, () => record(a)))), a)).toBe(0)
    })
  })

  it('is the weighted mean, in float64', () => {
    holds([fc.array(fc.tuple(numbers, fc.double({ min: 0.01, max: 10, noNaN: true })), { minLength: 1, maxLength: 5 })], (members) => {
      const total = members.reduce((sum, [, weight]) => sum + weight, 0)
      const expected = Array.from({ length: SIZE }, (_, at) => members.reduce((sum, [values, weight]) => sum + (weight / total) * (values[at] ?? NaN), 0))
      close(numbersOf(averageTensors(members.map(([values]) => record(values)), members.map(([, weight]) => weight))), expected, 5000)
    })
  })
})

describe('fisherAverage', () => {
  it('with equal information is the plain mean, and lies between its members', () => {
    holds([numbers, numbers, fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: SIZE, maxLength: SIZE })], (a, b, f) => {
      const records = [record(a), record(b)]
      close(numbersOf(fisherAverage(records, [record(f), record(f)])), numbersOf(averageTensors(records)), 2000)
      const mixed = numbersOf(fisherAverage(records, [record(f), record([...f].reverse())]))
      mixed.forEach((value, at) => {
        const pair = [a[at] ?? NaN, b[at] ?? NaN]
        expect(value).toBeGreaterThanOrEqual(Math.min(...pair) - 1e-3)
        expect(value).toBeLessThanOrEqual(Math.max(...pair) + 1e-3)
      })
    })
  })

  it('takes the one that matters where the other does not', () => tf.tidy(() => {
    const merged = fisherAverage([{ w: tf.tensor([1, 5]) }, { w: tf.tensor([3, 7]) }], [{ w: tf.tensor([1, 0]) }, { w: tf.tensor([0, 1]) }])
    expect(largestDifference(numbersOf(merged), [1, 7])).toBeLessThan(1e-6)
  }))
})

describe('slerp', () => {
  it('is the same from either end, and the ends are exact', () => {
    holds([numbers, numbers, share], (a, b, t) => {
      close(numbersOf(slerp(record(a), record(b), t)), numbersOf(slerp(record(b), record(a), 1 - t)), 20_000)
      expect(largestDifference(numbersOf(slerp(record(a), record(b), 0)), a)).toBe(0)
      expect(largestDifference(numbersOf(slerp(record(a), record(b), 1)), b)).toBe(0)
    })
  })

  it('keeps the length between vectors of one length', () => tf.tidy(() => {
    const angle = (x: number): Tensors => ({ w: tf.tensor([2 * Math.cos(x), 2 * Math.sin(x)]) })
    expect(largestDifference(numbersOf(slerp(angle(0.3), angle(2.1), 0.25)), numbersOf(angle(0.75)))).toBeLessThan(1e-6)
  }))

  it('of a tensor of zeros is finite', () => tf.tidy(() => {
    expect(numbersOf(slerp(record(new Float32Array(SIZE)), record(new Float32Array(SIZE).fill(1)), 0.5)).every(Number.isFinite)).toBe(true)
  }))
})

describe('addTaskVectors', () => {
  it('takes away what it added', () => {
    holds([numbers, numbers, numbers], (a, b, c) => {
      const [base, other] = [record(a), record(b)]
      const vector = taskVector(record(c), other)
      close(numbersOf(addTaskVectors(addTaskVectors(base, [{ vector }]), [{ vector, weight: -1 }])), a, 4000)
      close(numbersOf(addTaskVectors(base, [{ vector }, { vector, weight: -1 }])), a, 4000)
    })
  })

  it.each(['ties', 'dare-ties'] as const)('%s at density 1 of one vector adds it', (kind) => {
    holds([numbers, numbers], (a, b) => {
      close(numbersOf(addTaskVectors(record(a), [{ vector: record(b) }], { kind, density: 1 })), a.map((value, at) => value + (b[at] ?? NaN)), 2000)
    })
  })

  it('ties leaves small elements out and averages those of the elected sign', () => tf.tidy(() => {
    const base = { w: tf.zeros([4]) }
    const vectors = [{ w: tf.tensor([4, 3, -0.1, 0.2]) }, { w: tf.tensor([2, -1, 0.1, -0.3]) }]
    expect(numbersOf(addTaskVectors(base, vectors.map((vector) => ({ vector })), { kind: 'ties', density: 0.5 }))).toEqual([3, 3, 0, 0])
    const pruned = addTaskVectors(base, vectors.map((vector) => ({ vector })), { kind: 'magnitude-prune', density: 0.5 })
    expect(numbersOf(pruned)).toEqual([6, 2, 0, 0])
  }))

  it.each(['dare-linear', 'dare-ties'] as const)('%s depends on the seed alone and keeps the sum on average', (kind) => tf.tidy(() => {
    const base = { w: tf.zeros([4000]) }
    const merged = (seed: number): number[] => numbersOf(addTaskVectors(base, [{ vector: { w: tf.ones([4000]) } }], { kind, density: 0.4, seed }))
    const first = merged(1)
    expect(merged(1)).toEqual(first)
    expect(merged(2)).not.toEqual(first)
    if (kind === 'dare-ties') expect(new Set(first).size).toBe(2)
    expect(first.reduce((sum, value) => sum + value, 0) / 4000).toBeCloseTo(1, 1)
  }))
})

describe('records that do not fit', () => {
  it('are refused with every difference, and nothing is left behind', () => {
    const a = { w: tf.tensor([1, NaN]), same: tf.tensor([1]), mine: tf.tensor([[1]]) }
    const b = { w: tf.tensor([1, 2, 3]), same: tf.tensor([1]), theirs: tf.tensor([Infinity]) }
    const count = tf.memory().numTensors
    expect(() => interpolateTensors(a, b, 2)).toThrow(
      [
        'interpolateTensors: these cannot be used together:',
        '  - alpha: expected a number in [0, 1], got 2',
        '  - w is [2] in base and [3] in tuned',
        '  - tuned lacks mine [1, 1], which base has',
        '  - tuned has theirs, which base lacks',
        '  - base: w has numbers that are not finite',
        '  - tuned: theirs has numbers that are not finite',
      ].join('\n'),
    )
    for (const refused of [
      () => averageTensors([a, b]), () => fisherAverage([a, b], []), () => slerp(a, b, 0.5), () => taskVector(a, b), () => addTaskVectors(a, [{ vector: b }]),
    ]) expect(refused).toThrow(/w is \[2\] in (.|\n)*w has numbers that are not finite/)
    expect(tf.memory().numTensors).toBe(count)
    tf.dispose([a, b])
  })

  it.each<readonly [string, () => unknown, string]>([
    ['no records', () => averageTensors([]), 'expected at least one record, got none'],
    ['no tensors', () => averageTensors([{}]), 'record 0 has no tensors'],
    ['no task vectors', () => addTaskVectors(record(new Float32Array(SIZE)), []), 'expected at least one task vector, got none'],
    ['too few weights', () => averageTensors([one()], [1, 2]), 'weights: expected one for each of 1 records, got 2'],
    ['weights without a sum', () => averageTensors([one(), one()], [1, -1]), 'weights: expected a sum other than 0, got 1, -1'],
    ['an endless weight', () => averageTensors([one()], [Infinity]), 'weights: expected finite numbers, got Infinity'],
    ['too few Fishers', () => fisherAverage([one()], []), 'fishers: expected one for each of 1 records, got 0'],
    ['negative information', () => fisherAverage([one()], [{ w: tf.tensor([-1]) }]), 'fishers: w has numbers below 0 or not finite'],
    ['information of one alone', () => fisherAverage([one(), one()], [one(), {}]), 'fishers: record 1 has no information of w, others have'],
    ['information of another shape', () => fisherAverage([one()], [{ w: tf.tensor([1, 1]) }]), 'fishers: expected w as [1], got [2]'],
    ['information of nothing', () => fisherAverage([one()], [{ v: tf.tensor([1]) }]), 'fishers: there is no v in the records'],
    ['a floor of 0', () => fisherAverage([one()], [{}], { floor: 0 }), 'floor: expected a number above 0, got 0'],
    ['an alpha of one tensor', () => interpolateTensors(one(), one(), () => -0.5), 'alpha: expected a number in [0, 1] for w, got -0.5'],
    ['ties without density', () => addTaskVectors(one(), [{ vector: one() }], { kind: 'ties' }), "density: 'ties' needs a share in (0, 1], got undefined"],
    ['ties of a negative', () => addTaskVectors(one(), [{ vector: one(), weight: -1 }], { kind: 'ties', density: 1 }), "vector 0: 'ties' averages and needs a weight above 0, got -1"],
    ['a scale that is none', () => addTaskVectors(one(), [{ vector: one(), weight: NaN }], { scale: NaN }), 'scale: expected a finite number, got NaN'],
    ['an unknown kind', () => addTaskVectors(one(), [{ vector: one() }], { kind: 'sum' as 'linear' }), "kind: 'sum' is not one of linear, ties"],
  ])('%s is said', (_, run, message) => tf.tidy(() => {
    expect(run).toThrow(message)
  }))
})

it('results are new tensors, and nothing else is left behind', () => {
  const [a, b] = [record(Float32Array.from({ length: SIZE }, (_, i) => i)), record(new Float32Array(SIZE).fill(2))]
  const count = tf.memory().numTensors
  const made = [
    interpolateTensors(a, b, 0.5), averageTensors([a]), averageTensors([a, b]), fisherAverage([a, b], [b, b]), slerp(a, b, 0.5), taskVector(a, b),
    addTaskVectors(a, [{ vector: b }]), addTaskVectors(a, [{ vector: b }], { kind: 'ties', density: 0.5 }),
  ]
  expect(tf.memory().numTensors).toBe(count + made.length * 2)
  tf.dispose(made)
  expect(numbersOf(a)).toEqual(Array.from({ length: SIZE }, (_, i) => i))
  tf.dispose([a, b])
})
