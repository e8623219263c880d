import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { Adapter } from './attach.ts'
import { inFloat32 } from './bfloat16.ts'
import type { Own, ParamOf } from './method.ts'
import type { Model, Wiring } from './model.ts'
import type { AttentionCall } from './ops/attention.ts'
import { storedOf } from './plan.ts'
import { layerOf, type Around, type Join, type Sequence, type Site } from './sites.ts'

/** What wiring needs to know of an adapter. */
export interface Wired extends Pick<Adapter, 'name' | 'method' | 'trainable' | 'copies' | 'ties' | 'skipped'> {
  readonly owned: ReadonlyMap<Site, Own>
}

/**
 * Folds the steps of adapters, the last the outermost, into one function a site, so that a pass does one look-up there.
 *
 * @throws InputError naming every place that two of them cannot share
 */
export function wiringOf(model: Model, adapters: readonly Wired[]): Wiring {
  const handlers = {
    linear: new Map<string, Around<Tensor2D, Tensor2D>>(),
    embedding: new Map<string, Around<Tensor1D, Tensor2D>>(),
    attention: new Map<string, Around<AttentionCall, Tensor4D>>(),
    residual: new Map<string, Around<Join, Tensor2D>>(),
    sequence: new Map<string, Around<Sequence, Sequence>>(),
  }
  const overlay = new Map<string, Tensor>()
  const param: ParamOf = (name) => inFloat32(overlay.get(name) ?? storedOf(model, name))
  const problems: string[] = []
  for (const adapter of adapters) {
    const { name, method, owned, skipped } = adapter
    for (const [site, own] of owned) {
      if (skipped.includes(layerOf(site.name) ?? -1)) continue
      if (method.innermost === true && handlers[site.kind].has(site.name)) {
        problems.push(`${method.wire.type} adapter '${name}' rescales the model's own weight at '${site.name}', where another adapter is attached before it`)
      }
      if (site.kind === 'linear') put(handlers.linear, site.name, method.linear?.(site, own, param))
      else if (site.kind === 'embedding') put(handlers.embedding, site.name, method.embedding?.(site, own, param))
      else if (site.kind === 'attention') put(handlers.attention, site.name, method.attention?.(site, own))
      else if (site.kind === 'residual') put(handlers.residual, site.name, method.residual?.(site, own))
      else put(handlers.sequence, site.name, method.sequence?.(site, own))
    }
    for (const [replaced, tensor] of replacements(adapter)) {
      const other = adapters.find((each) => replacements(each).has(replaced))
      if (other !== undefined && other.name !== name) problems.push(`'${other.name}' and '${name}' both replace ${replaced}`)
      overlay.set(replaced, tensor)
    }
  }
  if (problems.length === 0) return { handlers, overlay }
  throw new InputError('These adapters cannot be enabled together; attach with { enabled: false }, then setActive one of them:', problems)
}

/** What an adapter puts in the place of the model's parameters. */
export function replacements({ copies, trainable, ties }: Pick<Adapter, 'copies' | 'trainable' | 'ties'>): ReadonlyMap<string, Tensor> {
  const own = copies.map((name) => [name, trainable[name] as Tensor] as const) // copies are keys of trainable
  const tied = [...ties].flatMap(([name, kept]) => own.filter(([copy]) => copy === kept).map(([, tensor]) => [name, tensor] as const))
  return new Map([...own, ...tied])
}

function put<In, Out>(steps: Map<string, Around<In, Out>>, name: string, step: Around<In, Out> | undefined): void {
  if (step === undefined) return
  const inner = steps.get(name)
  steps.set(
    name,
    inner === undefined ? step : (input, next, pass) => step(input, (through) => inner(through, next, pass), pass),
  )
}
