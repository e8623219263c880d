import { describe, expect, it } from 'vitest'
import { classBalanced, reservoir } from '../../src/forgetting/replay.ts'

function shown(seed: number, count: number): readonly number[] {
  const buffer = reservoir<number>({ capacity: 5, seed })
  for (let i = 0; i < count; i++) buffer.add(i)
  return buffer.examples
}

describe('reservoir', () => {
  it('keeps all until it is full, then a sample by the seed', () => {
    expect(shown(0, 4)).toEqual([0, 1, 2, 3])
    expect(shown(0, 50)).toHaveLength(5)
    expect(shown(1, 50)).toEqual(shown(1, 50))
    expect(shown(1, 50)).not.toEqual(shown(2, 50))
  })

  it('keeps early and late ones alike', () => {
    const counts = new Array<number>(20).fill(0)
    for (let seed = 0; seed < 2000; seed++) for (const i of shown(seed, 20)) counts[i] = (counts[i] ?? NaN) + 1
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(100) // five standard deviations
  })
})

describe('classBalanced', () => {
  it('shares its room among the classes, also with one that comes last', () => {
    const buffer = classBalanced<number>({ capacity: 9 }, (label) => label)
    for (const [label, count] of [[0, 40], [1, 40], [2, 40], [3, 1]] as const) for (let i = 0; i < count; i++) buffer.add(label)
    const counts = [0, 1, 2, 3].map((label) => buffer.examples.filter((other) => other === label).length)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(9)
    expect(counts[3]).toBe(1)
    expect(counts.slice(0, 3).sort()).toEqual([2, 3, 3])
  })
})

it('needs room', () => {
  expect(() => reservoir({ capacity: 0 })).toThrow('reservoir: expected capacity as an integer of at least 1, got 0.')
  expect(() => classBalanced({ capacity: 1.5 }, () => 0)).toThrow('classBalanced: expected capacity as an integer of at least 1, got 1.5.')
})
