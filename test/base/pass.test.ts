import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { Pass, type Around } from '../../src/base/pass.ts'
import { NO_HANDLERS, traceModel } from '../../src/base/trace.ts'

beforeAll(loadEngine)

describe('a layer', () => {
  it('has freed what its attention left behind when its feed-forward part runs', async () => {
    const model = await createModel(
      { model_type: 'bert', vocab_size: 100, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64, max_position_embeddings: 32 },
      { task: 'sequence-classification', labels: ['a', 'b'] },
    )
    const tensorsAt = new Map<string, number>()
    const noted = (name: string): [string, Around<Tensor2D, Tensor2D>] => [name, (x, next) => {
      tensorsAt.set(name, tf.memory().numTensors)
      return next(x)
    }]
    const [start, end] = ['bert.encoder.layer.1.attention.self.query', 'bert.encoder.layer.1.output.dense'] as const
    const { wiring } = model.attached
    model.attached = { ...model.attached, wiring: { ...wiring, handlers: { ...wiring.handlers, linear: new Map([noted(start), noted(end)]) } } }
    model.forward({ ids: Int32Array.of(5, 6, 7), batch: 1, length: 3 }).dispose()
    model.dispose()
    // the attention's result, before and after the norm, and the feed-forward part's own, before and after the activation
    expect((tensorsAt.get(end) ?? NaN) - (tensorsAt.get(start) ?? NaN)).toBeLessThanOrEqual(4)
  })
})

describe('a module that is used again', () => {
  it('is one place, and draws other numbers than the first time', () => {
    const run = (pass: Pass): void => { for (const turn of [0, 1]) pass.at('layer').again(turn).linear('dense', tf.zeros([1, 2]), 3) }
    expect(traceModel(run).sites.map(({ name }) => name)).toEqual(['layer.dense'])
    const pass = new Pass({ param: () => tf.zeros([1]), handlers: NO_HANDLERS, training: true, seed: 1 }).at('layer')
    expect(pass.again(1).seedOf('dropout')).not.toEqual(pass.seedOf('dropout'))
    expect(pass.again(2).seedOf('dropout')).not.toEqual(pass.again(1).seedOf('dropout'))
    expect(pass.again(1).at('dense').again(1).seedOf('dropout')).toEqual(pass.at('dense').again(2).seedOf('dropout'))
  })
})
