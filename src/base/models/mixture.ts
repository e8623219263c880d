// Mixtures of experts in place of a feed-forward part. Jiang et al. 2024, arXiv:2401.04088; Fedus et al. 2021, arXiv:2101.03961
//
// A router gives each token a score for each expert; the token goes through the few with the largest, whose outputs are added by their
// weights.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Scalar, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Encoded } from '../architecture.ts'
import { sharedByBatch } from '../autodiff/tape.ts'
import { gatedHalves } from '../ops/activation.ts'
import { times } from '../ops/algebra.ts'
import { balanceLoss, collect, dispatch, expertWeights, groupsOf, largest } from '../ops/experts.ts'
import type { Pass } from '../pass.ts'
import type { ExpertsOptions } from '../pass-options.ts'
import type { Range, SectionReader } from '../settings.ts'
import { named } from './settings.ts'

export interface Mixture {
  /** Experts, and how many of them a token goes through. */
  readonly count: number
  readonly each: number
  /** Width of an expert's middle. */
  readonly size: number
  /** Weights are shares among the chosen experts, or among all. */
  readonly among: 'chosen' | 'all'
  /** The product that chooses experts. @default gate, without a bias */
  readonly router?: { readonly name: string; readonly bias: boolean }
  /** What checkpoints call the matrices of an expert. @default they hold stacks */
  readonly pieces?: { readonly gate: string; readonly up: string; readonly down: string }
  /** How stacks are held. @default as products take them, without biases */
  readonly stacks?: Pick<ExpertsOptions, 'transposed' | 'bias'>
  /** From an expert's gates and ups, (S, 2 · size), to its middle, (S, size). */
  readonly middle: (both: Tensor2D) => Tensor2D
  /** How much the balance of the experts counts beside a language model's loss; not at all where undefined. */
  readonly balance: number | undefined
}

/** What a layer's router said. */
export interface Routed {
  readonly logits: Tensor2D
  readonly chosen: Tensor2D
}

/** Gates that come before the ups. */
export function gatedBy(activation: string): Mixture['middle'] {
  return (both) => gatedHalves(activation, both)
}

/** Settings that all such families have. */
export function readMixture(read: SectionReader, size: Range, { experts, each }: { readonly experts: number; readonly each: number }): Pick<Mixture, 'count' | 'each' | 'balance'> {
  const count = read.integer(named(read, 'num_experts', 'num_local_experts'), { ...size, fallback: experts })
  const chosen = read.integer('num_experts_per_tok', { min: 1, fallback: each })
  read.check(chosen <= count, `num_experts_per_tok: expected at most the ${count} experts, got ${chosen}`, ['num_experts', 'num_local_experts', 'num_experts_per_tok'])
  const balance = read.number('router_aux_loss_coef', { fallback: 0.001 })
  return { count, each: chosen, balance: read.flag('output_router_logits', false) ? balance : undefined }
}

/** @param note is told what the router said */
export function mixture(pass: Pass, config: Mixture, x: Tensor2D, note: (routed: Routed) => void): Tensor2D {
  const { count, each, among, router: { name, bias } = { name: 'gate', bias: false } } = config
  const logits = pass.linear(name, x, count, { role: 'router', bias })
  const chosen = largest(logits, each)
  note({ logits, chosen })
  return throughExperts(pass.at('experts'), config, x, { chosen, weights: expertWeights(logits, chosen, among) })
}

/** Where each token goes, and how much each of its experts counts, (N, K). */
interface Routes {
  readonly chosen: Tensor2D
  readonly weights: Tensor2D
}

/** Each token through its experts. */
export function throughExperts(
  experts: Pass, { count, size, pieces, stacks, middle }: Pick<Mixture, 'count' | 'size' | 'pieces' | 'stacks' | 'middle'>, x: Tensor2D, { chosen, weights }: Routes,
): Tensor2D {
  const stack = (...names: readonly string[]): ExpertsOptions => ({ count, ...stacks, ...(pieces === undefined ? {} : { pieces: names }) })
  return sharedByBatch(() => { // the rows of a text do not stay side by side
    const groups = groupsOf(chosen)
    const both = experts.experts('gate_up_proj', { rows: dispatch(x, groups), experts: groups.experts }, 2 * size, stack(pieces?.gate ?? '', pieces?.up ?? ''))
    const y = experts.experts('down_proj', { rows: middle(both), experts: groups.experts }, x.shape[1], stack(pieces?.down ?? ''))
    return collect(y, weights, groups)
  })
}

/**
 * Runs layers that note what their routers say.
 *
 * @param run gets what takes the notes
 * @throws InputError where layers run a second time in the backward pass, which has what the first noted no more, or may be left out
 */
export function balanced(pass: Pass, config: Mixture | undefined, run: (note: (routed: Routed) => void) => Encoded): Encoded {
  if (config?.balance === undefined) return run(() => undefined)
  if (pass.gradientCheckpointing) throw new InputError('gradientCheckpointing: expected false for a model whose config.json has output_router_logits: true: the balance of its experts is a part of the loss.')
  if (pass.keepsRows) throw new InputError('cacheFrozen: expected false for a model whose config.json has output_router_logits: true: the balance of the experts of all layers is a part of the loss.')
  const layers: Routed[] = []
  const note = ({ logits, chosen }: Routed): void => { layers.push({ logits: tf.keep(logits), chosen: tf.keep(chosen) }) } // a layer's end frees it
  try {
    const encoded = run(note)
    const whole = encoded.sequence.mask.size === encoded.rows.shape[0] // else rows are missing that a cache has: no loss is taken there
    return layers.length === 0 || !whole ? encoded : { ...encoded, balance: times(balanceOf(layers, encoded), config.balance) }
  } finally {
    for (const { logits, chosen } of layers) tf.dispose([logits, chosen])
  }
}

function balanceOf(layers: readonly Routed[], { sequence: { mask } }: Encoded): Scalar {
  return balanceLoss(layers, tf.reshape<Rank.R1>(mask, [mask.size]))
}
