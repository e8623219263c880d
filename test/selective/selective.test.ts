import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it, vi } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { paramOf } from '../../src/base/parameters.ts'
import { saveAdapter } from '../../src/base/checkpoint/adapter-file.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { TargetError } from '../../src/errors.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { headOnly } from '../../src/selective/head.ts'
import { layerNormTuning } from '../../src/selective/layer-norm.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { attachTrained, closeModel, eachTinyModel, forward } from '../manage/models.ts'

const temporary = temporaryFolder()
let model: Model
eachTinyModel((each) => { model = each })

const HEAD = ['classifier.weight', 'classifier.bias']
const names = (method: Method, train: readonly string[] = []): string[] => Object.keys(attach(model, method, { train }).trainable)

describe('methods that train copies', () => {
  it('BitFit takes every bias, of norms too', () => {
    const params = [...model.parts.params.keys()]
    expect(names(bitFit())).toEqual(params.filter((name) => name.endsWith('.bias')))
  })

  it('LayerNorm tuning takes norms: all, or those chosen as modules are', () => {
    expect(names(layerNormTuning())).toHaveLength(2 * 7)
    closeModel(model)
  })

  it('LayerNorm tuning chooses among norms', () => {
    expect(names(layerNormTuning({ targets: ['output.LayerNorm'], exclude: ['attention.output.LayerNorm'], layers: [2] }))).toEqual([
      'bert.encoder.layer.2.output.LayerNorm.weight', 'bert.encoder.layer.2.output.LayerNorm.bias',
    ])
    expect(() => attach(model, layerNormTuning({ targets: ['query'] }), { name: 'b' })).toThrow("target 'query' matches no norm; the model has LayerNorm")
    expect(() => attach(model, layerNormTuning({ targets: ['embeddings.LayerNorm'] }), { name: 'b', train: ['LayerNorm'] })).toThrow(
      new TargetError('layerNormTuning: all that it would train is named in `train` too; take it out of one:', [
        "'bert.embeddings.LayerNorm.weight'", "'bert.embeddings.LayerNorm.bias'",
      ]),
    )
  })

  it('the head alone, where there is one', async () => {
    expect(Object.keys(attach(model, headOnly()).trainable)).toEqual(HEAD)
    const bare = await loadModel(goldenPath('bert/base'))
    expect(() => attach(bare, headOnly())).toThrow(new TargetError('headOnly: nothing is left to train.'))
    bare.dispose()
  })

  it('all of a model', () => {
    expect(names(fullFineTuning()).sort()).toEqual([...model.parts.params.keys()].sort())
  })

  it('all of some layers, and nothing of the others, embeddings and pooler', () => {
    const top = [...model.parts.params.keys()].filter((name) => name.includes('.layer.2.'))
    expect(top.length).toBeGreaterThan(10)
    expect(names(fullFineTuning({ layers: [2] })).sort()).toEqual(top.sort())
    expect(() => attach(model, fullFineTuning({ layers: [1, 7, 9] }), { name: 'b' })).toThrow('layers that the model does not have:\n  - 7\n  - 9')
  })

  it.each<[string, () => Method]>([
    ['BitFit', bitFit], ['LayerNorm tuning', layerNormTuning], ['head', headOnly], ['full', fullFineTuning],
    ['the last layer', () => fullFineTuning({ layers: [2] })],
  ])('come back from their files: %s', async (name, method) => {
    const adapter = attachTrained(model, name, method(), { enabled: true, train: ['classifier'] })
    const adapted = forward(model)
    await saveAdapter(adapter, temporary(name))
    detach(adapter)
    const again = await loadAdapter(model, temporary(name))
    expect(forward(model)).toEqual(adapted)
    expect(Object.keys(again.trainable).sort()).toEqual(Object.keys(adapter.trainable).sort())
  })
})

describe('the copies of a model’s weights', () => {
  /** Counts how often parameters of the model are read out of the runtime while `run` does its work. */
  async function readsDuring(run: () => unknown): Promise<number> {
    const spies = [...model.parts.params.values()].map((param) => vi.spyOn(param.float32(), 'dataSync'))
    await run()
    const reads = spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
    vi.restoreAllMocks()
    return reads
  }

  it('are made by the runtime, once each, and are not the weights themselves', async () => {
    const before = tf.memory().numBytes
    const size = [...model.parts.params.values()].reduce((sum, param) => sum + param.size, 0)
    expect(await readsDuring(() => attach(model, fullFineTuning()))).toBe(0)
    expect(tf.memory().numBytes - before).toBe(size * 4)
    const adapter = adaptersOf(model)[0] as Adapter
    for (const [name, variable] of Object.entries(adapter.trainable)) {
      const param = paramOf(model, name)
      expect(valuesOf(variable)).toEqual(valuesOf(param))
      expect(variable.dataId).not.toBe(param.dataId)
    }
  })

  it('that come from a file are not made from the weights first', async () => {
    const adapter = attachTrained(model, 'full', fullFineTuning(), { train: ['classifier'] })
    await saveAdapter(adapter, temporary('no reads'))
    detach(adapter)
    expect(await readsDuring(() => loadAdapter(model, temporary('no reads')))).toBe(0)
  })
})
