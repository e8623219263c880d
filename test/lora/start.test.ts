import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { lora, type LoraInit } from '../../src/lora/lora.ts'
import { largestDifference, readGolden, valuesOf } from '../golden.ts'
import { eachTinyModel } from '../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

const QUERY = 'bert.encoder.layer.1.attention.self.query'

function tensorOf({ trainable, frozen }: Adapter, name: string): Tensor2D {
  return (trainable[name] ?? frozen[name]) as Tensor2D
}

function moments(values: Float32Array): { readonly mean: number; readonly std: number; readonly most: number } {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length
  const std = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length)
  return { mean, std, most: values.reduce((most, x) => Math.max(most, Math.abs(x)), 0) }
}

describe('the starting pair', () => {
  it('is uniform and zeros by default', () => {
    const adapter = attach(model, lora({ rank: 16, targets: ['query'] }))
    const { mean, std, most } = moments(valuesOf(tensorOf(adapter, `${QUERY}.A`)))
    const bound = 1 / Math.sqrt(32)
    expect(Math.abs(mean)).toBeLessThan(0.02)
    expect(std).toBeCloseTo(bound / Math.sqrt(3), 2)
    expect(most).toBeLessThanOrEqual(Math.fround(bound))
    expect(moments(valuesOf(tensorOf(adapter, `${QUERY}.B`))).most).toBe(0)
  })

  it('is normal with standard deviation 1 / rank when gaussian', () => {
    const adapter = attach(model, lora({ rank: 16, init: 'gaussian', targets: ['query'] }))
    expect(moments(valuesOf(tensorOf(adapter, `${QUERY}.A`))).std).toBeCloseTo(1 / 16, 2)
    expect(moments(valuesOf(tensorOf(adapter, `${QUERY}.B`))).most).toBe(0)
  })

  it('is the other way round at an embedding', () => {
    const adapter = attach(model, lora({ rank: 16, targets: ['word_embeddings'] }))
    const name = 'bert.embeddings.word_embeddings'
    expect(tensorOf(adapter, `${name}.A`).shape).toEqual([16, 37])
    expect(moments(valuesOf(tensorOf(adapter, `${name}.A`))).most).toBe(0)
    expect(Math.abs(moments(valuesOf(tensorOf(adapter, `${name}.B`))).std - 1)).toBeLessThan(0.12) // 512 draws: 3.9 standard errors
  })

  it.each<[LoraInit & string, string[]]>([
    ['pissa', ['query', 'intermediate.dense']],
    ['olora', ['value', 'intermediate.dense']],
  ])('is the part of the weight that PEFT takes: %s', async (init, targets) => {
    const golden = await readGolden(`lora_family/${init}/golden.safetensors`)
    const options = init === 'pissa' ? { rank: 4, alpha: 8 } : { rank: 4, alpha: 6, rankStabilized: true }
    const scale = init === 'pissa' ? 2 : 3
    const adapter = attach(model, lora({ ...options, init, targets }))
    for (const { name } of adapter.sites) {
      for (const [a, b] of [['A', 'B'], ['A0', 'B0']]) {
        const part = tf.tidy(() => valuesOf(tf.mul(tf.matMul(tensorOf(adapter, `${name}.${b ?? ''}`), tensorOf(adapter, `${name}.${a ?? ''}`)), scale)))
        expect(largestDifference(part, golden.numbers(`start/${name}`)), name).toBeLessThan(1e-5) // two float32 decompositions
      }
    }
  })

  it('found by search comes near the exact one', () => {
    const options = { rank: 4, alpha: 8, targets: ['query'] } as const
    const exact = attach(model, lora({ ...options, init: 'pissa' }), { name: 'exact' })
    const near = attach(model, lora({ ...options, init: { kind: 'pissa', iterations: 12 } }), { name: 'near', enabled: false, train: [] })
    const part = (adapter: Adapter): Float32Array =>
      tf.tidy(() => valuesOf(tf.matMul(tensorOf(adapter, `${QUERY}.B`), tensorOf(adapter, `${QUERY}.A`))))
    expect(largestDifference(part(near), part(exact))).toBeLessThan(1e-3)
  })

  it('depends on the seed and the place alone', () => {
    const A = (options: Parameters<typeof lora>[0], seed: number): Float32Array =>
      valuesOf(tensorOf(attach(model, lora(options), { seed, enabled: false, name: `${seed} ${JSON.stringify(options)}`, train: [] }), `${QUERY}.A`))
    const first = A({ targets: ['query'] }, 0)
    expect(A({ targets: ['key', 'query'] }, 0)).toEqual(first)
    expect(A({ targets: ['query'] }, 1)).not.toEqual(first)
  })
})

describe('a rank beyond the weight', () => {
  it('is an error that says how to keep the others', () => {
    expect(() => attach(model, lora({ rank: 33, targets: ['query'], layers: [1] }))).toThrow(
      `lora: rank 33 at '${QUERY}': expected at most 32, the full rank of its 32 × 32 weight. ` +
        `Lower the rank, or give the module its own: rankPattern: { '${QUERY}': 32 }.`,
    )
    expect(() => attach(model, lora({ rank: 3, targets: ['token_type_embeddings'] }))).toThrow(InputError)
    attach(model, lora({ rank: 3, targets: ['query', 'token_type_embeddings'], rankPattern: { token_type_embeddings: 2 } }))
  })
})

it('refuses options that do not go together', () => {
  expect(() => lora({ init: { kind: 'pissa', iterations: 1.5 }, alpha: -1, rankPattern: { query: 0 } })).toThrow(
    [
      'lora: the options cannot be used:',
      "  - rankPattern['query']: expected an integer of at least 1, got 0",
      '  - alpha: expected a number above 0 with this init, got -1',
      '  - init.iterations: expected a natural number, got 1.5',
    ].join('\n'),
  )
})

it('an alpha of 0, with which nothing would be learned, is refused', () => {
  expect(() => lora({ alpha: 0, alphaPattern: { key: 0 } })).toThrow(new InputError('lora: the options cannot be used:', [
    'alpha: expected another number than 0, with which nothing would be learned', "alphaPattern['key']: expected another number than 0, with which nothing would be learned"]))
})
