import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { adaptersOf } from '../../src/base/adapter/attached.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { interpolate } from '../../src/forgetting/interpolate-adapter.ts'
import { sweepAlpha } from '../../src/forgetting/sweep.ts'
import { lora } from '../../src/lora/lora.ts'
import { setActive, withAdapters } from '../../src/manage/active.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { largestDifference } from '../golden.ts'
import { attachTrained, BATCH, eachTinyModel, forward } from '../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

function enabled(): readonly string[] {
  return adaptersOf(model).filter((adapter) => adapter.enabled).map(({ name }) => name)
}

describe('a sweep of alphas', () => {
  it('measures the base, the adapter and what is between them', async () => {
    const adapter = attachTrained(model, 'trained', lora({ targets: 'all-linear' }), { enabled: true })
    const { rows } = await sweepAlpha(adapter, {
      alphas: [1, 0, 0.5],
      evaluate: (given, alpha) => ({ score: tf.tidy(() => -(given.loss(BATCH).dataSync()[0] ?? NaN)), logits: forward(given), seen: alpha }),
    })
    expect(rows.map(({ alpha, seen }) => [alpha, seen])).toEqual([[1, 1], [0, 0], [0.5, 0.5]])
    expect(rows[0]?.logits).toEqual(forward(model))
    expect(rows[1]?.logits).toEqual(forward(withAdapters(model, [])))
    interpolate(adapter, 0.5, { name: 'half' })
    expect(rows[2]?.logits).toEqual(forward(withAdapters(model, 'half')))
    expect(new Set(rows.map(({ score }) => score)).size).toBe(3)
  })

  it('goes through eleven points when none are given, and takes the smaller alpha of equal scores', async () => {
    const adapter = attachTrained(model, 'trained', lora())
    const flat = await sweepAlpha(adapter, { evaluate: (_, alpha) => ({ score: alpha >= 0.3 ? 1 : 0, spare: 'kept' }) })
    expect(flat.rows.map(({ alpha }) => alpha)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    expect(flat.best).toEqual({ alpha: 0.3, score: 1, spare: 'kept' })
    const backwards = await sweepAlpha(adapter, { alphas: [1, 0.7, 0.4], evaluate: (_, alpha) => ({ score: 0 * alpha }) })
    expect(backwards.best.alpha).toBe(0.4)
  })

  it('leaves other adapters as they are, and puts everything back', async () => {
    attachTrained(model, 'other', lora({ targets: ['key'] }))
    const adapter = attachTrained(model, 'trained', lora())
    setActive(model, ['other', 'trained'])
    const [before, count] = [forward(model), tf.memory().numTensors]
    const other = forward(withAdapters(model, 'other'))
    const { rows } = await sweepAlpha(adapter, { alphas: [0, 1], evaluate: (given) => ({ score: 0, logits: forward(given), enabled: given.attached.enabled.map(({ name }) => name) }) })
    expect(rows.map((row) => row.enabled)).toEqual([['other', 'trained at 0'], ['other', 'trained at 1']])
    expect(largestDifference(rows[0]?.logits ?? [], other)).toBe(0)
    expect(forward(model)).toEqual(before)
    expect(enabled()).toEqual(['other', 'trained'])
    expect(tf.memory().numTensors).toBe(count)
  })

  it('puts everything back when an evaluation fails', async () => {
    const adapter = attachTrained(model, 'trained', lora(), { enabled: true })
    const count = tf.memory().numTensors
    await expect(sweepAlpha(adapter, { evaluate: ({ parts }) => Promise.reject(new Error(`no rows for ${parts.task}`)) })).rejects.toThrow('no rows')
    expect(adaptersOf(model)).toEqual([adapter])
    expect(enabled()).toEqual(['trained'])
    expect(tf.memory().numTensors).toBe(count)
  })

  it('is refused with what is wrong', async () => {
    const adapter = attachTrained(model, 'trained', lora())
    const evaluate = ({ attached }: Model): { score: number } => ({ score: attached.enabled.length })
    const alone = (): { score: number } => ({ score: 1 })
    await expect(sweepAlpha(adapter, { evaluate: alone })).rejects.toThrow(new InputError(
      'sweepAlpha: expected an `evaluate` that measures the model it is given, got a function that takes none: write `evaluate: async (model) => …`. The model outside stays as it is.',
    ))
    await expect(sweepAlpha(adapter, { alphas: [], evaluate })).rejects.toThrow('expected one or more alphas in [0, 1], got none')
    await expect(sweepAlpha(adapter, { alphas: [0, 1.1, NaN], evaluate })).rejects.toThrow('got 1.1, NaN')
    await expect(sweepAlpha(adapter, { alphas: [0, 1], evaluate: (_, alpha) => ({ score: alpha / alpha }) })).rejects.toThrow('no number as score, as in { score: 0.9 }:\n  - at 0: NaN')
    const rows = attachTrained(model, 'rows', prompt({ virtualTokens: 2 }))
    await expect(sweepAlpha(rows, { evaluate })).rejects.toThrow('prompt has no counterpart in the base')
  })
})
