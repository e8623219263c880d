// LoftQ: a LoRA on a quantised base that starts as what the rounding took away.
//
//   W ≈ Q(W) + s · B A,  with B A the best of its rank for (W − Q(W)) / s, from the singular value decomposition
//
// Li et al. 2023, arXiv:2310.08659, with one round: the base stays as it is, as in PEFT's replace_lora_weights_loftq. PEFT leaves s out there, so
// that only alpha = rank takes away what was meant.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D, Variable } from '@tensorflow/tfjs-core'
import type { Adapter } from './base/adapter/adapter.ts'
import { isUntrained } from './base/adapter/as-attached.ts'
import { tensorsAt } from './base/adapter/attached.ts'
import { checkKind } from './base/awaited.ts'
import { openCheckpoint } from './base/checkpoint/checkpoint.ts'
import { plainWeights } from './base/checkpoint/load.ts'
import type { FrozenWeight } from './base/engine/frozen-weight.ts'
import { read } from './base/engine/read.ts'
import { resolveSource } from './base/hub/download.ts'
import { HUB_OPTIONS, type HubOptions } from './base/hub/options.ts'
import { checkNames, type Names } from './base/options.ts'
import { firstColumns, svd } from './base/ops/svd.ts'
import type { LinearSite } from './base/sites.ts'
import { InputError } from './errors.ts'

/** What `startFromLoftQ` takes. */
export interface LoftQOptions extends HubOptions {
  /** The model in its own numbers: a folder or a Hub id. @default where the adapter's base was loaded from */
  readonly source?: string
}

/** What LoftQ did to one module: the size of W − Q(W) − s · B A by that of W, before and after, as Frobenius norms. */
export interface LoftQStart {
  readonly module: string
  readonly before: number
  readonly after: number
}

const NAMES: Names<LoftQOptions> = { ...HUB_OPTIONS, source: true }

/**
 * Lets a LoRA on a quantised base start as what quantising took away, as far as its rank reaches: the adapted model is nearer to the one in full
 * precision than the base is. The base stays as it is; modules that are not quantised keep their start. Reads the model's own numbers one tensor
 * at a time. For an adapter that is not trained yet. Source: Li et al. 2023, arXiv:2310.08659, with one round
 *
 * @returns how near each module is to its own weight, before and after
 * @throws InputError where the adapter is no plain LoRA, is trained or none of its modules is quantised, CheckpointError where the files are quantised themselves
 * @example
 * const model = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { dtype: 'nf4' })
 * const adapter = attach(model, lora({ rank: 16, alpha: 16 }))
 * for (const { module, before, after } of await startFromLoftQ(adapter)) console.log(module, before, after)
 */
export async function startFromLoftQ(adapter: Adapter, options: LoftQOptions = {}): Promise<LoftQStart[]> {
  checkNames('startFromLoftQ', options, NAMES)
  checkKind('adapter', adapter)
  if (!isUntrained(adapter)) throw new InputError(`startFromLoftQ: it would write over what '${adapter.name}' has learned: expected an adapter that nobody has trained. Call it once, right after attach(…).`)
  const { model } = adapter
  const sites = quantisedSites(adapter)
  const folder = options.source === undefined ? model.parts.folder : await resolveSource(options.source, options)
  const checkpoint = await openCheckpoint(folder)
  try {
    const weightOf = await plainWeights(checkpoint, model)
    const starts: LoftQStart[] = []
    for (const site of sites) starts.push(await startAt(adapter, site, await weightOf(site.weight)))
    return starts
  } finally {
    await checkpoint.close()
  }
}

function quantisedSites(adapter: Adapter): readonly LinearSite[] {
  const { method, model, sites } = adapter
  const quantised = sites.filter((site): site is LinearSite => site.kind === 'linear' && model.parts.params.get(site.weight)?.packed !== undefined)
  if (method.name !== 'lora' || quantised.some((site) => 'A0' in tensorsAt(adapter, site))) {
    throw new InputError(`startFromLoftQ: expected a LoRA that starts plainly, init 'kaiming' or 'gaussian', got ${method.name === 'lora' ? 'one that starts from the weight' : method.name}.`)
  }
  if (quantised.length === 0) throw new InputError("startFromLoftQ: expected an adapter with modules whose weights are quantised, it has none. Load the model with dtype 'nf4' or 'int8'.")
  return quantised
}

/** @param plain the weight in its own numbers, which is disposed */
async function startAt(adapter: Adapter, site: LinearSite, plain: FrozenWeight): Promise<LoftQStart> {
  const own = tensorsAt(adapter, site) as { readonly A: Variable; readonly B: Variable }
  const scale = adapter.method.lowRank?.(site, own).scale ?? NaN
  const quantised = adapter.model.parts.params.get(site.weight)
  const numbers = await read(() => {
    const weight = plain.float32()
    const rest = tf.sub<Tensor2D>(weight, quantised?.float32() as Tensor2D)
    const { u, s, v } = svd(rest)
    const rank = own.A.shape[0]
    const roots = tf.sqrt(tf.div(tf.slice(s, 0, rank), Math.abs(scale)))
    own.A.assign(tf.transpose(tf.mul(firstColumns(v, rank), roots)))
    own.B.assign(tf.mul(firstColumns(u, rank), tf.mul(roots, Math.sign(scale))))
    const after = tf.sub(rest, tf.mul(tf.matMul(own.B as unknown as Tensor2D, own.A as unknown as Tensor2D), scale))
    return tf.stack([rest, after].map((each) => tf.div(tf.norm(each), tf.norm(weight))))
  }).finally(() => { plain.dispose() })
  return { module: site.name, before: numbers[0] ?? NaN, after: numbers[1] ?? NaN }
}
