// Gradients of workers in buckets so small that even a tiny model has several.

import { expect, it, vi } from 'vitest'
import { expectSame, METHODS, SETTINGS, type Setup } from './shared-run.ts'

const limits = vi.hoisted(() => ({ numbers: 500, buckets: new Set<number>() }))
vi.mock('../../src/training/reduction.ts', async (original) => {
  const { reduction } = await original<typeof import('../../src/training/reduction.ts')>()
  return {
    reduction: ((workers, trainable, words) => {
      let sums = 0
      const counted = { ...workers, async sum(numbers: Float32Array) {
        limits.buckets.add(++sums)
        await workers.sum(numbers)
      } }
      const { finish, ...others } = reduction(counted, trainable, words, limits.numbers)
      return { ...others, finish: (...told) => finish(...told).finally(() => { sums = 0 }) }
    }) satisfies typeof reduction,
  }
})

const ofMethods = Object.entries(METHODS).filter(([name]) => ['full', 'lora', 'bottleneck', 'pTuning'].includes(name)).map(([name, method]): [string, Setup] => [name, { method }])
const ofSettings = Object.entries(SETTINGS).filter(([name]) => ['accumulated batches', 'gradient checkpointing', 'layers dropped', 'rows that do not count', 'ewc'].includes(name))

it.each([...ofMethods, ...ofSettings])('workers whose gradients go in several buckets give with %s the losses and weights of one that has all their rows', async (_, setup) => {
  limits.buckets.clear()
  await expectSame(setup)
  expect(Math.max(...limits.buckets)).toBeGreaterThan(1)
})
