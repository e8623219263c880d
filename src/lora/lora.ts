// LoRA: a trained low-rank update beside a frozen weight.
//
//   y = W x + s · B A drop(x),  A (rank, in), B (out, rank), s = alpha / rank  (alpha / √rank with rank stabilisation)
//
// At an embedding, W and the update are looked up: y = W[i] + s · (B A)[:, i].
//
// Hu et al. 2021, arXiv:2106.09685; rank stabilisation: Kalajdzievski 2023, arXiv:2312.03732

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { Method } from '../base/method.ts'
import type { Role, Site } from '../base/sites.ts'
import { selectParameters, selectWeights } from '../base/adapter/targets.ts'
import { InputError } from '../errors.ts'
import { updateExperts } from './experts.ts'
import { biasesOf, configOf, isWeightInit, sizeAt, type LoraConfig, type LoraOptions, type WeightSite } from './options.ts'
import { startAt } from './start.ts'
import { deltaOf, scaleUpdate, updateEmbedding, updateLinear, updateOf, updateTied } from './update.ts'
import { loraFormat } from './file-format.ts'
import { withTokenRows } from './token-rows.ts'

export type { LoraInit, LoraOptions, TokenRows } from './options.ts'

const DEFAULT_ROLES: readonly Role[] = ['query', 'value', 'qkv']

/**
 * Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685). The adapted model starts equal to the base.
 *
 * @throws InputError with everything that is wrong with the options
 * @example const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
 */
export function lora(options: LoraOptions = {}): Method {
  const config = configOf('lora', options)
  return withTokenRows({
    ...placesOf(config),
    init: (site, context) => startAt(config, site as WeightSite, context),
    linear: (site, own) => updateLinear(config, site, own),
    experts: (site, own) => updateExperts(site, sizeAt(config, site).scale, own as { readonly [name in 'A' | 'B']: Tensor2D }),
    embedding: (site, own) => updateEmbedding(config, site, own),
    merge: (site, { weight, bias }, own) => ({ weight: tf.add<Tensor2D>(weight, deltaOf(config, site, own)), bias }),
    lowRank: (site, own) => {
      if (site.kind === 'experts') throw new InputError(`lora: '${site.name}' is a stack of experts, whose updates cannot be combined. Merge the adapters one after the other.`)
      return updateOf(sizeAt(config, site), own)
    },
    ...(config.ensureWeightTying ? { tied: (site, owner, own) => updateTied(config, site, owner, own) } satisfies Pick<Method, 'tied'> : {}),
    interpolate: (_, own, alpha) => scaleUpdate(own, alpha),
    name: 'lora',
    format: loraFormat(config),
  }, config)
}

/** What LoRA and its relatives take of a model. */
export function placesOf(config: LoraConfig): Pick<Method, 'copies'> & { readonly select: (sites: readonly Site[]) => readonly WeightSite[] } {
  return {
    select: (sites) => taken(config, sites),
    copies: (params, sites) => biasesOf(config, params, sites),
  }
}

function taken(config: LoraConfig, sites: readonly Site[]): readonly WeightSite[] {
  const { targets, targetParameters } = config
  const parameters = selectParameters(sites, targetParameters, config.inFile?.file)
  const alone = parameters.length > 0 && (targets === undefined || targets.length === 0)
  const stacks = parameters.filter(({ kind }) => kind === 'experts')
  const problems = [
    ...(stacks.length > 0 && config.dropout > 0 ? [`dropout: expected 0, got ${config.dropout}`] : []),
    ...(stacks.length > 0 && isWeightInit(config) ? ["init: expected 'kaiming' or 'gaussian'"] : []),
  ]
  if (problems.length > 0) throw new InputError(`lora: with stacks of experts among the parameters ('${stacks[0]?.name ?? ''}'):`, problems)
  const all = new Set<Site>([...parameters, ...(alone ? [] : selectWeights(sites, config, DEFAULT_ROLES))])
  return sites.filter((site): site is WeightSite => all.has(site))
}
