import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { checkAwaited, checkKind } from '../awaited.ts'
import { nameInBody } from '../body.ts'
import { tidied } from '../engine/tidied.ts'
import { checkAlive, checkNotTrained, type Model, type ModelParts } from '../model.ts'
import { checkNames } from '../options.ts'
import type { Adapter } from './adapter.ts'
import { noteStarts } from './as-attached.ts'
import { ATTACH_OPTIONS, plug, type AttachOptions } from './attach.ts'
import { ownClasses } from './classes.ts'
import { plan, type Copy, type Plan, type Shared } from './plan.ts'
import { vocabSizeOf } from './vocabulary.ts'
import type { Init } from '../method.ts'

/**
 * Has an adapter in a second model of the same body, see `withHead`: what it trains in the body is one in both, so that both learn it and both have what the
 * other learned; the head that is trained with it is each model's own. The second one is an adapter like any other: it is trained, saved and loaded by
 * itself, in PEFT's files with the shared tensors and its head. A shared tensor is freed with the last adapter that has it.
 *
 * @param adapter of one model
 * @param model with another head on the same body
 * @param options as `attach` takes them, of what is not shared: `train` is what is trained in full beside it, by default the task's head
 * @throws InputError when the model's body is another, the adapter has no part in the body or brings its own words, or as `attach`
 * @example
 * const tagger = await withHead(model, { task: 'token-classification', labels: ['noun', 'verb', 'other'] })
 * const shared = shareAdapter(adapter, tagger)
 * detach(shared)
 * tagger.dispose()
 */
export function shareAdapter(adapter: Adapter, model: Model, options: AttachOptions = {}): Adapter {
  checkNames('shareAdapter', options, ATTACH_OPTIONS)
  checkAwaited('adapter', adapter)
  checkKind('model', model)
  checkAlive(model, 'shareAdapter')
  checkNotTrained(model, 'shareAdapter')
  const { model: first, method, words } = adapter
  if (!first.attached.adapters.some((other) => other === adapter)) throw new InputError(`shareAdapter: adapter '${adapter.name}' is not attached to its model any more.`)
  if (model.parts.architecture !== first.parts.architecture) throw new InputError(`shareAdapter: expected a model of the same body, as withHead(adapter.model, …) gives it, got ${model.parts.source} loaded by itself.`)
  if (words !== vocabSizeOf(model.parts)) throw new InputError(`shareAdapter: adapter '${adapter.name}' brings a vocabulary of ${words} tokens, the model has ${vocabSizeOf(model.parts)}.`)
  const { parts } = model
  const there = inBody(adapter, parts)
  const train = [...(options.train ?? parts.head.modules), ...adapter.copies.filter((name) => !adapter.context.copies.includes(name)).flatMap((name) => there.get(name) ?? [])]
  const classes = ownClasses('shareAdapter', model, options)
  const shared = tidied(() => {
    const planned = plan(model, method, { train: [...new Set(train)], seed: options.seed ?? 0, fresh: true, ties: adapter.ties, classes })
    return plug(model, method, { ...planned, specs: sharing(adapter, there, planned) }, options)
  })
  const own = Object.entries(shared.trainable).filter(([, variable]) => !Object.values(adapter.trainable).includes(variable))
  noteStarts({ trainable: Object.fromEntries(own), copies: shared.copies })
  return shared
}

/** What an adapter's tensors in the body are called in another model of it. */
function inBody({ trainable, frozen, model }: Adapter, parts: ModelParts): ReadonlyMap<string, string> {
  const ofHead = [...model.parts.head.modules, ...parts.head.modules]
  const isOfHead = (name: string): boolean => ofHead.some((module) => name.startsWith(`${module}.`))
  return new Map(Object.keys({ ...frozen, ...trainable }).flatMap((name) => {
    const there = name.includes('.') ? nameInBody(name, model.parts, parts) : name // what all sites share has no path
    return there === undefined || isOfHead(name) || isOfHead(there) ? [] : [[name, there] as const]
  }))
}

/** The plan with the adapter's tensors in their places. */
function sharing({ name, trainable, frozen }: Adapter, there: ReadonlyMap<string, string>, { specs }: Plan): Plan['specs'] {
  const all = new Map<string, Init | Copy | Shared>(specs)
  const problems: string[] = []
  for (const [own, full] of there) {
    const spec = specs.get(full)
    const trained = trainable[own]
    const tensor = trained ?? frozen[own] as Tensor // one of them
    if (spec === undefined) problems.push(`${full}: the model has no such place`)
    else if (spec.shape.join() !== tensor.shape.join()) problems.push(`${full}: expected [${spec.shape.join(', ')}], the adapter has [${tensor.shape.join(', ')}]`)
    else all.set(full, { shape: spec.shape, ...(trained === undefined ? { kept: tensor } : { trained }) })
  }
  if (there.size === 0) problems.push('it has no tensor in the body')
  if (problems.length > 0) throw new InputError(`shareAdapter: adapter '${name}' cannot be shared with this model; expected one of the same body, as withHead gives it:`, problems)
  return all
}
