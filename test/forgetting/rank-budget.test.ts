import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { adapterNamed } from '../../src/base/adapter/named.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Batch } from '../../src/base/batch.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { rankBudget, type RankBudget } from '../../src/forgetting/rank-budget.ts'
import { AdamW } from '../../src/training/adamw.ts'
import { withPenalties } from '../../src/training/step.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

/** A training by PEFT's AdaLoRA: make_adalora.py. */
const FOLDER = 'lora_family/adalora_budget'
const [STEPS, INIT_RANK] = [24, 4]
const SCHEDULE = { steps: STEPS, targetRank: 1, initialSteps: 4, finalSteps: 6, interval: 3, beta1: 0.8, beta2: 0.9, orthogonality: 0.3 }
const temporary = temporaryFolder()
const models: Model[] = []

afterEach(() => { for (const model of models.splice(0)) model.dispose() })

async function open(): Promise<{ readonly model: Model; readonly adapter: Adapter; readonly golden: Golden; readonly batches: readonly Batch[] }> {
  const golden = await readGolden(`${FOLDER}/golden.safetensors`)
  const model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  models.push(model)
  const part = (name: string, i: number, size: number): Int32Array => Int32Array.from(golden.numbers(`cycle/${name}`).subarray(i * size, (i + 1) * size))
  const batches = [0, 1, 2].map((i): Batch => ({ ids: part('input_ids', i, 72), mask: part('attention_mask', i, 72), labels: part('labels', i, 6), batch: 6, length: 12 }))
  return { model, adapter: await loadAdapter(model, goldenPath(`${FOLDER}/start`)), golden, batches }
}

/** Losses with the penalty in them, before each step. */
function train({ model, adapter, batches }: Awaited<ReturnType<typeof open>>, budget: RankBudget, from: number, to: number, optimizer: AdamW, behind: (step: number) => void = () => undefined): number[] {
  const losses: number[] = []
  for (let step = from; step < to; step++) {
    const batch = batches[step % 3] as Batch
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    const { grads: sums, penalty } = withPenalties([budget], { model, trainable: adapter.trainable, batches: [batch] }, grads)
    losses.push((valuesOf(value)[0] ?? NaN) + (penalty === undefined ? 0 : valuesOf(penalty)[0] ?? NaN))
    optimizer.step(sums)
    budget.afterStep?.(adapter.trainable)
    tf.dispose([value, ...Object.values(sums), ...(penalty === undefined ? [] : [penalty])])
    behind(step)
  }
  return losses
}

const optimizerOf = (adapter: Adapter): AdamW => new AdamW(adapter.trainable, { learningRate: 0.01, weightDecay: 0.01 })

describe('the budget of an AdaLoRA', () => {
  it('takes the ranks that HF PEFT takes, step by step, and ends with its weights', async () => {
    const run = await open()
    const { adapter, golden } = run
    const budget = rankBudget(adapter, SCHEDULE)
    budget.check(adapter.trainable)
    const optimizer = optimizerOf(adapter)
    const losses = train(run, budget, 0, STEPS, optimizer, (step) => {
      for (const { name } of adapter.sites) {
        const theirs = golden.numbers(`singular/${name}`).subarray(step * INIT_RANK, (step + 1) * INIT_RANK)
        expect(largestDifference(valuesOf(adapter.trainable[`${name}.E`] as tf.Tensor), theirs), `${name} behind step ${step + 1}`).toBeLessThan(1e-4)
      }
    })
    expect(largestDifference(losses, golden.numbers('loss'))).toBeLessThan(1e-4)
    for (const { name } of adapter.sites) {
      for (const part of ['A', 'B']) expect(largestDifference(valuesOf(adapter.trainable[`${name}.${part}`] as tf.Tensor), golden.numbers(`final/base_model.model.${name}.lora_${part}`))).toBeLessThan(1e-4)
    }
    expect(Object.values(await budget.ranks())).toEqual([0, 1, 0, 0, 3, 0, 0, 3, 2])
    optimizer.dispose()
    budget.dispose()
  })

  it('leaves what it has taken out of the files, as PEFT does, and both are read', async () => {
    const run = await open()
    const budget = rankBudget(run.adapter, SCHEDULE)
    const optimizer = optimizerOf(run.adapter)
    train(run, budget, 0, STEPS, optimizer)
    await run.adapter.save(temporary('adapter'))
    const saved = [temporary('adapter'), goldenPath(`${FOLDER}/adapter`)]
    const sizes: number[][] = []
    for (const folder of saved) {
      const { model, golden, batches } = await open()
      detach(adapterNamed(model, 'default'))
      const adapter = await loadAdapter(model, folder)
      sizes.push(Object.values(adapter.trainable).map(({ size }) => size).sort())
      expect(largestDifference(tf.tidy(() => valuesOf(model.forward(batches[0] as Batch))), golden.numbers('logits'))).toBeLessThan(1e-4)
    }
    expect(sizes[0]).toEqual(sizes[1])
    expect(sizes[0]).not.toEqual(Object.values(run.adapter.trainable).map(({ size }) => size).sort())
    optimizer.dispose()
    budget.dispose()
  })

  it('goes on from its state as if it had not stopped, and keeps no tensor', async () => {
    const [whole, cut] = [await open(), await open()]
    const before = tf.memory().numTensors
    const budgets = [rankBudget(whole.adapter, SCHEDULE), rankBudget(cut.adapter, SCHEDULE)] as const
    const optimizers = [optimizerOf(whole.adapter), optimizerOf(cut.adapter)] as const
    train(whole, budgets[0], 0, STEPS, optimizers[0])
    train(cut, budgets[1], 0, 14, optimizers[1])
    const next = rankBudget(cut.adapter, SCHEDULE)
    next.restore?.(budgets[1].state?.() ?? {})
    train(cut, next, 14, STEPS, optimizers[1])
    expect(await next.ranks()).toEqual(await budgets[0].ranks())
    for (const [name, tensor] of Object.entries(cut.adapter.trainable)) expect(valuesOf(tensor), name).toEqual(valuesOf(whole.adapter.trainable[name] as tf.Tensor))
    for (const each of [...budgets, next, ...optimizers]) each.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('takes its last ranks in a last step that is skipped too', async () => {
    const run = await open()
    const { model, adapter, batches } = run
    const budget = rankBudget(adapter, { ...SCHEDULE, finalSteps: 0 })
    const optimizer = optimizerOf(adapter)
    train(run, budget, 0, STEPS - 1, optimizer)
    const { value, grads } = valueAndGrads(() => model.loss(batches[0] as Batch), adapter.trainable)
    const singular = (): number => adapter.sites.reduce((sum, { name }) => sum + valuesOf(adapter.trainable[`${name}.E`] as tf.Tensor).filter((each) => each !== 0).length, 0)
    const before = singular()
    const { grads: sums, penalty } = withPenalties([budget], { model, trainable: adapter.trainable, batches: batches.slice(0, 1) }, grads) // and no update
    expect(singular()).toBe(before) // a step that fails changes nothing
    budget.afterSkip?.(adapter.trainable)
    const left = Object.values(await budget.ranks())
    expect(left.reduce((sum, rank) => sum + rank, 0)).toBe(adapter.sites.length)
    expect(singular()).toBe(adapter.sites.length)
    tf.dispose([value, ...Object.values(sums), ...(penalty === undefined ? [] : [penalty])])
    optimizer.dispose()
    budget.dispose()
  })

  it('keeps the first of ranks that matter equally, so that none is left without', async () => {
    const run = await open()
    const budget = rankBudget(run.adapter, { steps: 2, targetRank: 1, orthogonality: 0 })
    const still = new AdamW(run.adapter.trainable, { learningRate: 0, weightDecay: 0 }) // nothing moves, all singular values are 0 as at the start
    for (const tensor of Object.values(run.adapter.trainable)) if (tensor.rank === 1) tensor.assign(tf.zerosLike(tensor))
    train(run, budget, 0, 2, still)
    expect(Object.values(await budget.ranks()).reduce((sum, rank) => sum + rank, 0)).toBe(run.adapter.sites.length)
    still.dispose()
    budget.dispose()
  })

  it('refuses the state of another budget, and keeps nothing of it', async () => {
    const { adapter } = await open()
    const budget = rankBudget(adapter, SCHEDULE)
    const state = { ...budget.state?.() }
    const short = tf.ones([5])
    const before = tf.memory().numTensors
    expect(() => budget.restore?.({ ...state, left: short })).toThrow('rankBudget: expected the state of a budget of 36 ranks, got one of 5.')
    expect(() => budget.restore?.({})).toThrow("got another guard's")
    expect(tf.memory().numTensors).toBe(before)
    budget.dispose()
    short.dispose()
    await expect(budget.ranks()).rejects.toThrow('the guard was disposed')
  })

  it('refuses what is no AdaLoRA, and settings between which no rank would be taken', async () => {
    const { model, adapter } = await open()
    expect(() => rankBudget(attach(model, lora(), { name: 'other', enabled: false }), { steps: 10 })).toThrow('rankBudget: expected an AdaLoRA, attach(model, adalora({ … })), got lora.')
    expect(() => rankBudget(adapter, { steps: 10, targetRank: 5, initialSteps: 4, finalSteps: 6, beta1: 1, orthogonality: -1 })).toThrow(InputError)
    expect(() => rankBudget(adapter, { steps: 10, targetRank: 5, initialSteps: 4, finalSteps: 6, beta1: 1, orthogonality: -1 })).toThrow(
      /beta1: expected a number in \(0, 1\), got 1[^]*orthogonality: expected a number of at least 0, got -1[^]*initialSteps and finalSteps[^]*targetRank: expected at most 4/)
  })
})
