import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { InputError } from '../../src/errors.ts'
import { chooseStrength, type ChooseStrengthOptions, type ChosenStrength } from '../../src/forgetting/choose-strength.ts'

beforeAll(loadEngine)

/** A weight that training moves by 1 / (1 + strength), and a score that is how far it has come. */
async function choose(options: Partial<ChooseStrengthOptions> = {}): Promise<{ readonly chosen: unknown; readonly weight: number }> {
  const before = tf.memory().numTensors
  const w = tf.tidy(() => tf.variable(tf.tensor([5])))
  const score = (): number => (w.dataSync()[0] ?? NaN) - 5
  const train = (strength: number): void => { tf.tidy(() => { w.assign(tf.add(w, 1 / (1 + strength))) }) }
  const chosen: unknown = await chooseStrength({ w }, { train, evaluate: score, ...options }).catch((error: unknown) => error)
  const weight = w.dataSync()[0] ?? NaN
  w.dispose()
  expect(tf.memory().numTensors).toBe(before)
  return { chosen, weight }
}

describe('chooseStrength', () => {
  it('takes the highest strength with which the new task is learned, each tried from the same weights', async () => {
    const { chosen, weight } = await choose({ highest: 10, decay: 0.1, tolerance: 0.15 })
    const { strength, tried } = chosen as ChosenStrength
    expect(strength).toBeCloseTo(0.1)
    expect(tried.map((each) => each.strength)).toEqual([0, 10, 1, expect.closeTo(0.1)])
    expect(tried.map(({ score }) => score)).toEqual([1, 1 / 11, 0.5, 1 / 1.1].map((score) => expect.closeTo(score, 5) as number))
    expect(weight).toBeCloseTo(5 + 1 / 1.1, 5) // those of the training with it
  })

  it('says so where none will do, and leaves the weights as they were', async () => {
    const { chosen, weight } = await choose({ trials: 2 })
    expect(chosen).toBeInstanceOf(InputError)
    expect((chosen as Error).message).toMatch(/not learned with any of these strengths.*\n {2}- strength 0: 1\n {2}- strength 1000: [\d.e-]+\n {2}- strength 300: /)
    expect(weight).toBe(5)
  })

  it('refuses options and scores that say nothing, all options at once', async () => {
    const { chosen } = await choose({ highest: 0, decay: 1, tolerance: -1, trials: 0.5 })
    expect((chosen as InputError).problems).toEqual([
      'highest: expected a number above 0, got 0', 'decay: expected a number above 0 and below 1, got 1',
      'tolerance: expected a share from 0 to 1, got -1', 'trials: expected an integer of at least 1, got 0.5',
    ])
    expect(((await choose({ evaluate: () => NaN })).chosen as Error).message).toBe('chooseStrength: expected evaluate to give a number above 0, got NaN with strength 0.')
  })
})
