import { InputError, shown } from '../../errors.ts'
import { checkAwaited, checkKind } from '../awaited.ts'
import type { Model } from '../model.ts'
import { warnOfLoad, warnOfStep } from '../underway.ts'
import type { Adapter } from './adapter.ts'
import { adaptersOf, viewWith } from './attached.ts'

/** One adapter by name, several, or none: `[]`. */
export type AdapterNames = string | readonly string[]

/**
 * The adapter of a name.
 *
 * @throws InputError when there is none, naming those there are
 * @example detach(adapterNamed(model, 'spam'))
 */
export function adapterNamed(model: Model, name: string): Adapter {
  const adapter = adaptersOf(model).find((other) => other.name === name)
  if (adapter !== undefined) return adapter
  const there = adaptersOf(model).map((other) => other.name)
  const has = there.length === 0 ? 'none (one that is loaded is there after `await loadAdapter(…)`)' : there.map((each) => `'${each}'`).join(', ')
  if (typeof name === 'string') throw new InputError(`The model has no adapter '${name}'; it has ${has}.`)
  checkAwaited('adapter', name)
  const own = (name as { readonly name?: unknown } | null)?.name
  const got = typeof own === 'string' ? `an object that has one: give its name, '${own}'` : shown(name)
  throw new InputError(`Expected the name of an adapter, got ${got}; the model has ${has}.`)
}

/** The adapters of some names. @throws InputError as `adapterNamed` */
export function adaptersNamed(model: Model, names: AdapterNames): Adapter[] {
  return [names].flat().map((name) => adapterNamed(model, name))
}

/**
 * What `adapter` among the options of a call asks for: the model with exactly these adapters, else with those that are enabled
 * at the moment. It stays so whatever is enabled while the call goes on.
 *
 * @throws InputError when a name is unknown, or two of them cannot stand side by side
 */
export function modelWith(model: Model, names: AdapterNames | undefined): Model {
  checkKind('model', model)
  if (names !== undefined) return viewWith(model, adaptersNamed(model, names))
  warnOfStep('The answers of a model', model)
  warnOfLoad(model)
  return model.viewOf === undefined ? viewWith(model, model.attached.enabled) : model
}
