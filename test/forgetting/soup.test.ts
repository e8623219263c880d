import * as tf from '@tensorflow/tfjs-core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttachOptions } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { FrozenWeight } from '../../src/base/engine/frozen-weight.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { houlsby } from '../../src/adapters/presets.ts'
import { averageTensors } from '../../src/forgetting/average.ts'
import { greedyChoice } from '../../src/forgetting/greedy.ts'
import { mergeModels } from '../../src/forgetting/merge-models.ts'
import { greedySoup, soup } from '../../src/forgetting/soup.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { setActive, withAdapters } from '../../src/manage/active.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { attachTrained, BATCH, closeModel, eachTinyModel, forward, tinyModel } from '../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

interface Row {
  readonly name: string
  readonly method: () => Method
  readonly options?: AttachOptions
}

const FOLDED: readonly Row[] = [
  { name: 'LoRA with a head', method: () => lora({ rank: 3, bias: 'lora_only' }), options: { train: ['classifier'] } },
  { name: 'PiSSA', method: () => lora({ rank: 2, init: 'pissa' }) },
  { name: '(IA)³', method: () => ia3() },
  { name: 'BitFit', method: () => bitFit() },
  { name: 'full fine-tuning', method: () => fullFineTuning() },
]

const BESIDE: readonly Row[] = [
  { name: 'Houlsby adapter', method: () => houlsby({ reductionFactor: 4 }) },
  { name: 'prefix', method: () => prefix({ virtualTokens: 2 }) },
  { name: 'prompt', method: () => prompt({ virtualTokens: 2 }) },
]

function attachThree({ method, options = {} }: Row): Adapter[] {
  return ['a', 'b', 'c'].map((name) => attachTrained(model, name, method(), options))
}

describe('a soup of adapters', () => {
  it.each(FOLDED)('of $name is the average of the merged weights', (row) => {
    const adapters = attachThree(row)
    const merged = adapters.map((adapter) => merge(model, adapter))
    const mean = mergeModels(merged, (records) => averageTensors(records))
    const made = merge(model, soup(model, ['a', 'b', 'c'], { name: 'mean' }))
    for (const [name, tensor] of made.parts.params) {
      expect(largestDifference(valuesOf(tensor), valuesOf(mean.parts.params.get(name) as FrozenWeight)), name).toBeLessThan(1e-6)
    }
    for (const each of [...merged, mean, made]) each.dispose()
  })

  it.each(BESIDE)('of $name is the average of the tensors', (row) => {
    const adapters = attachThree(row)
    const made = soup(model, adapters, { name: 'mean' })
    for (const [name, tensor] of Object.entries(made.trainable)) {
      const values = adapters.map(({ trainable }) => valuesOf(trainable[name] as tf.Tensor))
      expect(largestDifference(valuesOf(tensor), Float64Array.from(tensor.dataSync(), (_, i) => values.reduce((sum, each) => sum + (each[i] ?? NaN) / 3, 0)))).toBeLessThan(1e-6)
    }
  })

  it.each([...FOLDED, ...BESIDE])('of one $name alone is that adapter', ({ method, options = {} }) => {
    attachTrained(model, 'a', method(), options)
    soup(model, ['a'], { name: 'alone' })
    expect(largestDifference(forward(withAdapters(model, 'alone')), forward(withAdapters(model, 'a')))).toBeLessThan(5e-6)
  })

  it('of DoRA says what to take instead', () => {
    attachTrained(model, 'a', dora({ rank: 2 }))
    expect(() => soup(model, ['a'], { name: 'mean' })).toThrow("does more than add a product B A to weights, which 'cat' cannot keep; take 'svd'")
  })

  it('is refused with everything that is wrong', async () => {
    const a = attachTrained(model, 'a', houlsby())
    attachTrained(model, 'b', houlsby({ reductionFactor: 8 }))
    attachTrained(model, 'c', ia3())
    const count = tf.memory().numTensors
    expect(() => soup(model, ['a', 'b', 'c'], { name: 'mean' })).toThrow(
      "soup: these cannot be averaged:\n  - 'b' is not of the method and options of 'a'\n  - 'c' is not of the method and options of 'a'",
    )
    expect(() => soup(model, [], { name: 'mean' })).toThrow('expected at least one adapter')
    expect(() => soup(model, ['nobody'], { name: 'mean' })).toThrow("no adapter 'nobody'")
    expect(() => soup(model, ['a'], { name: 'a' })).toThrow("already has an adapter called 'a'")
    const other = await tinyModel()
    expect(() => soup(other, [a], { name: 'mean' })).toThrow("'a' belongs to another model")
    closeModel(other)
    expect(tf.memory().numTensors).toBe(count)
  })

  it('leaves no tensors behind but its own', () => {
    for (const row of [...FOLDED, ...BESIDE]) {
      const adapters = attachThree(row)
      const count = tf.memory().numTensors
      const made = soup(model, adapters, { name: 'mean' })
      expect(tf.memory().numTensors, row.name).toBe(count + Object.keys(made.trainable).length + Object.keys(made.frozen).length)
      for (const adapter of [made, ...adapters]) detach(adapter)
    }
  })
})

describe('a greedy soup', () => {
  const score = (given: Model): number => tf.tidy(() => -(given.loss(BATCH).dataSync()[0] ?? NaN))

  it('is never worse on the evaluation than the best adapter, and leaves the others as they were', async () => {
    for (const name of ['a', 'b', 'c', 'd']) attachTrained(model, name, lora({ targets: 'all-linear' }))
    setActive(model, ['a', 'd'])
    const count = tf.memory().numTensors
    const found = await greedySoup(model, ['a', 'b', 'c'], { name: 'mixed', evaluate: score })
    const alone = ['a', 'b', 'c'].map((name) => score(withAdapters(model, [name, 'd'])))
    const best = Math.max(...alone)
    expect(found.score).toBeGreaterThanOrEqual(best - 1e-6)
    expect(found.chosen[0]).toBe('abc'[alone.indexOf(best)])
    expect(score(withAdapters(model, ['d', 'mixed']))).toBeCloseTo(found.score, 6)
    expect(found.tried).toHaveLength(5)
    expect(adaptersOf(model).filter(({ enabled }) => enabled).map(({ name }) => name)).toEqual(['a', 'd'])
    expect(tf.memory().numTensors).toBe(count + Object.keys(found.adapter.trainable).length)
  })

  it('of one adapter is that adapter', async () => {
    attachTrained(model, 'a', ia3())
    const found = await greedySoup(model, ['a'], { name: 'mixed', evaluate: score, enabled: true })
    expect(found).toMatchObject({ chosen: ['a'], tried: [{ members: ['a'] }] })
    expect(forward(model)).toEqual(forward(withAdapters(model, 'a')))
  })
})

describe('a greedy choice', () => {
  it('is never worse than any member, whatever the scores', async () => {
    const scores = fc.func(fc.integer({ min: -5, max: 5 }))
    await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 6 }), scores, async (members, scoreOf) => {
      const { chosen, score, tried } = await greedyChoice(members, (set) => Promise.resolve(scoreOf([...set].sort((a, b) => a - b).join())))
      for (const member of members) expect(score).toBeGreaterThanOrEqual(scoreOf(String(member)))
      expect(new Set(chosen).size).toBe(chosen.length)
      expect(tried).toHaveLength(2 * members.length - 1)
    }), { numRuns: 50 })
  })

  it('takes members from the best to the worst, and none that changes nothing', async () => {
    const scores: Readonly<Record<string, number>> = { a: 1, b: 3, c: 2, d: 0, 'b,c': 3, 'b,a': 4, 'b,a,d': 5 }
    const { chosen, score, tried } = await greedyChoice(['a', 'b', 'c', 'd'], (set) => scores[set.join()] ?? NaN)
    expect({ chosen, score }).toEqual({ chosen: ['b', 'a', 'd'], score: 5 })
    expect(tried.map(({ members }) => members.join())).toEqual(['a', 'b', 'c', 'd', 'b,c', 'b,a', 'b,a,d'])
  })

  it('is refused without members and without a score', async () => {
    await expect(greedyChoice([], () => 1)).rejects.toThrow('expected at least one member, got none')
    await expect(greedyChoice(['a'], () => NaN)).rejects.toThrow('no number as the score of 1 members')
  })
})
