import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import { ownedBy, type Adapter } from './attach.ts'
import { Model } from './model.ts'

/**
 * A new model with the adapter folded into its weights. The old model and the adapter stay as they are; parameters
 * that did not change are shared, and each model can be disposed by itself.
 *
 * @throws InputError when the method cannot be folded into weights
 * @example const merged = merge(model, adapter)
 */
export function merge(model: Model, adapter: Adapter): Model {
  const { method, sites, trainable, copies } = adapter
  if (adapter.model !== model) throw new InputError(`merge: adapter '${adapter.name}' belongs to another model.`)
  const changed = new Map<string, Tensor>(copies.map((name) => [name, tf.keep(tf.clone(trainable[name] as Tensor))]))
  for (const site of sites) {
    if (site.kind !== 'linear' || method.merge === undefined) {
      tf.dispose([...changed.values()])
      throw new InputError(`merge: ${method.wire.type} at '${site.name}' cannot be folded into a weight.`)
    }
    const weight = (changed.get(site.weight) ?? model.parts.params.get(site.weight)) as Tensor2D
    const own = ownedBy(adapter, site)
    const fold = method.merge
    changed.set(site.weight, tf.tidy(() => tf.keep(fold(site, weight, own))))
  }
  const params = new Map(
    [...model.parts.params].map(([name, tensor]) => [name, changed.get(name) ?? tf.keep(tensor.clone())]),
  )
  return new Model({ ...model.parts, params })
}
