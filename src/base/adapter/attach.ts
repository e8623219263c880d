import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { CheckpointError, InputError } from '../../errors.ts'
import type { Adapter, Attachment, Origin } from './adapter.ts'
import { add, checkName } from './attached.ts'
import { checkKind } from '../awaited.ts'
import { classParams, ownClasses, type ClassOptions } from './classes.ts'
import type { Init, Method, SiteTensors } from '../method.ts'
import { tidied } from '../engine/tidied.ts'
import { checkAlive, checkNotTrained, filesOf, type Model } from '../model.ts'
import { plan, type Copy, type Plan, type Shared } from './plan.ts'
import type { Site } from '../sites.ts'
import { summarize } from './summary.ts'
import { sameValues, type Ties } from '../ties.ts'
import type { NamedTensors, FormatContext } from './file-format.ts'
import { sortBase, vocabSizeOf, wordProblems, wordsOf } from './vocabulary.ts'
import { replacedNames } from './wiring.ts'
import { isUntrained, noteStarts } from './as-attached.ts'
import { checkNames, type Names } from '../options.ts'
import { isUnderway, warnOfStep } from '../underway.ts'

/** What `attach` takes beside the method. */
export interface AttachOptions extends ClassOptions {
  /** @default 'default' */
  readonly name?: string
  /** Seed of the initial values. @default 0 */
  readonly seed?: number
  /**
   * Modules of the model, whole paths or their ends, that are trained in full beside the method. What is one tensor in the
   * model stays one: of a head that is the table of the words, both move, whichever is named. @default the task's head
   */
  readonly train?: readonly string[]
  /** Takes part in the forward pass at once. @default true */
  readonly enabled?: boolean
}

export const ATTACH_OPTIONS: Names<AttachOptions> = { name: true, seed: true, train: true, enabled: true, labels: true, problemType: true }

/** What is known of an adapter that is put together from tensors. */
export interface AttachTensorsOptions extends AttachOptions {
  readonly origin?: Origin | ((context: FormatContext) => Origin)
  /** Parameters that are one tensor in the model and stay one in the adapter. @default as in the model */
  readonly ties?: Ties
  /** Tables of words as large as the model's may be others. @default false */
  readonly ownTables?: boolean
}

const MADE_HERE: Origin = { warnings: [], unknown: {} }

/**
 * Plugs a method into a model. The model's own parameters stay as they are; from now on its forward pass runs through
 * the adapter too. Several adapters can be attached; the last is the outermost.
 *
 * @throws TargetError when a target matches nothing; InputError when the options do not fit, the name is taken, an enabled
 *   adapter cannot stand beside it, or a training runs on the model
 * @example const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
 * @example
 * attach(model, lora(), { name: 'topic', labels: ['music', 'sport', 'science', 'travel', 'food'] }) // a head of its own
 * console.log((await predict(model, { ids: tokenizer.encode(texts).ids }, { adapter: 'topic' })).classes)
 */
export function attach(model: Model, method: Method, options: AttachOptions = {}): Adapter {
  checkNames('attach', options, ATTACH_OPTIONS)
  checkKind('model', model)
  const { seed = 0, train = model.parts.head.modules } = options
  if (typeof method === 'function') throw new InputError(`attach: expected a method, as lora() gives it, got the function; call it: ${(method as { name: string }).name}().`)
  checkAlive(model, 'attach')
  checkNotTrained(model, 'attach')
  const classes = ownClasses('attach', model, options)
  const adapter = tidied(() => plug(model, method, plan(model, method, { train, seed, fresh: true, ties: model.parts.ties, classes }), options))
  noteStarts(adapter)
  return adapter
}

/**
 * Plugs a method in with tensors from elsewhere in place of starting values: the way of `loadAdapter`.
 *
 * @param tensorsFor gives the tensors by this library's names; a frozen one that it does not give starts as it always does
 * @throws CheckpointError naming every tensor that is missing, unexpected or of another shape
 */
export function attachTensors(
  model: Model,
  method: Method,
  tensorsFor: (context: FormatContext) => NamedTensors,
  options: AttachTensorsOptions = {},
): Adapter {
  checkAlive(model, 'loadAdapter')
  return tidied(() => plugTensors(model, method, tensorsFor, options))
}

function plugTensors(model: Model, method: Method, tensorsFor: (context: FormatContext) => NamedTensors, options: AttachTensorsOptions): Adapter {
  const { seed = 0, train = [], ties = model.parts.ties, origin, ownTables = false, ...rest } = options
  const classes = ownClasses('loadAdapter', model, rest)
  const planFor = (words: number, tables: NamedTensors): Plan => plan(model, method, { train, seed, fresh: false, ties, words, tables, classes })
  const first = planFor(vocabSizeOf(model.parts), new Map())
  const named = underOwnNames(model, first, tensorsFor(first.context))
  const { own: given, base, problems: others } = sortBase(model, named.tensors, { isTrained: (name) => first.specs.has(name), ownTables })
  const words = wordsOf(model, given, base)
  const planned = words === first.words && base.size === 0 ? first : planFor(words, base)
  const brought = new Map([...base].flatMap(([name, tensor]) => {
    const place = [name, ...[...model.parts.ties].flatMap(([tied, kept]) => (kept === name ? [tied] : []))]
      .find((each) => !planned.specs.has(ties.get(each) ?? each))
    return place === undefined ? [] : [[place, { ...tensor, frozen: true }] as const]
  }))
  const problems = [...named.problems, ...others]
  for (const key of given.keys()) if (!planned.specs.has(key)) problems.push(`unexpected: ${key}`)
  const specs = new Map<string, Init | Copy | Shared>(brought)
  for (const [key, spec] of planned.specs) {
    const tensor = given.get(key)
    if (tensor === undefined) {
      if (isFrozen(spec)) specs.set(key, spec)
      else problems.push(`missing: ${key} [${spec.shape.join(', ')}]`)
    } else if (tensor.shape.join() !== spec.shape.join()) {
      problems.push(`${key}: expected [${spec.shape.join(', ')}], the file has [${tensor.shape.join(', ')}]${classParams(model.parts).includes(key) ? `; give the adapter its own classes, loadAdapter(model, source, { labels }) with ${tensor.shape[0]} names` : ''}`)
    } else specs.set(key, { shape: spec.shape, values: tensor.values, frozen: isFrozen(spec) })
  }
  const all = { ...planned, specs, brought: [...brought.keys()] }
  problems.push(...wordProblems(model, words, replacedNames(all)))
  if (problems.length > 0) throw new CheckpointError('The adapter does not fit the model:', problems)
  const from = typeof origin === 'function' ? origin(planned.context) : origin
  return plug(model, method, all, { ...rest, ...(from === undefined ? {} : { origin: from }) })
}

/** What a file has under two names stands under the one that the adapter has it by. */
function underOwnNames({ parts }: Model, { specs, ties }: Plan, given: NamedTensors): { readonly tensors: NamedTensors; readonly problems: string[] } {
  const tensors = new Map(given)
  const problems: string[] = []
  for (const [other, own] of [...ties, ...Object.entries(parts.architecture.keys.alsoCalled ?? {})]) {
    const [tensor, kept] = [tensors.get(other), tensors.get(own)]
    if (tensor === undefined || specs.has(other) || !specs.has(own)) continue
    tensors.delete(other)
    if (kept === undefined) tensors.set(own, tensor)
    else if (ties.has(other) && !sameValues(tensor.values, kept.values)) {
      problems.push(`${other} and ${own} are one tensor (ensure_weight_tying), but differ in the file`)
    }
  }
  return { tensors, problems }
}

/** Makes the tensors of a plan, and attaches them. */
export function plug(
  model: Model,
  method: Method,
  { context, specs, copies, ties, brought, words, classes = model.parts }: Plan,
  { name = 'default', enabled = true, origin = MADE_HERE }: AttachOptions & { readonly origin?: Origin },
): Adapter {
  checkName(model, name)
  const trainable: Record<string, Variable> = {}
  const frozen: Record<string, Tensor> = {}
  for (const [full, init] of specs) {
    if ('trained' in init) trainable[full] = init.trained
    else if ('kept' in init) frozen[full] = init.kept
    else if (isFrozen(init)) frozen[full] = tf.tidy(() => tf.keep(tensorOf(init)))
    else trainable[full] = tf.tidy(() => tf.variable(tensorOf(init))) // anonymous: tfjs has one table of names
  }
  const { sites } = context
  const { labels, problem } = classes
  const tensors = bySite(sites, { ...frozen, ...trainable })
  const adapter: Attachment = {
    name, model, method, sites, trainable, frozen, copies, ties, brought, words, labels, problem, context, tensors, origin, skipped: [],
    get enabled() { return model.attached.enabled.includes(adapter) },
    summary: () => summarize(adapter),
    save: (folder) => {
      if (adapter.enabled) warnOfStep(`save of '${adapter.name}'`, model)
      if (isUntrained(adapter) && !isUnderway(model)) console.warn(`save of '${name}': nothing of it was trained. Write \`await trainer.fit()\` before, or go through \`for await (const event of trainer.run())\`.`)
      return filesOf(model, 'save').saveAdapter(adapter, folder)
    },
  }
  try {
    add(adapter, { enabled })
  } catch (error) {
    for (const [full, init] of specs) if (!('trained' in init || 'kept' in init)) tf.dispose([trainable[full], frozen[full]])
    throw error
  }
  return adapter
}

/** Which of an adapter's tensors each site is given. */
function bySite(sites: readonly Site[], tensors: Readonly<Record<string, Tensor>>): Map<Site, SiteTensors> {
  const shared = Object.entries(tensors).filter(([full]) => !full.includes('.'))
  return new Map(
    sites.map((site) => {
      const prefix = `${site.name}.`
      const own = Object.entries(tensors).filter(([full]) => full.startsWith(prefix) && !full.slice(prefix.length).includes('.'))
      return [site, Object.fromEntries([...shared, ...own.map(([full, tensor]) => [full.slice(prefix.length), tensor] as const)])]
    }),
  )
}

function isFrozen(spec: Init | Copy | Shared): boolean {
  return 'frozen' in spec && spec.frozen
}

/** A copy: training changes it in place, and a clone would share the memory of what it is cloned from, the runtime that of an array. */
function tensorOf(spec: Init | Copy): Tensor {
  const from = 'copyOf' in spec ? spec.copyOf.float32() : spec.values
  return from instanceof tf.Tensor ? tf.mul(from, 1) : tf.tensor(from.slice(), [...spec.shape], 'float32')
}
