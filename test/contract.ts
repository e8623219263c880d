// What every method must do on every model. A method is one row of METHODS in contract-rows.ts, a model one of MODELS.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { adaptersOf, detach, disable, enable } from '../src/base/adapter/attached.ts'
import type { Adapter } from '../src/base/adapter/adapter.ts'
import type { Batch } from '../src/base/batch.ts'
import { withoutRounding } from '../src/base/engine/rounded-rows.ts'
import { valueAndGrads, perExampleGrads, type ValueAndGrads } from '../src/base/autodiff/grads.ts'
import { op } from '../src/base/autodiff/tape.ts'
import { merge } from '../src/base/adapter/merge.ts'
import type { Method } from '../src/base/method.ts'
import type { Model } from '../src/base/model.ts'
import { normal, randomStream } from '../src/base/random.ts'
import { InputError } from '../src/errors.ts'
import { interpolate } from '../src/forgetting/interpolate-adapter.ts'
import { interpolateTensors } from '../src/forgetting/interpolate.ts'
import { mergeModels } from '../src/forgetting/merge-models.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { withAdapters } from '../src/manage/active.ts'
import { AdamW } from '../src/training/adamw.ts'
import { largestDifference, valuesOf } from './golden.ts'
import type { MethodCall } from '../bench/method-call.ts'
import { shown, type Capability, type Shown } from './parity.ts'

export interface MethodRow {
  readonly name: string
  readonly method: MethodCall<Method>
  /** The adapted model starts equal to the base. */
  readonly identity: boolean
  readonly mergeable: boolean
  /** Saving folds tensors away, so that what is loaded trains other tensors than what was saved. @default false */
  readonly folded?: boolean
  /** Two of it cannot be enabled at the same places. @default false */
  readonly exclusive?: boolean
  /** Trains weights of the base themselves, as numbers that no product rounds. @default false */
  readonly inFull?: boolean
  /** Trains the task's head and nothing beside it. @default false */
  readonly headAlone?: boolean
  /** Some trained tensors have an operation that cannot keep the gradients of examples apart. @default false */
  readonly summed?: boolean
  /** By its definition a part of the computation counts as constant in the backward pass. @default false */
  readonly detached?: boolean
}

export interface ModelRow {
  readonly name: string
  readonly load: () => Promise<Model>
  readonly batch: Batch
  /** Some of its products are of rows that are no example's, besides those of the batch. @default false */
  readonly mixed?: boolean
  /**
   * Its products round what they multiply: gradients are straight-through, which finite differences are not, and a merged model does not
   * round. Those are held to products that do not; test/base/engine/int8-products.test.ts holds the ones that do. @default false
   */
  readonly rounds?: boolean
}

/**
 * @param only which models have what the method asks for, where not all do
 * @param isBrief without the checks that other pairs of the method and of the model stand for
 */
export function contract(row: MethodRow, on: ModelRow, { only, isBrief = false }: { readonly only?: string | undefined; readonly isBrief?: boolean } = {}): void {
  const shows = (what: readonly Capability[], tolerance?: number): Shown =>
    shown({
      table: 'contract', row: row.name, call: row.method.text, model: on.name, shows: what,
      ...(tolerance === undefined ? {} : { tolerance }), ...(only === undefined ? {} : { only }),
    })

  describe(`${row.name} on ${on.name}`, () => {
    let model: Model
    let adapter: Adapter
    let base: Float32Array
    const logits = (of: Model = model): Float32Array => tf.tidy(() => valuesOf(of.forward(on.batch)))
    const loss = (): Scalar => model.loss(on.batch)
    const exactly = (work: () => void): void => { if (on.rounds === true) withoutRounding(work); else work() }
    const expectBase = (outputs: () => Float32Array): void => {
      if (row.inFull === true) exactly(() => { expect(largestDifference(outputs(), logits(withAdapters(model, [])))).toBeLessThan(2e-6) })
      else expect(largestDifference(outputs(), base)).toBeLessThan(2e-6)
    }

    beforeAll(async () => {
      model = await on.load()
      base = logits()
    })

    beforeEach(() => {
      adapter = attach(model, row.method(), { seed: 5 })
    })

    afterEach(() => {
      for (const attached of adaptersOf(model)) detach(attached)
    })

    afterAll(() => model.dispose())

    if (row.identity) {
      it('starts equal to the base', () => {
        expectBase(logits)
      })
    }

    it('gives every trained tensor a finite gradient that is not zero', shows(['train']), () => {
      perturb(adapter.trainable, 0.05)
      const { value, grads } = valueAndGrads(loss, adapter.trainable)
      for (const [name, grad] of Object.entries(grads)) {
        const size = valuesOf(grad).reduce((sum, x) => sum + Math.abs(x), 0)
        expect(size, name).toBeGreaterThan(0)
        expect(Number.isFinite(size), name).toBe(true)
      }
      tf.dispose([value, ...Object.values(grads)])
    })

    it('learns, leaves the base bit for bit as it was, and keeps no tensor', shows(['train']), () => {
      const before = fingerprint(model)
      const optimizer = new AdamW(adapter.trainable, { learningRate: 1e-2 })
      const losses: number[] = [] // each under the same dropout, so that they can be compared
      const counts: number[] = []
      for (let step = 0; step < (isBrief ? 4 : 12); step++) {
        const { value, grads } = valueAndGrads(() => model.loss(on.batch, { training: true, seed: 3 }), adapter.trainable)
        losses.push(valuesOf(value)[0] ?? NaN)
        optimizer.step(grads)
        tf.dispose([value, ...Object.values(grads)])
        counts.push(tf.memory().numTensors)
      }
      optimizer.dispose()
      expect(losses.at(-1)).toBeLessThan(losses[0] ?? 0)
      expect(new Set(counts).size).toBe(1)
      expect(fingerprint(model)).toEqual(before)
    })

    it('is out of the way when disabled and when detached', () => {
      perturb(adapter.trainable, 0.05)
      const adapted = logits()
      expect(largestDifference(adapted, base)).toBeGreaterThan(1e-4)
      disable(adapter)
      expect(logits()).toEqual(base)
      enable(adapter)
      expect(logits()).toEqual(adapted)
      const count = tf.memory().numTensors
      const own = Object.keys(adapter.trainable).length + Object.keys(adapter.frozen).length
      detach(adapter)
      expect(logits()).toEqual(base)
      expect(tf.memory().numTensors).toBe(count - own)
    })

    it('comes back from its files with the same outputs', shows(['save', 'load'], row.folded === true ? 1e-5 : undefined), async () => {
      perturb(adapter.trainable, 0.05)
      let adapted = logits()
      if (row.folded === true) exactly(() => { adapted = logits() })
      const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
      try {
        await adapter.save(folder)
        const names = Object.keys(adapter.trainable).sort()
        detach(adapter)
        adapter = await loadAdapter(model, folder)
        // relative, as for a merged model: what was folded sums in another order, which may round a number of x to the next code
        if (row.folded === true) exactly(() => { expect(largestDifference(logits(), adapted) / Math.max(1, ...adapted.map(Math.abs))).toBeLessThan(1e-5) })
        else {
          expect(Object.keys(adapter.trainable).sort()).toEqual(names)
          expect(logits()).toEqual(adapted)
        }
      } finally {
        await rm(folder, { recursive: true })
      }
    })

    it(row.mergeable ? 'merges into a model with the same outputs' : 'says that it cannot be merged', shows(['merge'], row.mergeable ? 1e-5 : undefined), ({ task }) => {
      perturb(adapter.trainable, 0.05)
      const count = tf.memory().numTensors
      if (!row.mergeable) {
        const refused = refusal(() => merge(model, adapter))
        expect(refused).toBeInstanceOf(InputError)
        if (task.meta.parity !== undefined) task.meta.parity.because = (refused as InputError).message
        expect(tf.memory().numTensors).toBe(count)
        return
      }
      const merged = merge(model, adapter)
      exactly(() => {
        const adapted = logits()
        // relative to the size of the numbers, with which the rounding of the two orders of summation grows
        expect(largestDifference(logits(merged), adapted) / Math.max(1, ...adapted.map(Math.abs))).toBeLessThan(1e-5)
      })
      merged.dispose()
      expect(tf.memory().numTensors).toBe(count)
      expect(largestDifference(logits(), base)).toBeGreaterThan(1e-4) // the old model is still there
    })

    if (isBrief) return

    it(row.exclusive === true ? 'takes no second one beside it' : 'stands beside a second adapter, in either order', () => {
      perturb(adapter.trainable, 0.05)
      const alone = logits()
      if (row.exclusive === true) {
        const count = tf.memory().numTensors
        const train = row.headAlone === true ? model.parts.head.modules : []
        expect(() => attach(model, row.method(), { name: 'second', train })).toThrow(InputError)
        expect(logits()).toEqual(alone)
        expect(tf.memory().numTensors).toBe(count)
        return
      }
      const second = attach(model, row.method(), { name: 'second', seed: 6, train: [] })
      if (row.identity) expect(largestDifference(logits(), alone)).toBeLessThan(2e-6)
      detach(second)
      expect(logits()).toEqual(alone)
    })

    it('is the base at alpha 0 and itself at alpha 1, on the line of the weights between; or says that it has no way there', () => {
      perturb(adapter.trainable, 0.05)
      const count = tf.memory().numTensors
      const at = (alpha: number): Adapter => interpolate(adapter, () => alpha, { name: String(alpha) })
      if (adapter.sites.length > 0 && adapter.method.interpolate === undefined) {
        expect(() => at(0.4)).toThrow('has no counterpart in the base')
        expect(tf.memory().numTensors).toBe(count)
        return
      }
      const adapted = logits()
      const outputs = (alpha: number): Float32Array => logits(withAdapters(model, at(alpha).name))
      expect(outputs(1)).toEqual(adapted)
      expectBase(() => outputs(0))
      if (!row.mergeable) return
      const merged = merge(model, adapter)
      const between = mergeModels([model, merged], ([from, to]) => interpolateTensors(from, to, 0.4))
      exactly(() => { expect(largestDifference(outputs(0.4), logits(between)) / Math.max(1, ...adapted.map(Math.abs))).toBeLessThan(1e-5) })
      for (const made of [merged, between]) made.dispose()
    })

    it('has bit for bit the same gradients with gradient checkpointing', shows(['train']), () => {
      perturb(adapter.trainable, 0.05)
      const [kept, again] = [false, true].map((recompute) => {
        const { value, grads } = valueAndGrads(() => model.loss(on.batch, { training: true, seed: 3, gradientCheckpointing: recompute }), adapter.trainable)
        const result = Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, valuesOf(grad)]))
        tf.dispose([value, ...Object.values(grads)])
        return result
      })
      expect(again).toEqual(kept)
    })

    it('has for each row of a batch the gradient that it gives by itself', () => {
      perturb(adapter.trainable, 0.05)
      const { batch } = on.batch
      const together = gradientsOf(perExampleGrads(() => weighted(model.forward(on.batch)), adapter.trainable, batch))
      const alone = Array.from({ length: batch }, (_, row) => gradientsOf(valueAndGrads(() => weighted(model.forward(on.batch), row), adapter.trainable)))
      const largest = Math.max(...Object.values(together).flatMap((grad) => [...valuesOf(grad)].map(Math.abs)))
      const areApart = Object.entries(adapter.trainable).map(([name, { rank }]) => {
        const grad = together[name] as Tensor
        const rows = alone.map((grads) => grads[name] as Tensor)
        const expected = tf.tidy(() => (grad.rank > rank ? tf.stack(rows) : tf.addN(rows)))
        expect(largestDifference(valuesOf(grad), valuesOf(expected)) / largest, name).toBeLessThan(1e-5)
        expected.dispose()
        return grad.rank > rank
      })
      if (on.mixed !== true) expect(areApart.every((each) => each)).toBe(row.summed !== true)
      for (const grads of [together, ...alone]) tf.dispose(grads)
    })

    it.skipIf(row.detached === true)('has the gradient that finite differences give', shows(['train'], 2e-2), () => {
      perturb(adapter.trainable, 0.05)
      exactly(() => {
        const { value, grads } = valueAndGrads(loss, adapter.trainable)
        const norm = Math.sqrt(inner(grads, grads))
        const slopeAlong = (direction: Readonly<Record<string, Tensor>>, step: number): number => {
          const distance = step / Math.sqrt(inner(direction, direction))
          const at = (end: number): number => {
            move(adapter.trainable, direction, end)
            const result = tf.tidy(() => valuesOf(loss())[0] ?? NaN)
            move(adapter.trainable, direction, -end)
            return result
          }
          return (at(distance) - at(-distance)) / (2 * distance)
        }
        // Along the gradient itself the slope is its norm, far above float32's noise; what is missing at a right angle to it shows elsewhere.
        expect(Math.abs(slopeAlong(grads, 3e-3) / norm - norm) / norm).toBeLessThan(2e-2)
        for (const [name, grad] of spread(Object.entries(grads), 6)) {
          const direction = { [name]: tf.tensor(normal(randomStream(11, name), grad.size, 0, 1), grad.shape) }
          const length = Math.sqrt(inner(direction, direction))
          const [own, expected] = [Math.sqrt(inner({ [name]: grad }, { [name]: grad })), inner(direction, grads) / length]
          // a loss of some units is rounded to 2.4e-7 or 4.8e-7 at either end, 4e-3 apart, and its sums before that
          expect(Math.abs(slopeAlong(direction, 2e-3) / length - expected), name).toBeLessThan(2e-2 * own + 4e-4)
          tf.dispose(direction)
        }
        tf.dispose([value, ...Object.values(grads)])
      })
    })
  })
}

/** A sum of the outputs with fixed weights, so that no row has to do with another; of one row's alone where it is given. */
function weighted(outputs: Tensor, row?: number): Scalar {
  const [rows = 0, ...rest] = outputs.shape
  const values = normal(randomStream(8, 'weights'), outputs.size, 0, 1)
  const each = outputs.size / rows
  const weights = tf.tensor(values.map((weight, i) => (row === undefined || Math.floor(i / each) === row ? weight : 0)), [rows, ...rest])
  return op([outputs], (save) => (save(weights), tf.sum(tf.mul(outputs, weights))), (dy, [kept]) => [tf.mul(dy, kept as Tensor)])
}

function gradientsOf({ value, grads }: ValueAndGrads): ValueAndGrads['grads'] {
  value.dispose()
  return grads
}

/** What a function throws. */
function refusal(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

/** Moves every tensor a little, the same way each time, so that none is at a special starting value. */
function perturb(trainable: Readonly<Record<string, Variable>>, std: number): void {
  for (const [name, variable] of Object.entries(trainable)) {
    const noise = normal(randomStream(9, name), variable.size, 0, std)
    tf.tidy(() => variable.assign(tf.add(variable, tf.tensor(noise, variable.shape))))
  }
}

function move(trainable: Readonly<Record<string, Variable>>, along: Readonly<Record<string, Tensor>>, distance: number): void {
  for (const [name, direction] of Object.entries(along)) {
    const variable = trainable[name] as Variable // the same names
    tf.tidy(() => variable.assign(tf.add(variable, tf.mul(direction, distance))))
  }
}

/** The sum of the products of all numbers of the two. */
function inner(a: Readonly<Record<string, Tensor>>, b: Readonly<Record<string, Tensor>>): number {
  return Object.entries(a).reduce((sum, [name, tensor]) => {
    const other = valuesOf(b[name] as Tensor)
    return sum + valuesOf(tensor).reduce((part, x, i) => part + x * (other[i] ?? NaN), 0)
  }, 0)
}

/** Up to so many of a list, from its beginning to its end. */
function spread<T>(all: readonly T[], count: number): T[] {
  return all.filter((_, i) => Math.floor((i * count) / all.length) !== Math.floor(((i - 1) * count) / all.length))
}

/** The bits of every parameter of the model. */
function fingerprint(model: Model): Record<string, number> {
  return Object.fromEntries(
    [...model.parts.params].map(([name, tensor]) => {
      const bits = new Int32Array(valuesOf(tensor).slice().buffer)
      return [name, bits.reduce((hash, word) => (Math.imul(hash, 31) + word) | 0, 7)]
    }),
  )
}
