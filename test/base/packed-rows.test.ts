import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { bottleneck } from '../../src/adapters/bottleneck.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { padBatch, type Batch } from '../../src/base/batch.ts'
import { withoutRounding } from '../../src/base/engine/rounded-rows.ts'
import type { Method } from '../../src/base/method.ts'
import { Model, outputOf } from '../../src/base/model.ts'
import { packedRows } from '../../src/base/packed-rows.ts'
import type { Around } from '../../src/base/pass.ts'
import { lora } from '../../src/lora/lora.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { MODELS } from '../contract-rows.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { relativeDifference } from './ops/forms.ts'

/** The same model on padded rows. */
function onPadded({ parts, attached }: Model): Model {
  return new Model(parts, { attached: { ...attached, wiring: { ...attached.wiring, seesPadding: true } } })
}

/** How many rows its products are of. */
function rowsOfProducts({ parts, attached }: Model, batch: Batch): number[] {
  const seen: number[] = []
  const note: Around<Tensor2D, Tensor2D> = (x, next) => (seen.push(x.shape[0]), next(x))
  const linear = new Map(parts.sites.filter(({ kind }) => kind === 'linear').map(({ name }) => [name, note]))
  const { wiring } = attached
  const noted = new Model(parts, { attached: { ...attached, wiring: { ...wiring, handlers: { ...wiring.handlers, linear } } } })
  outputOf(noted, batch).dispose()
  return seen
}

/** What a model gives for tokens, or for rows. */
function ofTokens(model: Model, batch: Batch): Float32Array {
  return tf.tidy(() => {
    const output = outputOf(model, batch)
    if (output.rank < 3 || output.shape[1] !== batch.length) return valuesOf(output)
    return valuesOf(tf.mul(output, tf.tensor3d(Float32Array.from(batch.mask ?? []), [batch.batch, batch.length, 1])))
  })
}

const METHODS: Readonly<Record<string, () => Method>> = {
  LoRA: () => lora({ rank: 2, targets: 'all-linear' }),
  'a prefix': () => prefix({ virtualTokens: 3 }),
  'a prompt': () => prompt({ virtualTokens: 2 }),
  'a bottleneck': () => bottleneck({ reductionFactor: 4 }),
}

/** Why rows of some are padded. */
const PADDED = /^(mT5|BART|DeBERTa|Qwen3\.5|CLIP|SigLIP)|question answering|^LLaMA, sequence/ // the last are padded on the left

/** Of the families that differ in settings alone one stands for all. */
const KIN = /^(Granite|OLMo|Phi-3|Ministral)|held in|mean of/

describe.each(MODELS.filter(({ name, batch }) => batch.mask !== undefined && !KIN.test(name)))('$name', ({ name, load, batch }) => {
  let model: Model
  const tokens = batch.mask?.reduce((sum, one) => sum + one, 0) ?? 0

  beforeAll(async () => {
    model = await load()
  })

  afterAll(() => model.dispose())

  afterEach(() => {
    for (const adapter of adaptersOf(model)) detach(adapter)
  })

  it(PADDED.test(name) ? 'runs its layers on padded rows' : 'runs its layers on the tokens alone', () => {
    expect(rowsOfProducts(model, batch)).toContain(PADDED.test(name) ? batch.batch * batch.length : tokens)
    expect(rowsOfProducts(model, batch).includes(tokens)).toBe(!PADDED.test(name))
  })

  it('gives the loss and the logits of padded rows', () => {
    const [ours, theirs] = [model, onPadded(model)].map((each) => withoutRounding(() => [...ofTokens(each, batch), ...tf.tidy(() => valuesOf(each.loss(batch)))]))
    expect(largestDifference(ours ?? [], theirs ?? [])).toBeLessThan(1e-5)
  })

  if (PADDED.test(name)) return

  it.each(Object.entries(METHODS))('gives the gradients of padded rows with %s', (_, method) => {
    const { trainable } = attach(model, method(), { seed: 3 })
    const before = tf.memory().numTensors
    const longer = padBatch(batch, { length: batch.length + 1 }, { tokenLabels: batch.labels?.length === batch.ids?.length })
    const calls = [[model, batch], [onPadded(model), batch], [onPadded(model), longer]] as const
    const found = calls.map(([each, rows]) => withoutRounding(() => valueAndGrads(() => each.loss(rows), trainable)))
    const [ours, theirs, further] = found.map(({ value, grads }) => Object.entries<Tensor>({ ...grads, loss: value }).map(([key, tensor]) => [key, valuesOf(tensor)] as const))
    for (const [i, [key, numbers]] of ours?.entries() ?? []) {
      const [padded, same] = [theirs, further].map((of) => of?.[i]?.[1] ?? [])
      const rounding = relativeDifference(same ?? [], padded ?? []) // what one column of padding more makes: in ALBERT's layers that run again more than 1e-5
      expect(relativeDifference(numbers, padded ?? []), key).toBeLessThan(Math.max(1e-5, rounding))
    }
    tf.dispose(found.flatMap(({ value, grads }) => [value, ...Object.values(grads)]))
    expect(tf.memory().numTensors).toBe(before)
  })
})

it('a method with a step at attention is given padded rows, unless it says that it needs none', async () => {
  const [row] = MODELS
  const model = await (row as (typeof MODELS)[number]).load()
  const { batch } = row as (typeof MODELS)[number]
  const rowsWith = (method: Method): number[] => {
    const adapter = attach(model, method, { seed: 3 })
    const rows = rowsOfProducts(model, batch)
    detach(adapter)
    return rows
  }
  const silent = Object.fromEntries(Object.entries(prefix({ virtualTokens: 2 })).filter(([name]) => name !== 'seesPadding')) as unknown as Method
  expect(rowsWith(silent)).toContain(batch.batch * batch.length)
  expect(rowsWith(prefix({ virtualTokens: 2 }))).not.toContain(batch.batch * batch.length)
  model.dispose()
})

describe('packedRows', () => {
  it('takes the tokens of each row, and where it ends', () => {
    const found = packedRows({ ids: new Int32Array(8), mask: Int32Array.of(1, 1, 0, 0, 1, 1, 1, 0), batch: 2, length: 4 })
    expect([...(found?.places ?? [])]).toEqual([0, 1, 4, 5, 6])
    expect(found?.borders).toEqual([0, 2, 5])
  })

  it.each([
    ['no row is padded', [1, 1, 1, 1]],
    ['a row has no tokens', [1, 1, 0, 0]],
    ['padding stands among the tokens', [1, 0, 1, 1, 1, 0]],
    ['padding stands before the tokens', [1, 1, 0, 1]],
  ])('leaves a batch as it is where %s', (_, mask) => {
    expect(packedRows({ ids: new Int32Array(mask.length), mask: Int32Array.from(mask), batch: 2, length: mask.length / 2 })).toBeUndefined()
  })

  it('leaves a batch as it is where padding has a label', () => {
    const batch = { ids: new Int32Array(4), mask: Int32Array.of(1, 1, 1, 0), batch: 2, length: 2 }
    expect(packedRows({ ...batch, labels: Int32Array.of(1, 1, 1, -100) })).toBeDefined()
    expect(packedRows({ ...batch, labels: Int32Array.of(1, 1, 1, 1) })).toBeUndefined()
  })
})
