import { InputError } from '../errors.ts'
import { adaptersOf, setEnabled, type Adapter } from '../base/adapter/attach.ts'
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
 * Runs `run` with exactly these adapters enabled and puts back what was enabled before, also when it throws. What
 * returns a promise has them until that settles; nothing else should run on the model meanwhile.
 *
 * @throws InputError as `setActive` does
 * @example const base = withAdapters(model, [], () => model.forward(batch))
 */
export function withAdapters<T>(model: Model, names: Names, run: () => T): T {
  const before = adaptersOf(model).filter(({ enabled }) => enabled)
  const restore = (): void => {
    const attached = adaptersOf(model)
    setEnabled(model, before.filter((adapter) => attached.includes(adapter)))
  }
  setActive(model, names)
  let result: T
  try {
    result = run()
  } catch (error) {
    restore()
    throw error
  }
  if (result instanceof Promise) return result.finally(restore) as T
  restore()
  return result
}
