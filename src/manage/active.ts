import { setEnabled, viewWith } from '../base/adapter/attached.ts'
import { adaptersNamed, type AdapterNames } from '../base/adapter/named.ts'
import type { Model } from '../base/model.ts'

/**
 * Enables exactly these adapters of a model; their effects add up, in the order they were attached. Nothing else about
 * any of them changes.
 *
 * @throws InputError when a name is unknown or two of them cannot stand side by side, or while a training runs on the
 *   model; nothing has changed then
 * @example setActive(model, 'spam')
 */
export function setActive(model: Model, names: AdapterNames): void {
  setEnabled('setActive', model, adaptersNamed(model, names))
}

/**
 * The model with exactly these adapters, beside the model as it is: for all that takes a model, also while others compute with
 * it. It shares the parameters and the adapters' tensors, costs nothing, and nothing is to be put back or disposed.
 *
 * @throws InputError when a name is unknown, or two of them cannot stand side by side; where it is used, when one was detached
 * @example const base = withAdapters(model, []).forward(batch)
 */
export function withAdapters(model: Model, names: AdapterNames): Model {
  return viewWith(model, adaptersNamed(model, names))
}
