import type { Variable } from '@tensorflow/tfjs-core'
import { adaptersOf, skipLayers, type Adapter } from '../base/adapter/attach.ts'
import type { Model } from '../base/model.ts'
import { int, randomStream } from '../base/random.ts'
import { layerOf } from '../base/sites.ts'

/** Which step it is, and the seed of all steps. */
export interface DropAt {
  readonly seed: number
  readonly step: number
}

/**
 * AdapterDrop for training: runs one step with the enabled adapters left out of the first n of their layers, n drawn
 * evenly from none to all but the last. A model trained so keeps most of its quality when `skipLayers` leaves first
 * layers out, to run faster. Afterwards the adapters are where they were before. Rücklé et al. 2020, arXiv:2010.11918
 *
 * @param run is given the trained tensors that take no part, for `valueAndGrads`: their gradients are zeros
 * @example
 * const { value, grads: dropped } = withLayersDropped(model, { seed: 0, step }, (idle) =>
 *   valueAndGrads(() => model.loss(batch), adapter.trainable, idle))
 */
export function withLayersDropped<T>(model: Model, { seed, step }: DropAt, run: (idle: ReadonlySet<Variable>) => T): T {
  const adapters = adaptersOf(model).filter(({ enabled }) => enabled)
  const before = adapters.map(({ skipped }) => skipped)
  const layers = [...new Set(adapters.flatMap(({ sites }) => sites.flatMap(({ name }) => layerOf(name) ?? [])))].sort((a, b) => a - b)
  const dropped = layers.slice(0, layers.length === 0 ? 0 : int(randomStream(seed, 'adapter drop', step), layers.length))
  try {
    const idle = new Set(adapters.flatMap((adapter) => drop(adapter, dropped)))
    return run(idle)
  } finally {
    adapters.forEach((adapter, i) => skipLayers(adapter, before[i] ?? []))
  }
}

/** @returns what the adapter trains in those layers; copies of the model's parameters go on working there */
function drop(adapter: Adapter, layers: readonly number[]): Variable[] {
  const { sites, trainable, copies, skipped } = adapter
  const own = sites.filter(({ name }) => layers.includes(layerOf(name) ?? -1)).map(({ name }) => name)
  skipLayers(adapter, [...new Set([...skipped, ...own.flatMap((name) => layerOf(name) ?? [])])])
  return Object.entries(trainable)
    .filter(([name]) => !copies.includes(name) && own.includes(name.slice(0, name.lastIndexOf('.'))))
    .map(([, variable]) => variable)
}
