import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { Pass } from '../../../src/base/pass.ts'
import { rowVector } from '../../../src/base/tasks/heads.ts'
import { causalLm } from '../../../src/base/tasks/vocabulary-head.ts'
import { NO_HANDLERS } from '../../../src/base/trace.ts'

beforeAll(loadEngine)

it('the head of a causal LM has the name that its checkpoints have', () => {
  tf.tidy(() => {
    const names: string[] = []
    const param = (name: string): tf.Tensor => { names.push(name); return tf.ones([7, 3]) }
    const pass = new Pass({ param, handlers: NO_HANDLERS, training: false, seed: 0 })
    const sequence = { batch: 1, length: 2, mask: tf.ones<tf.Rank.R2>([1, 2]), lengths: [2], virtual: 0, offset: 0 }
    for (const head of [causalLm(7), causalLm(7, { name: 'embed_out' })]) expect(head.run(pass, { rows: tf.ones([2, 3]), sequence }, { batch: 1, length: 2 }).shape).toEqual([1, 2, 7])
    expect(names).toEqual(['lm_head.weight', 'embed_out.weight'])
  })
})

it.each([['the text', undefined, [6, 7]], ['virtual rows too, as in HF PEFT, where it is asked for', true, [4, 5]]] as const)('a row is classified by the mean of %s, without its padding', (_, countsAll, expected) => {
  tf.tidy(() => {
    const rows = tf.tensor2d([[2, 3], [6, 7], [100, 100]]) // a virtual one, a token and padding
    const sequence = { batch: 1, length: 3, mask: tf.tensor2d([[1, 1, 0]]), lengths: [2], virtual: 1, offset: 0, ...(countsAll === undefined ? {} : { countsAll }) }
    expect([...rowVector({ rows, sequence }, { labels: 2, pooling: 'mean' }).dataSync()]).toEqual(expected)
  })
})
