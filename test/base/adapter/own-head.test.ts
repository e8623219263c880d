// Adapters with heads and classes of their own, several on one base.

import { isAbsolute } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { loadModel, type LoadOptions } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { InputError } from '../../../src/errors.ts'
import { attachLike } from '../../../src/forgetting/attach-like.ts'
import { lora } from '../../../src/lora/lora.ts'
import { setActive, withAdapters } from '../../../src/manage/active.ts'
import { combine } from '../../../src/manage/combine.ts'
import { forwardPerRow } from '../../../src/manage/per-row.ts'
import { headOnly } from '../../../src/selective/head.ts'
import { predict } from '../../../src/training/predict.ts'
import { predictTokens } from '../../../src/training/predict-tokens.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { goldenPath } from '../../golden.ts'
import { BATCH, closeModel, forward } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

async function load(path: string, options: LoadOptions): Promise<Model> {
  const model = await loadModel(isAbsolute(path) ? path : goldenPath(path), options)
  open.push(model)
  return model
}

const TOPICS = ['music', 'sport', 'science', 'travel', 'food']
const ids = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [10], [11, 12]]
const classifier = (): Promise<Model> => load('lora/base', { task: 'sequence-classification' })

describe('an adapter with classes of its own', () => {
  it.each([
    ['lora/base', 'sequence-classification'], ['roberta/sequence_classification', 'sequence-classification'], ['distilbert/sequence_classification', 'sequence-classification'],
    ['llama/sequence_classification', 'sequence-classification'], ['bert/token_classification', 'token-classification'],
  ] as const)('computes what a model with a new head for them does: %s', async (path, task) => {
    const model = await load(path, { task })
    const [before, count] = [forward(model), model.labels.length]
    attach(model, lora({ init: 'gaussian' }), { name: 'topic', labels: TOPICS, enabled: false })
    const own = await load(path, { task, labels: TOPICS, newHead: true })
    attach(own, lora({ init: 'gaussian' }))
    expect(forward(withAdapters(model, 'topic'))).toEqual(forward(own))
    expect(forward(model)).toEqual(before)
    expect([model.labels.length, withAdapters(model, 'topic').labels, model.parts.labels.length]).toEqual([count, TOPICS, count])
  })

  it('is trained, measured and asked beside others with other heads', async () => {
    const model = await classifier()
    attach(model, lora(), { name: 'spam', labels: ['ham', 'spam'], enabled: false })
    attach(model, lora(), { name: 'topic', labels: TOPICS, enabled: false })
    const before = await predict(model, { ids })
    for (const [name, labels] of [['spam', [0, 1, 0, 1, 0]], ['topic', [0, 1, 2, 3, 4]]] as const) {
      const losses: number[] = []
      const measured: number[] = []
      await new Trainer({ model: withAdapters(model, name), train: { ids, labels }, evaluate: { ids, labels }, batchSize: 5, learningRate: 0.05, maxSteps: 40, evaluateEvery: 40 }).fit({
        onEvent: (event) => {
          if (event.type === 'step') losses.push(event.loss)
          if (event.type === 'evaluate') measured.push(event.accuracy ?? NaN)
        },
      })
      expect(losses.at(-1)).toBeLessThan((losses[0] ?? NaN) / 4)
      expect(measured).toEqual([1])
      expect((await predict(model, { ids }, { adapter: name })).classes).toEqual(Int32Array.from(labels))
    }
    const [spam, topic, base] = await Promise.all([predict(model, { ids }, { adapter: 'spam' }), predict(model, { ids }, { adapter: 'topic' }), predict(model, { ids })])
    expect([spam.logits.length, topic.logits.length, base]).toEqual([10, 25, before])
  })

  it('has a new head for as many classes with other names, and the model\'s where the names are the same', async () => {
    const model = await classifier()
    const head = tf.tidy(() => model.parts.params.get('classifier.weight')?.float32().dataSync())
    const other = attach(model, headOnly(), { name: 'other', labels: ['a', 'b', 'c'], seed: 1, enabled: false })
    expect(Object.keys(other.trainable)).toEqual(['classifier.weight', 'classifier.bias'])
    expect(other.trainable['classifier.weight']?.dataSync()).not.toEqual(head)
    const same = attach(model, lora(), { name: 'same', labels: [...model.labels], enabled: false })
    expect(same.trainable['classifier.weight']?.dataSync()).toEqual(head)
  })

  it('may be a regression, or of several labels a row, on a base of one class a row', async () => {
    const model = await classifier()
    attach(model, lora(), { name: 'score', labels: ['stars'], enabled: false })
    attach(model, lora(), { name: 'tags', labels: TOPICS, problemType: 'multi_label_classification', enabled: false })
    expect([withAdapters(model, 'score').problem, withAdapters(model, 'tags').problem, model.problem]).toEqual(['regression', 'multi_label_classification', 'single_label_classification'])
    const { labels } = await predict(model, { ids }, { adapter: 'tags' })
    expect([labels?.length, (await predict(model, { ids }, { adapter: 'score' })).logits.length]).toEqual([5, 5])
    await new Trainer({ model: withAdapters(model, 'score'), train: { ids, labels: [0.5, 1, 2, 0, 1] }, maxSteps: 1 }).fit()
  })

  it('gives a merged model its head and classes, saved as a model of the Hub', async () => {
    const model = await classifier()
    const adapter = attach(model, lora({ init: 'gaussian' }), { labels: TOPICS })
    const merged = merge(model, adapter)
    open.push(merged)
    await merged.save(temporary('merged'))
    const again = await load(temporary('merged'), { task: 'sequence-classification' })
    expect([merged.labels, again.labels]).toEqual([TOPICS, TOPICS])
    expect(forward(again)).toEqual(forward(merged))
    const [adapted, folded] = [forward(model), forward(merged)]
    expect(Math.max(...adapted.map((value, i) => Math.abs(value - (folded[i] ?? NaN))))).toBeLessThan(1e-5)
  })

  it('is a class for each token too', async () => {
    const model = await load('bert/token_classification', { task: 'token-classification' })
    attach(model, lora(), { name: 'parts', labels: ['NOUN', 'VERB', 'ADJ', 'OTHER', 'DET', 'NUM', 'ADV'], enabled: false })
    await new Trainer({ model: withAdapters(model, 'parts'), train: { ids: [[1, 2, 3]], tokenLabels: [[6, 6, 6]] }, learningRate: 0.01, maxSteps: 60 }).fit()
    expect((await predictTokens(model, { ids: [[1, 2, 3]] }, { adapter: 'parts' })).classes).toEqual([Int32Array.of(6, 6, 6)])
  })

  it('keeps them in an adapter made like it', async () => {
    const model = await classifier()
    const adapter = attach(model, lora({ init: 'gaussian' }), { name: 'topic', labels: TOPICS, enabled: false })
    attachLike(adapter, adapter.trainable, { name: 'copy' })
    expect(withAdapters(model, 'copy').labels).toEqual(TOPICS)
    expect(forward(withAdapters(model, 'copy'))).toEqual(forward(withAdapters(model, 'topic')))
  })
})

describe('adapters with different heads', () => {
  it('are not enabled together, combined, or run in one batch by row', async () => {
    const model = await classifier()
    attach(model, lora(), { name: 'spam', labels: ['ham', 'spam'], enabled: false })
    attach(model, lora(), { name: 'topic', labels: TOPICS, enabled: false })
    expect(() => { setActive(model, ['spam', 'topic']) }).toThrow("'spam' and 'topic' both replace classifier.weight")
    expect(() => combine(model, [{ adapter: 'spam' }, { adapter: 'topic' }], { name: 'both', kind: 'cat' })).toThrow(new InputError('combine: these cannot be combined:', [
      "'spam' has classes of its own (2); merge it alone", "'topic' has classes of its own (5); merge it alone",
    ]))
    expect(() => forwardPerRow(model, BATCH, ['spam', 'topic', null, null, 'spam', null])).toThrow(new InputError(
      'forwardPerRow: expected adapters with as many classes each, for logits of one shape; run these apart, predict(model, rows, { adapter }):',
      ["'spam' has 2", "'topic' has 5", 'the base has 3'],
    ))
    tf.tidy(() => { expect(forwardPerRow(model, BATCH, ['spam', 'spam', 'spam', 'spam', 'spam', 'spam']).shape).toEqual([6, 2]) })
  })

  it('are refused where the task has no classes, or the names are none', async () => {
    const model = await load('gpt2/causal_lm', { task: 'causal-lm' })
    expect(() => attach(model, lora(), { labels: TOPICS })).toThrow("attach: a model for 'causal-lm' has no classes: leave out labels and problemType.")
    const other = await classifier()
    expect(() => attach(other, lora(), { labels: [] })).toThrow('attach: labels: expected names of classes, each once, got [].')
    expect(() => attach(other, lora(), { labels: ['a', 'a'] })).toThrow('attach: labels: expected names of classes, each once, got ["a","a"].')
  })
})
