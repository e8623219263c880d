// LoRA: a trained low-rank update beside a frozen weight.
//
//   y = W x + s · B A drop(x),  A (rank, in), B (out, rank), s = alpha / rank  (alpha / √rank with rank stabilisation)
//
// Hu et al. 2021, arXiv:2106.09685; rank stabilisation: Kalajdzievski 2023, arXiv:2312.03732

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { Method, Own } from '../base/method.ts'
import { add } from '../base/ops/algebra.ts'
import { lowRank } from '../base/ops/low-rank.ts'
import { kaimingUniform } from '../base/random.ts'
import type { Site } from '../base/sites.ts'
import { firstMatch, selectLinear, type Selection } from '../base/targets.ts'
import { loraWire } from './wire.ts'

/** Options of LoRA. Which modules it takes: `targets`, `exclude`, `layers`; query and value when none are named. */
export interface LoraOptions extends Selection {
  /** Rank of the update. @default 8 */
  readonly rank?: number
  /** Numerator of the update's scale. @default 8 */
  readonly alpha?: number
  /** Dropout on the update's input while training, in [0, 1). @default 0 */
  readonly dropout?: number
  /** Divides by √rank instead of rank, so that a large rank does not weaken the update. @default false */
  readonly rankStabilized?: boolean
  /** Other ranks for some modules: path end (or regular expression for it) to rank; the first that fits counts. */
  readonly rankPattern?: Readonly<Record<string, number>>
  /** Other alphas for some modules, likewise. */
  readonly alphaPattern?: Readonly<Record<string, number>>
}

/** LoRA's options with every default filled in. */
export type LoraConfig = Required<Omit<LoraOptions, keyof Selection>> & Selection

/**
 * Low-rank adaptation. A starts as U(±1/√in) and B as zeros, so the adapted model starts equal to the base.
 *
 * @throws InputError with everything that is wrong with the options
 * @example const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
 */
export function lora(options: LoraOptions = {}): Method {
  const config: LoraConfig = {
    rank: 8, alpha: 8, dropout: 0, rankStabilized: false, rankPattern: {}, alphaPattern: {}, ...options,
  }
  checkConfig(config)
  return {
    select: (sites) => selectLinear(sites, config, ['query', 'value', 'qkv']),
    init: (site, { draw }) => {
      if (site.kind !== 'linear') return {}
      const { inSize, outSize } = site
      const { rank } = sizeAt(config, site)
      // PEFT: kaiming_uniform_(a = √5), which is U(±1/√in)
      const values = kaimingUniform(draw('A'), rank * inSize, inSize)
      return {
        A: { shape: [rank, inSize], values },
        B: { shape: [outSize, rank], values: new Float32Array(outSize * rank) },
      }
    },
    linear: (site, own) => {
      const { A, B } = pair(own)
      const { scale } = sizeAt(config, site)
      return (x, next, pass) => add(next(x), lowRank(pass.dropout(`${site.name}.lora`, x, config.dropout), A, B, scale))
    },
    merge: (site, { weight, bias }, own) => {
      const { A, B } = pair(own)
      return { weight: tf.add(weight, tf.mul(tf.matMul(B, A), sizeAt(config, site).scale)), bias }
    },
    wire: loraWire(config),
  }
}

/** Rank and scale at one site. */
function sizeAt(config: LoraConfig, site: Site): { readonly rank: number; readonly scale: number } {
  const rank = firstMatch(config.rankPattern, site.name) ?? config.rank
  const alpha = firstMatch(config.alphaPattern, site.name) ?? config.alpha
  return { rank, scale: alpha / (config.rankStabilized ? Math.sqrt(rank) : rank) }
}

function pair(own: Own): { readonly A: Tensor2D; readonly B: Tensor2D } {
  return own as unknown as { readonly A: Tensor2D; readonly B: Tensor2D } // as made by init
}

function checkConfig({ rank, alpha, dropout, rankPattern, alphaPattern }: LoraConfig): void {
  const problems: string[] = []
  const ranks = { rank, ...prefixed('rankPattern', rankPattern) }
  for (const [name, value] of Object.entries(ranks)) {
    if (!Number.isInteger(value) || value < 1) problems.push(`${name}: expected an integer of at least 1, got ${value}`)
  }
  const alphas = { alpha, ...prefixed('alphaPattern', alphaPattern) }
  for (const [name, value] of Object.entries(alphas)) {
    if (!Number.isFinite(value)) problems.push(`${name}: expected a number, got ${value}`)
  }
  if (!(dropout >= 0 && dropout < 1)) problems.push(`dropout: expected a number in [0, 1), got ${dropout}`)
  if (problems.length > 0) throw new InputError('lora: the options cannot be used:', problems)
}

function prefixed(name: string, record: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [`${name}['${key}']`, value]))
}

