import { InputError } from '../errors.ts'
import { adaptersOf, setEnabled, viewWith } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { Model } from '../base/model.ts'

/** One adapter by name, several, or none: `[]`. */
export type Names = string | readonly string[]

/**
 * The adapter of a name.
 *
 * @throws InputError when there is none, naming those there are
 * @example detach(adapterNamed(model, 'spam'))
 */
export function adapterNamed(model: Model, name: string): Adapter {
  const adapter = adaptersOf(model).find((other) => other.name === name)
  if (adapter !== undefined) return adapter
  const names = adaptersOf(model).map((other) => `'${other.name}'`)
  throw new InputError(`The model has no adapter '${name}'; it has ${names.length === 0 ? 'none' : names.join(', ')}.`)
}

/**
 * Enables exactly these adapters of a model; their effects add up, in the order they were attached. Nothing else about
 * any of them changes.
 *
 * @throws InputError when a name is unknown or two of them cannot stand side by side; nothing has changed then
 * @example setActive(model, 'spam')
 */
export function setActive(model: Model, names: Names): void {
  setEnabled(model, [names].flat().map((name) => adapterNamed(model, name)))
}

/**
 * The model with exactly these adapters, beside the model as it is: for all that takes a model, also while others compute with
 * it. It shares the parameters and the adapters' tensors, costs nothing, and nothing is to be put back or disposed.
 *
 * @throws InputError when a name is unknown, or two of them cannot stand side by side; where it is used, when one was detached
 * @example const base = withAdapters(model, []).forward(batch)
 */
export function withAdapters(model: Model, names: Names): Model {
  return viewWith(model, [names].flat().map((name) => adapterNamed(model, name)))
}
