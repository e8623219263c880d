import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../../errors.ts'
import { tensorsAt, viewWith } from './attached.ts'
import type { Adapter } from './adapter.ts'
import { printOf } from './merged.ts'
import { checkAwaited, checkKind } from '../awaited.ts'
import { inFloat32, type FrozenWeight, type WeightDtype, type WeightKind } from '../engine/frozen-weight.ts'
import { withoutRounding } from '../engine/rounded-rows.ts'
import { checkDtype, weightKind } from '../engine/weight-kinds.ts'
import { tidied } from '../engine/tidied.ts'
import { checkAlive, type Model } from '../model.ts'
import { storedOf } from '../parameters.ts'
import { int, normal, randomStream } from '../random.ts'
import type { EmbeddingSite, ExpertsSite, LinearSite, Site } from '../sites.ts'
import { replacementsOf } from './wiring.ts'
import { rounded, withParams } from './with-params.ts'
import { checkNames } from '../options.ts'
import { warnOfStep } from '../underway.ts'

/** What `merge` takes. */
export interface MergeOptions {
  /**
   * Of a quantised model: how the merged one holds its weights. 'int8' and 'nf4' quantise again what changed, and `parts.notes` says what
   * that cost.
   * @default 'float32' where the model is quantised, exact to what it computed with; else as the model does
   */
  readonly dtype?: WeightDtype
  /** Runs both models on a small batch and compares. @default true */
  readonly verify?: boolean
}

/**
 * A new model with adapters folded into its weights, in the order they were attached. The old model and the adapters
 * stay as they are; parameters that did not change are shared, and each model can be disposed by itself. Of a base in
 * bfloat16 the changed weights are summed in float32 and rounded once; of a quantised one the merged model is in float32, see `dtype`. Where a head is the table of the words and an adapter
 * changes one of the two, the merged model has two tensors; `parts.notes` says so.
 *
 * @throws InputError when a method cannot be folded into weights, the adapters cannot stand side by side, or the merged
 *   model does not compute what the adapted one does
 * @example const merged = merge(model, adapter)
 */
export function merge(model: Model, adapters: Adapter | readonly Adapter[], options: MergeOptions = {}): Model {
  checkNames('merge', options, { verify: true, dtype: true })
  const { verify = true, dtype } = options
  checkDtype('merge', dtype)
  checkKind('model', model)
  checkAwaited('adapter', adapters)
  checkAlive(model, 'merge')
  if (typeof adapters !== 'object') throw new InputError(`merge: expected an adapter, or a list of them, got ${shown(adapters)}; by its name adapterNamed(model, 'spam') finds one.`)
  const chosen = 'model' in adapters ? [adapters] : adapters
  if (chosen.some(({ enabled }) => enabled)) warnOfStep('merge', model)
  const adapted = viewWith(model, chosen) // throws where they are another model's, or cannot stand side by side
  if (dtype !== undefined && ![...model.parts.params.values()].some(({ kind }) => kindAfter(kind, dtype).name === dtype)) {
    throw new InputError(`merge: dtype: expected none for a model that is not quantised, got '${dtype}'. Save the merged model, and load it so: loadModel(folder, { dtype: '${dtype}' }).`)
  }
  const merged = fold(model, adapted)
  if (verify) withoutRounding(() => { check(adapted, merged) })
  return rounded(merged, model, (kind) => kindAfter(kind, dtype))
}

/** What is quantised is held as asked for, what is not stays as it is. */
function kindAfter(kind: WeightKind, dtype: WeightDtype | undefined): WeightKind {
  if (kind.name === 'float32' || kind.name === 'bfloat16') return dtype === 'float32' ? weightKind(dtype) : kind
  return dtype === kind.name ? kind : weightKind(dtype ?? 'float32')
}

function fold(model: Model, { attached: { enabled: adapters }, labels, problem }: Model): Model {
  const changed = new Map<string, Tensor>()
  const held = (name: string): FrozenWeight | Tensor => changed.get(name) ?? storedOf(model, name)
  const now = (name: string): Tensor => inFloat32(held(name))
  return tidied(() => {
    for (const adapter of adapters) for (const [name, tensor] of replacementsOf(adapter)) changed.set(name, tensor)
    for (const adapter of adapters) {
      for (const site of adapter.sites) {
        const { merge: foldIn, name: method } = adapter.method
        if (!hasWeight(site) || foldIn === undefined) {
          throw new InputError(`merge: ${method} at '${site.name}' cannot be folded into a weight.`)
        }
        const biasName = site.kind === 'linear' ? site.bias : undefined
        const before = {
          weight: now(site.weight) as Tensor2D,
          bias: biasName === undefined ? undefined : (now(biasName) as Tensor1D),
        }
        const followers = adapter.context.followers.filter(({ owner }) => owner === site).map((follower) => follower.site)
        const alike = followers.filter(({ weight }) => held(weight) === held(site.weight))
        const after = foldIn(site, before, tensorsAt(adapter, site))
        changed.set(site.weight, after.weight)
        for (const follower of followers) {
          const sum = (): Tensor => tf.add(now(follower.weight), tf.sub(after.weight, before.weight))
          changed.set(follower.weight, alike.includes(follower) ? after.weight : sum())
        }
        if (biasName !== undefined && after.bias !== undefined && after.bias !== before.bias) changed.set(biasName, after.bias)
      }
    }
    const merged = [...(model.parts.merged ?? []), ...adapters.map((adapter) => ({ print: printOf(adapter), inFiles: false }))]
    return withParams(model, changed, { labels, problem }, merged)
  })
}

function hasWeight(site: Site): site is LinearSite | ExpertsSite | EmbeddingSite {
  return 'weight' in site
}

// Folding changes the order of float32 sums; 12 layers move logits by some 1e-5 of their size. A wrong weight moves them
// by far more.
const TOLERANCE = 1e-3

function check(model: Model, merged: Model): void {
  const example = model.parts.architecture.example() // of so few rows that products with bfloat16 weights do not round them
  const stream = randomStream(0, 'merge')
  const { vocabSize = 1 } = model.limits ?? {}
  const { ids, decoderIds, pixels } = example
  const probe = {
    ...example,
    ...(ids === undefined ? {} : { ids: ids.map((id, i) => (i < ids.length - 1 ? int(stream, vocabSize) : id)) }),
    ...(decoderIds === undefined ? {} : { decoderIds: decoderIds.map(() => int(stream, vocabSize)) }),
    ...(pixels === undefined ? {} : { pixels: normal(stream, pixels.length, 0, 1) }),
  }
  const [difference = NaN, size = NaN] = tf.tidy(() => {
    const expected = model.forward(probe)
    const got = merged.forward(probe)
    return [tf.max(tf.abs(tf.sub(got, expected))), tf.max(tf.abs(expected))].map((scalar) => scalar.dataSync()[0])
  })
  if (difference <= TOLERANCE * Math.max(1, size)) return
  merged.dispose()
  throw new InputError(
    `merge: the merged model does not compute what the adapted one does: outputs of up to ${size} differ by ${difference}. ` +
      'Are the adapter\'s tensors finite? { verify: false } gives the merged model all the same.',
  )
}
