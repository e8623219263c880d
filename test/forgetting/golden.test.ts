import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { averageTensors, fisherAverage } from '../../src/forgetting/average.ts'
import { interpolateTensors } from '../../src/forgetting/interpolate.ts'
import type { Tensors } from '../../src/forgetting/records.ts'
import { slerp } from '../../src/forgetting/slerp.ts'
import { addTaskVectors, taskVector } from '../../src/forgetting/task-vector.ts'
import { combineValues } from '../../src/manage/rules.ts'
import { largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'

const NAMES = ['dense', 'bias', 'norm', 'one']
const WEIGHTS = [0.7, 0.4, 1.3]
const TOLERANCE = 3e-7 // the numbers are around 1, in float32

let golden: Golden

beforeAll(async () => {
  await loadEngine()
  golden = await readGolden('merging.safetensors')
})

function record(name: string, names: readonly string[] = NAMES): Record<string, tf.Tensor> {
  return Object.fromEntries(names.map((key) => [key, tf.tensor(golden.numbers(`${name}/${key}`), [...golden.shape(`${name}/${key}`)])]))
}

function expectGolden(actual: Tensors, name: string): void {
  expect(Object.keys(actual)).toEqual(NAMES)
  for (const key of NAMES) {
    expect(actual[key]?.shape, key).toEqual(golden.shape(`${name}/${key}`))
    expect(largestDifference(valuesOf(actual[key] as tf.Tensor), golden.numbers(`${name}/${key}`)), `${name}/${key}`).toBeLessThan(TOLERANCE)
  }
}

function inTidy(run: () => void): void {
  tf.tidy(run)
}

describe('records are mixed with the numbers of', () => {
  it.each([0.0, 0.1, 0.5, 1.0])('wise-ft at alpha %s', (alpha) =>
    inTidy(() => expectGolden(interpolateTensors(record('base'), record('a'), alpha), `wise_ft/${alpha.toFixed(1)}`)))

  it('wise-ft with Fishers', () => inTidy(() => {
    const fishers = ['a', 'b'].map((name) => record(`fisher/${name}`, ['dense', 'bias', 'one']))
    expectGolden(fisherAverage([record('a'), record('b')], fishers, { weights: [0.7, 0.3] }), 'wise_ft_fisher')
  }))

  it('Fisher-weighted averaging', () => inTidy(() => {
    const fishers = ['a', 'b'].map((name) => record(`fisher/${name}`, ['dense', 'bias', 'one']))
    expectGolden(fisherAverage([record('a'), record('b')], fishers, { weights: [0.6, 0.4] }), 'fisher')
  }))

  it('model-soups and mergekit’s linear', () => inTidy(() => {
    const members = ['a', 'b', 'c'].map((name) => record(name))
    expectGolden(averageTensors(members), 'soup')
    expectGolden(averageTensors(members), 'linear')
    expectGolden(averageTensors(members, WEIGHTS), 'weighted')
  }))

  it.each(['0.0', '0.25', '0.5', '0.9', '1.0'])('mergekit’s slerp at %s', (t) =>
    inTidy(() => expectGolden(slerp(record('a'), record('b'), Number(t)), `slerp/${t}`)))

  it('mergekit’s slerp of opposite vectors', () => inTidy(() => expectGolden(slerp(record('a'), record('c'), 0.5), 'opposite')))

  it('mergekit’s task arithmetic', () => inTidy(() => {
    const base = record('base')
    const [a, b, c] = ['a', 'b', 'c'].map((name) => taskVector(base, record(name))) as [Tensors, Tensors, Tensors]
    const merged = addTaskVectors(base, [{ vector: a }, { vector: b, weight: 0.5 }, { vector: c, weight: -1 }], { scale: 0.8 })
    expectGolden(merged, 'task_arithmetic')
  }))

  it('mergekit’s ties', () => inTidy(() => {
    const base = record('base')
    const vectors = ['a', 'b', 'c'].map((name) => taskVector(base, record(name)))
    expectGolden(addTaskVectors(base, vectors.map((vector) => ({ vector })), { kind: 'ties', density: 0.4 }), 'ties')
    const weighted = vectors.map((vector, i) => ({ vector, weight: WEIGHTS[i] ?? NaN }))
    expectGolden(addTaskVectors(base, weighted, { kind: 'ties', density: 0.4, scale: 0.7 }), 'ties_weighted')
  }))

  // The masks mergekit drew stand in for the random stream: 0 keeps, the largest number drops.
  it.each([['dare_linear', 'sum'], ['dare_ties', 'agreeing-weighted']] as const)('mergekit’s %s, scaled as in the paper', (kind, combine) => inTidy(() => {
    const base = record('base')
    const vectors = ['a', 'b', 'c'].map((name) => taskVector(base, record(name)))
    for (const key of NAMES) {
      const draw = (part: number): (() => number) => {
        const mask = golden.numbers(`mask/${kind}/${'abc'[part] ?? ''}/${key}`)
        let at = 0
        return () => (mask[at++] === 1 ? 0 : 2 ** 32 - 1)
      }
      const mixed = combineValues(vectors.map((vector) => valuesOf(vector[key] as tf.Tensor)), WEIGHTS, { prune: 'random', combine }, 0.6, draw)
      const merged = valuesOf(base[key] as tf.Tensor).map((value, i) => value + (mixed[i] ?? NaN))
      expect(largestDifference(merged, golden.numbers(`${kind}/${key}`)), key).toBeLessThan(TOLERANCE)
    }
  }))
})
