// The matrix products of a step alone, as the step does them: what is left when all else costs nothing.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Model } from 'tfjs-peft'
import { BFLOAT16 } from '../src/base/engine/bfloat16.ts'
import { tensorflow } from '../src/base/engine/tensorflow.ts'
import { FLOAT32 } from '../src/base/engine/float32.ts'
import { loadNative } from '../src/base/engine/load-native.ts'
import { layerOf, type ExpertsSite, type LinearSite } from '../src/base/sites.ts'
import { median } from './process.ts'

export interface FloorOptions {
  /** Weights are bfloat16. */
  readonly half: boolean
  /** The way back to the inputs counts too; weights are frozen, so that there is nothing else to go back to. */
  readonly backward: boolean
}

/** A product of matrices of these shapes, the second transposed or not. */
export interface Product {
  readonly a: readonly number[]
  readonly b: readonly number[]
  readonly transposed: boolean
  readonly half: boolean
  /** In a step. */
  readonly count: number
}

/**
 * The products with the weights of layers and of a language model's head, and of attention. Experts have as many rows each as when
 * tokens choose all of them equally often. Nothing has to go back beyond the first trained tensors: the first products of the first
 * layer count for the way forward alone.
 */
export function productsOf(model: Model, { batch: B, length: T }: { readonly batch: number; readonly length: number }, { half, backward }: FloorOptions): Product[] {
  const withWeight = ({ inSize, outSize }: LinearSite | ExpertsSite, rows: number, back: boolean): Omit<Product, 'count'>[] => {
    const b = [outSize, inSize]
    const forth = { a: [rows, inSize], b, transposed: true, half }
    return back ? [forth, { a: [rows, outSize], b, transposed: false, half }] : [forth]
  }
  const each = Number(model.parts.config['num_experts_per_tok'])
  const products = model.parts.sites.flatMap((site): Omit<Product, 'count'>[] => {
    if (site.kind === 'linear' && isOfEachToken(site, model)) return withWeight(site, B * T, backward && !isFirst(site))
    if (site.kind === 'experts') {
      return Array.from({ length: site.count }, () => withWeight(site, Math.ceil((B * T * each) / site.count), backward)).flat()
    }
    if (site.kind !== 'attention') return []
    const { heads: H, headSize: D } = site
    const scores = { a: [B * H, T, D], b: [B * H, T, D], transposed: true, half: false }
    const values = { a: [B * H, T, T], b: [B * H, T, D], transposed: false, half: false }
    return backward ? [scores, values, scores, values, values, values] : [scores, values]
  })
  const alike = new Map<string, Product>()
  for (const product of products) {
    const key = JSON.stringify(product)
    alike.set(key, { ...product, count: (alike.get(key)?.count ?? 0) + 1 })
  }
  return [...alike.values()]
}

/** Milliseconds of all of them, by the kernels that a step takes. */
export function floorOf(products: readonly Product[]): number {
  loadNative(tensorflow()) // for the sources, beside the package under test
  return products.reduce((sum, product) => sum + product.count * timeOf(product), 0)
}

function isOfEachToken(site: LinearSite, { parts: { task } }: Model): boolean {
  return layerOf(site.name) !== undefined || task === 'causal-lm'
}

function isFirst({ name, role }: LinearSite): boolean {
  return layerOf(name) === 0 && role !== undefined && ['query', 'key', 'value', 'qkv'].includes(role)
}

function timeOf({ a, b, transposed, half }: Product): number {
  const [x, y] = [a, b].map((shape): Tensor => tf.randomUniform([...shape])) as [Tensor2D, Tensor2D]
  const weight = (half ? BFLOAT16 : FLOAT32).of(y)
  const ofWeight = (): Tensor => (transposed ? weight.timesTransposed(x) : weight.times(x))
  const multiply = (): Tensor => (a.length === 2 ? ofWeight() : tf.matMul(x, y, false, transposed))
  const times = Array.from({ length: 9 }, () => {
    const start = performance.now()
    multiply().dispose()
    return performance.now() - start
  })
  weight.dispose()
  tf.dispose([x, y])
  return median(times.slice(2))
}
