// The matrix products of a step alone, as the step does them: what is left when all else costs nothing.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Model } from 'tfjs-peft'
import { tensorflow } from '../src/base/engine/tensorflow.ts'
import type { WeightDtype } from '../src/base/engine/frozen-weight.ts'
import { loadNative } from '../src/base/engine/load-native.ts'
import { weightKind } from '../src/base/engine/weight-kinds.ts'
import { layerOf, type ExpertsSite, type LinearSite } from '../src/base/sites.ts'
import { median } from './process.ts'

export interface FloorOptions {
  /** Of the layers' weights. */
  readonly dtype: WeightDtype
  /** The way back to the inputs counts too; weights are frozen, so that there is nothing else to go back to. */
  readonly backward: boolean
}

/** A product of matrices of these shapes, the second transposed or not. */
export interface Product {
  readonly a: readonly number[]
  readonly b: readonly number[]
  readonly transposed: boolean
  /** Of the second. */
  readonly dtype: WeightDtype
  /** In a step. */
  readonly count: number
}

/**
 * The products with the weights of layers and of a language model's head, and of attention. Experts have as many rows each as when
 * tokens choose all of them equally often. Nothing has to go back beyond the first trained tensors: the first products of the first
 * layer count for the way forward alone.
 */
export function productsOf(model: Model, { batch: B, length: T }: { readonly batch: number; readonly length: number }, { dtype, backward }: FloorOptions): Product[] {
  const withWeight = ({ inSize, outSize }: LinearSite | ExpertsSite, rows: number, back: boolean, dtype: WeightDtype): Omit<Product, 'count'>[] => {
    const b = [outSize, inSize]
    const forth = { a: [rows, inSize], b, transposed: true, dtype }
    return back ? [forth, { a: [rows, outSize], b, transposed: false, dtype }] : [forth]
  }
  const each = Number(model.parts.config['num_experts_per_tok'])
  const products = model.parts.sites.flatMap((site): Omit<Product, 'count'>[] => {
    if (site.kind === 'linear' && isOfEachToken(site, model)) return withWeight(site, B * T, backward && !isFirst(site), dtypeAt(site, model, dtype))
    if (site.kind === 'experts') {
      return Array.from({ length: site.count }, () => withWeight(site, Math.ceil((B * T * each) / site.count), backward, dtype)).flat()
    }
    if (site.kind !== 'attention') return []
    const { heads: H, headSize: D } = site
    const scores = { a: [B * H, T, D], b: [B * H, T, D], transposed: true, dtype: 'float32' as const }
    const values = { a: [B * H, T, T], b: [B * H, T, D], transposed: false, dtype: 'float32' as const }
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

/** Quantised models hold heads as their file has them. */
function dtypeAt({ weight }: LinearSite, { parts: { params } }: Model, dtype: WeightDtype): WeightDtype {
  const name = params.get(weight)?.kind.name
  return name === undefined || name === 'affine' ? dtype : name
}

function timeOf({ a, b, transposed, dtype }: Product): number {
  const [x, y] = [a, b].map((shape): Tensor => tf.randomUniform([...shape])) as [Tensor2D, Tensor2D]
  const weight = weightKind(dtype).of(y)
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
