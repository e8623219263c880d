import type { Variable } from '@tensorflow/tfjs-core'
import { viewWith } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { Model } from '../base/model.ts'
import { int, randomStream } from '../base/random.ts'
import { layerOf } from '../base/sites.ts'

/** Which step it is, and the seed of all steps. */
export interface DropAt {
  readonly seed: number
  readonly step: number
}

/**
 * AdapterDrop for training: the model with its enabled adapters left out of the first n of their layers, n drawn evenly from
 * none to all but the last, for one step. A model trained so keeps most of its quality when `skipLayers` leaves first layers
 * out, to run faster. Rücklé et al. 2020, arXiv:2010.11918
 *
 * @returns the model, as from `withAdapters`, and the trained tensors that take no part: for `valueAndGrads`, with zeros as gradients
 * @example
 * const { model: shallow, idle } = withLayersDropped(model, { seed: 0, step })
 * const { value, grads: dropped } = valueAndGrads(() => shallow.loss(batch), adapter.trainable, idle)
 */
export function withLayersDropped(model: Model, { seed, step }: DropAt): { readonly model: Model; readonly idle: ReadonlySet<Variable> } {
  const { enabled } = model.attached
  const layers = [...new Set(enabled.flatMap(layersOf))].sort((a, b) => a - b)
  const dropped = layers.slice(0, layers.length === 0 ? 0 : int(randomStream(seed, 'adapter drop', step), layers.length))
  const skipped = (adapter: Adapter): number[] => [...new Set([...adapter.skipped, ...layersOf(adapter).filter((layer) => dropped.includes(layer))])]
  return { model: viewWith(model, enabled, skipped), idle: new Set(enabled.flatMap((adapter) => trainedIn(adapter, dropped))) }
}

function layersOf({ sites }: Adapter): number[] {
  return sites.flatMap(({ name }) => layerOf(name) ?? [])
}

/** What the adapter trains in those layers; copies of the model's parameters go on working there. */
function trainedIn({ sites, trainable, copies }: Adapter, layers: readonly number[]): Variable[] {
  const own = sites.filter(({ name }) => layers.includes(layerOf(name) ?? -1)).map(({ name }) => name)
  return Object.entries(trainable)
    .filter(([name]) => !copies.includes(name) && own.includes(name.slice(0, name.lastIndexOf('.'))))
    .map(([, variable]) => variable)
}
