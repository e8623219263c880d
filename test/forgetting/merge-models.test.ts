import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { averageTensors } from '../../src/forgetting/average.ts'
import { mergeModels } from '../../src/forgetting/merge-models.ts'
import { slerp } from '../../src/forgetting/slerp.ts'
import { addTaskVectors, taskVector } from '../../src/forgetting/task-vector.ts'
import { lora } from '../../src/lora/lora.ts'
import { withAdapters } from '../../src/manage/active.ts'
import { combine } from '../../src/manage/combine.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference } from '../golden.ts'
import { attachTrained, eachTinyModel, forward } from '../manage/models.ts'

const temporary = temporaryFolder()
let model: Model
eachTinyModel((each) => { model = each })

describe('merging models', () => {
  it('by task vectors is what combining the adapters they were merged from is', () => {
    const weights = [1, 0.5, -1]
    const tuned = ['a', 'b', 'c'].map((name) => merge(model, attachTrained(model, name, lora({ targets: 'all-linear', rank: 2 }), { train: ['classifier'] })))
    const merged = mergeModels([model, ...tuned], ([base, ...others]) =>
      addTaskVectors(base, others.map((other, i) => ({ vector: taskVector(base, other), weight: weights[i] ?? NaN }))))
    combine(model, ['a', 'b', 'c'].map((adapter, i) => ({ adapter, weight: weights[i] ?? NaN })), { kind: 'cat', name: 'mix' })
    expect(largestDifference(forward(merged), forward(withAdapters(model, 'mix')))).toBeLessThan(2e-5)
    for (const each of [...tuned, merged]) each.dispose()
  })

  it('of one model with itself is that model, also after its files', async () => {
    const tuned = merge(model, attachTrained(model, 'full', fullFineTuning()))
    const merged = mergeModels([tuned, tuned, tuned], (records) => averageTensors(records))
    expect(forward(merged)).toEqual(forward(tuned))
    await merged.save(temporary('merged'))
    const loaded = await loadModel(temporary('merged'), { task: 'sequence-classification' })
    expect(forward(loaded)).toEqual(forward(tuned))
    for (const each of [tuned, merged, loaded]) each.dispose()
  })

  it('gives a model of its own, and nothing else', () => {
    const count = tf.memory().numTensors
    const same = mergeModels([model], ([weights]) => weights)
    const made: Model[] = []
    tf.tidy(() => {
      made.push(mergeModels([model, same], ([a, b]) => slerp(a, b, 0.5))) // a model outlives a tidy
    })
    const between = made[0] as Model
    expect(tf.memory().numTensors).toBe(count + 2 * model.parts.params.size)
    same.dispose()
    expect(largestDifference(forward(between), forward(model))).toBeLessThan(1e-5)
    between.dispose()
    expect(tf.memory().numTensors).toBe(count)
  })

  it('is refused when models or what the rule gives do not fit', async () => {
    const other = await loadModel(goldenPath('bert/relu'), { task: 'feature-extraction' })
    const count = tf.memory().numTensors
    expect(() => mergeModels([model, other], ([a]) => a)).toThrow(/mergeModels: these cannot be used together:(.|\n)*model 1 lacks classifier.weight \[3, 32\], which model 0 has/)
    expect(() => mergeModels([model], () => ({ w: tf.tensor([1]) }))).toThrow(/what the rule gave lacks classifier.bias \[3\], which model 0 has(.|\n)*what the rule gave has w, which model 0 lacks/)
    expect(() => mergeModels([], () => ({}))).toThrow('expected at least one model, got none')
    expect(tf.memory().numTensors).toBe(count)
    other.dispose()
  })
})
