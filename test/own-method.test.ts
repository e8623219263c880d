// A method that somebody writes outside the library: attached, trained, saved, and read again.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { moduleKeys } from '../src/base/adapter/file-format.ts'
import { bridge } from '../src/base/autodiff/tape.ts'
import type { Method } from '../src/base/method.ts'
import { CheckpointError } from '../src/errors.ts'
import { loadAdapter, type MethodReader } from '../src/load-adapter.ts'
import { Trainer } from '../src/training/trainer.ts'
import { closeModel, forward, tinyModel } from './manage/models.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()

/** y = (1 + strength · s) ⊙ Wx, with a learned s for each output of the chosen kind of product. */
function scaled({ role, strength }: { readonly role: string; readonly strength: number }): Method {
  return {
    name: 'scaled',
    select: (sites) => sites.filter((site) => site.kind === 'linear' && site.role === role),
    init: (site) => (site.kind === 'linear' ? { s: { shape: [site.outSize], values: new Float32Array(site.outSize) } } : {}),
    linear: (_, { s }) => (x, next) =>
      bridge<Tensor2D>([next(x), s as tf.Tensor], (y, factors) => tf.mul(y, tf.add(1, tf.mul(factors, strength)))),
    format: { type: 'SCALED', kind: 'own', config: () => ({ role, strength }), ...moduleKeys({ at: { s: 'scaled' } }) },
  }
}

const reader: MethodReader = {
  what: 'a scaled adapter',
  read: (settings) => {
    const options = { role: settings.oneOf('role', ['query', 'value']), strength: settings.number('strength', { above: 0 }) }
    return () => scaled(options)
  },
}

it('is trained, saved and loaded as the methods of the library are', async () => {
  const model = await tinyModel()
  try {
    const [base, count] = [forward(model), tf.memory().numTensors]
    const adapter = attach(model, scaled({ role: 'value', strength: 0.5 }), { train: [] })
    expect(forward(model)).toEqual(base)
    await new Trainer({ model, train: { ids: [[1, 2, 3], [4, 5, 6]], labels: [0, 1] }, learningRate: 0.1, maxSteps: 3 }).fit()
    const trained = forward(model)
    expect(trained).not.toEqual(base)
    await adapter.save(temporary('scaled'))
    detach(adapter)
    await expect(loadAdapter(model, temporary('scaled'))).rejects.toThrow('got "SCALED", which is not supported. A method of one\'s own is read by { methods: { TYPE: … } }.')
    const loaded = await loadAdapter(model, temporary('scaled'), { methods: { SCALED: reader } })
    expect(forward(model)).toEqual(trained)
    expect(loaded.summary().method).toBe('scaled')
    detach(loaded)
    expect(tf.memory().numTensors).toBe(count)
  } finally {
    closeModel(model)
  }
})

it('has everything that is wrong with its settings in one error', async () => {
  const model = await tinyModel()
  try {
    const adapter = attach(model, scaled({ role: 'key', strength: -1 }), { train: [] })
    await adapter.save(temporary('wrong'))
    detach(adapter)
    const error: unknown = await loadAdapter(model, temporary('wrong'), { methods: { SCALED: reader } }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as CheckpointError).message).toBe(
      `${temporary('wrong')}/adapter_config.json cannot be used as a scaled adapter:\n  - role: expected 'query' or 'value', got "key"\n  - strength: expected a number above 0, got -1`)
  } finally {
    closeModel(model)
  }
})
