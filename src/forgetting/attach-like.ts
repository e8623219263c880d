import type { Tensor } from '@tensorflow/tfjs-core'
import { attachTensors } from '../base/adapter/attach.ts'
import { skipLayers } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { NamedTensor } from '../base/adapter/file-format.ts'
import type { Tensors } from './records.ts'
import { checkNames, type Names } from '../base/options.ts'

/** How an adapter that is made of others is attached. */
export interface NewAdapterOptions {
  /** Name of the new adapter. */
  readonly name: string
  /** The new adapter takes part in the forward pass at once, beside those it was made of. @default false */
  readonly enabled?: boolean
}

export const NEW_ADAPTER_OPTIONS: Names<NewAdapterOptions> = { name: true, enabled: true }

/**
 * Attaches an adapter of the same method, options and places as another, with tensors of its own: what `averageTensors`
 * or `interpolateTensors` made of the tensors of several.
 *
 * @param tensors by the names in `adapter.trainable`, and `adapter.frozen` where those differ from their start; copied
 * @throws CheckpointError naming every tensor that is missing, unexpected or of another shape; InputError when the name is taken
 * @example
 * const [a, b] = ['a', 'b'].map((name) => adapterNamed(model, name).trainable)
 * if (a !== undefined && b !== undefined) attachLike(adapter, interpolateTensors(a, b, 0.5), { name: 'between' })
 */
export function attachLike(adapter: Adapter, tensors: Tensors, options: NewAdapterOptions): Adapter {
  checkNames('attachLike', options, NEW_ADAPTER_OPTIONS)
  const { name, enabled = false } = options
  const { model, method, copies, context, origin, skipped, ties, labels, problem } = adapter
  const train = copies.filter((full) => !context.copies.includes(full))
  const brought = adapter.brought.map((full) => [full, adapter.frozen[full] as Tensor] as const) // names of frozen
  const named = new Map([...brought, ...Object.entries(tensors)].map(([full, tensor]) => [full, valuesOf(tensor)]))
  const made = attachTensors(model, method, () => named, { name, train, enabled, origin, ties, labels, ...(problem === undefined ? {} : { problemType: problem }) })
  if (skipped.length > 0) skipLayers(made, skipped)
  return made
}

function valuesOf(tensor: Tensor): NamedTensor {
  return { shape: tensor.shape, values: tensor.dataSync() as Float32Array }
}
