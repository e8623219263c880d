// What a model is, where methods can be in it, and what a step would take.

import * as tf from '@tensorflow/tfjs-core'
import { attach } from '../base/adapter/attach.ts'
import { detach } from '../base/adapter/attached.ts'
import { positionsTaken } from '../base/adapter/positions.ts'
import { valueAndGrads } from '../base/autodiff/grads.ts'
import type { Batch } from '../base/batch.ts'
import { countOperations } from '../base/engine/operations.ts'
import type { Model } from '../base/model.ts'
import { int, randomStream } from '../base/random.ts'
import type { Site } from '../base/sites.ts'
import { PeftError } from '../errors.ts'
import { METHOD_NAMES, methodOf, type MethodName } from './job/methods.ts'

/** Places of one name, in all layers. */
export interface SiteGroup {
  readonly name: string
  readonly kind: Site['kind']
  readonly count: number
  readonly shape: string
}

/** The sites of a model by the ends of their names, as targets take them. */
export function siteGroups(sites: readonly Site[]): SiteGroup[] {
  const groups = new Map<string, SiteGroup>()
  for (const site of sites) {
    const name = endOf(site.name)
    const shape = site.kind === 'linear' || site.kind === 'experts' ? `${site.inSize} → ${site.outSize}` : site.kind === 'embedding' ? `${site.count} × ${site.size}` : site.kind === 'attention' ? `${site.heads} heads of ${site.headSize}` : String(site.size)
    const key = [site.kind, name, shape].join()
    groups.set(key, { name, kind: site.kind, shape, count: (groups.get(key)?.count ?? 0) + 1 })
  }
  return [...groups.values()]
}

/** The last parts of a path that are no number: 'query' of 'encoder.layer.3.attention.self.query'. */
function endOf(name: string): string {
  const parts = name.split('.')
  const last = parts.at(-1) ?? name
  return last === 'dense' || last === 'weight' ? parts.slice(-2).join('.') : last
}

/** Whether a method can be in a model, and how much it would train. */
export interface Fit {
  readonly method: MethodName
  /** Parameters; undefined where it does not fit. */
  readonly trainable: number | undefined
  readonly problem?: string
}

/** Each method, tried with its defaults. */
export function fits(model: Model): Fit[] {
  return METHOD_NAMES.map((method) => {
    try {
      const adapter = attach(model, methodOf({ name: method }), { name: `inspect ${method}`, enabled: false })
      const { trainable } = adapter.summary()
      detach(adapter)
      return { method, trainable }
    } catch (error) {
      if (!(error instanceof PeftError)) throw error
      return { method, trainable: undefined, problem: error.message.split('\n', 1)[0] ?? '' }
    }
  })
}

/** What a step is reckoned to take. */
export interface StepEstimate {
  /** Tokens of a row: those that were asked for, or as many as the model has room for. */
  readonly length: number
  readonly seconds: number
  readonly operations: number
  /** Of the weights, of what the backward pass keeps, and of what is trained with its gradients and moments; bytes. */
  readonly weights: number
  readonly kept: number
  readonly trained: number
}

/** Rows that are tried. */
const TRIED = 2

/**
 * Reckons a step of a method from a small one that is really made: what it keeps and computes grows with the rows. Its loss is the sum of
 * the squares of what the model gives, in place of a task's.
 *
 * @param rows and tokens of a batch
 */
export function estimateStep(model: Model, method: MethodName, rows: number, length: number): StepEstimate {
  const adapter = attach(model, methodOf({ name: method }), { name: 'inspect' })
  try {
    const { trainable } = adapter
    const fitting = Math.min(length, (model.limits?.maxLength ?? Infinity) - positionsTaken(model))
    const batch = batchOf(model, TRIED, fitting)
    const before = tf.memory().numBytes
    let kept = 0
    const step = (): void => {
      const { value, grads } = valueAndGrads(() => {
        const loss = tf.sum(tf.square(model.forward(batch, { training: true, seed: 0 })))
        kept = tf.memory().numBytes - before
        return loss as tf.Scalar
      }, trainable, new Set(Object.values(trainable)))
      tf.dispose([value, ...Object.values(grads)])
    }
    step() // what is made once, is made
    const products = countOperations()
    const start = performance.now()
    step()
    const seconds = (performance.now() - start) / 1000
    products.stop()
    const factor = rows / TRIED
    const weights = [...model.parts.params.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    return { length: fitting, seconds: seconds * factor, operations: products.count * factor, weights, kept: kept * factor, trained: adapter.summary().bytes * 4 }
  } finally {
    detach(adapter)
  }
}

/** Rows of drawn tokens, or of the pictures that the model's own example has. */
function batchOf({ parts: { architecture }, limits }: Model, rows: number, length: number): Batch {
  const example = architecture.example()
  const random = randomStream(0, 'inspect')
  const tokens = (count: number): Int32Array => Int32Array.from({ length: rows * count }, () => 1 + int(random, (limits?.vocabSize ?? 2) - 1))
  return {
    batch: rows, length: example.ids === undefined ? 0 : length,
    ...(example.ids === undefined ? {} : { ids: tokens(length) }),
    ...(example.decoderIds === undefined ? {} : { decoderIds: tokens(length) }),
    ...(example.pixels === undefined ? {} : { pixels: Float32Array.from({ length: rows * example.pixels.length }, () => 0.1) }),
  }
}
