import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Adapter } from './adapter.ts'
import { sameClasses } from './classes.ts'
import type { SiteTensors } from '../method.ts'
import type { Model, Wiring } from '../model.ts'
import type { Ties } from '../ties.ts'
import { paramOf } from '../parameters.ts'
import { layerOf, type Grouped, type Join, type Sequence, type Site, type ParamOf } from '../sites.ts'
import { tableOf, vocabSizeOf } from './vocabulary.ts'
import type { Around } from '../pass.ts'
import type { AttentionCall } from '../ops/attention-call.ts'

/** What wiring needs to know of an adapter. */
export interface Wired extends Pick<Adapter, 'name' | 'method' | 'context' | 'trainable' | 'frozen' | 'copies' | 'brought' | 'ties' | 'skipped' | 'labels' | 'problem'> {
  readonly tensors: ReadonlyMap<Site, SiteTensors>
}

/**
 * Folds the steps of adapters, the last the outermost, into one function a site, so that a pass does one look-up there.
 *
 * @throws InputError naming every place that two of them cannot share
 */
export function wiringOf(model: Model, adapters: readonly Wired[]): Wiring {
  const handlers = {
    linear: new Map<string, Around<Tensor2D, Tensor2D>>(),
    experts: new Map<string, Around<Grouped, Tensor2D>>(),
    embedding: new Map<string, Around<Tensor1D, Tensor2D>>(),
    attention: new Map<string, Around<AttentionCall, Tensor4D>>(),
    residual: new Map<string, Around<Join, Tensor2D>>(),
    sequence: new Map<string, Around<Sequence, Sequence>>(),
  }
  const replacements = new Map<string, Tensor>()
  const param: ParamOf = (name) => replacements.get(name) ?? paramOf(model, name)
  const problems: string[] = []
  for (const adapter of adapters) {
    const { name, method, tensors, skipped } = adapter
    for (const [site, own] of tensors) {
      if (skipped.includes(layerOf(site.name) ?? -1)) continue
      if (method.innermost === true && handlers[site.kind].has(site.name)) {
        problems.push(`${method.name} adapter '${name}' rescales the model's own weight at '${site.name}', where another adapter is attached before it`)
      }
      if (site.kind === 'linear') put(handlers.linear, site.name, method.linear?.(site, own, param))
      else if (site.kind === 'experts') put(handlers.experts, site.name, method.experts?.(site, own))
      else if (site.kind === 'embedding') put(handlers.embedding, site.name, method.embedding?.(site, own, param))
      else if (site.kind === 'attention') put(handlers.attention, site.name, method.attention?.(site, own))
      else if (site.kind === 'residual') put(handlers.residual, site.name, method.residual?.(site, own))
      else put(handlers.sequence, site.name, method.sequence?.(site, own))
    }
    for (const { site, owner } of adapter.context.followers) {
      const own = tensors.get(owner) ?? {}
      if (site.kind === 'linear') put(handlers.linear, site.name, method.tied?.(site, owner, own))
      else put(handlers.embedding, site.name, method.embedding?.(owner, own, param))
    }
    for (const [replaced, tensor] of replacementsOf(adapter)) {
      const other = adapters.find((each) => replacementsOf(each).has(replaced))
      if (other !== undefined && other.name !== name) problems.push(`'${other.name}' and '${name}' both replace ${replaced}`)
      replacements.set(replaced, tensor)
    }
  }
  const vocabSize = replacements.get(tableOf(model.parts.sites) ?? '')?.shape[0] ?? vocabSizeOf(model.parts)
  const own = adapters.find((adapter) => !sameClasses(adapter, model.parts)) // of several, each replaces the head
  const classes = own === undefined ? {} : { classes: { labels: own.labels, problem: own.problem } }
  const seesPadding = adapters.some(({ method: { seesPadding, attention, sequence } }) => seesPadding ?? (attention !== undefined || sequence !== undefined))
  if (problems.length === 0) return { handlers, replacements, vocabSize, seesPadding, ...classes }
  throw new InputError('These adapters cannot be enabled together; attach with { enabled: false }, then setActive one of them:', problems)
}

/** Which of an adapter's tensors stand in the place of parameters of the model: name of the parameter to name of the tensor. */
export function replacedNames({ copies, brought, ties, context }: Pick<Adapter, 'copies' | 'brought' | 'ties' | 'context'>): ReadonlyMap<string, string> {
  const also = (names: readonly string[], tied: Ties): (readonly [string, string])[] =>
    [...tied].flatMap(([place, kept]) => (names.includes(kept) ? [[place, kept] as const] : []))
  const own = (names: readonly string[]): (readonly [string, string])[] => names.map((name) => [name, name] as const)
  return new Map([...also(brought, context.ties), ...own(brought), ...also(copies, ties), ...own(copies)]) // the later counts
}

/** What an adapter puts in the place of the model's parameters. */
export function replacementsOf(adapter: Pick<Adapter, 'copies' | 'trainable' | 'frozen' | 'brought' | 'ties' | 'context'>): ReadonlyMap<string, Tensor> {
  const tensors: Readonly<Record<string, Tensor>> = { ...adapter.frozen, ...adapter.trainable }
  return new Map([...replacedNames(adapter)].map(([place, name]) => [place, tensors[name] as Tensor])) // each is one of the two
}

function put<In, Out>(steps: Map<string, Around<In, Out>>, name: string, step: Around<In, Out> | undefined): void {
  if (step === undefined) return
  const inner = steps.get(name)
  steps.set(
    name,
    inner === undefined ? step : (input, next, pass) => step(input, (through) => inner(through, next, pass), pass),
  )
}
