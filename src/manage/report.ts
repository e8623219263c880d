import { adaptersOf } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { Model } from '../base/model.ts'
import { replacedNames } from '../base/adapter/wiring.ts'

/** A frozen weight or a tensor. */
type Sized = Pick<TensorReport, 'shape' | 'size'>

/** One tensor of a model or of what is attached to it. */
export interface TensorReport {
  readonly name: string
  readonly shape: readonly number[]
  /** Elements. */
  readonly size: number
  /** The adapter it belongs to; undefined for the base. */
  readonly adapter: string | undefined
  /** `'trained'`: gets gradients; `'frozen'`: stays as it is; `'replaced'`: an adapter's copy is used in its place. */
  readonly state: 'trained' | 'frozen' | 'replaced'
  readonly why: string
}

/** Which tensors of a model are trained, and why. */
export interface Report {
  readonly tensors: readonly TensorReport[]
  /** Elements that are trained. */
  readonly trained: number
  /** The same as a text with a line for each tensor. */
  readonly table: string
}

/**
 * Says of every tensor whether it is trained, by which adapter, and why: what the next training step would change.
 *
 * @example console.log(report(model).table)
 */
export function report(model: Model): Report {
  const adapters = adaptersOf(model)
  const tensors = [
    ...[...model.parts.params].map(([name, weight]) => ofBase(name, weight, model.attached.enabled)),
    ...adapters.flatMap((adapter) => [
      ...Object.entries(adapter.trainable).map(([name, tensor]) => ofTrained(name, tensor, adapter, model.attached.enabled)),
      ...Object.entries(adapter.frozen).map(([name, tensor]) =>
        row(name, tensor, adapter.name, 'frozen', adapter.brought.includes(name) ? 'came with the adapter' : 'the method keeps it as it is')),
    ]),
  ]
  const trained = tensors.reduce((sum, { state, size }) => sum + (state === 'trained' ? size : 0), 0)
  return { tensors, trained, table: tableOf(tensors, trained) }
}

function ofBase(name: string, weight: Sized, enabled: readonly Adapter[]): TensorReport {
  const copied = enabled.find((adapter) => replacedNames(adapter).has(name))
  return copied === undefined
    ? row(name, weight, undefined, 'frozen', 'part of the base')
    : row(name, weight, undefined, 'replaced', `the copy of '${copied.name}' is used`)
}

function ofTrained(name: string, tensor: Sized, of: Adapter, enabled: readonly Adapter[]): TensorReport {
  const { name: adapter, copies, context } = of
  if (!enabled.includes(of)) return row(name, tensor, adapter, 'frozen', 'its adapter is disabled')
  const why = !copies.includes(name) ? 'part of the method' : context.copies.includes(name) ? 'a copy the method trains' : 'a copy of a module trained in full'
  return row(name, tensor, adapter, 'trained', why)
}

function row(name: string, { shape, size }: Sized, adapter: string | undefined, state: TensorReport['state'], why: string): TensorReport {
  return { name, shape, size, adapter, state, why }
}

function tableOf(tensors: readonly TensorReport[], trained: number): string {
  const lines = tensors.map(({ name, shape, adapter, state, why }) => [state, adapter ?? '', name, `[${shape.join(', ')}]`, why])
  const rows = [['state', 'adapter', 'tensor', 'shape', 'why'], ...lines]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? []
  const text = rows.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
  const all = tensors.reduce((sum, { size, state }) => sum + (state === 'replaced' ? 0 : size), 0)
  return [...text, `${trained} of ${all} elements in use are trained`].join('\n')
}
