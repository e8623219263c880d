// AdaLoRA: a low-rank update in the form of a singular value decomposition, whose ranks a budget moves to where they matter.
//
//   y = W x + s · B (E ∘ A drop(x)),  A (rank, in), E (rank), B (out, rank), s = alpha / initRank
//
// A and B are held near to orthonormal by a penalty instead of exactly; that, and which entries of E stay, is `rankBudget`'s.
//
// Zhang et al. 2023, arXiv:2303.10512

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { selectLinear } from '../base/adapter/targets.ts'
import { NO_VALUES, type LowRank, type Method, type SiteTensors } from '../base/method.ts'
import { add, scale, scaleColumns } from '../base/ops/algebra.ts'
import { linear } from '../base/ops/linear.ts'
import { normal } from '../base/random.ts'
import type { LinearSite, Role } from '../base/sites.ts'
import { adaloraConfig, type AdaloraConfig, type AdaloraOptions } from './adalora-options.ts'
import { adaloraFormat } from './adalora-file-format.ts'

const DEFAULT_ROLES: readonly Role[] = ['query', 'value', 'qkv']

/**
 * Adaptive budget allocation (Zhang et al. 2023, arXiv:2303.10512). Every module begins with `initRank`; while it is trained, `rankBudget` takes
 * from those that need less. Without a budget it is a LoRA with a trained factor for each rank. The adapted model starts equal to the base.
 *
 * @throws InputError with everything that is wrong with the options
 * @example const adapter = attach(model, adalora({ initRank: 12, alpha: 32, targets: ['query', 'value'] }))
 */
export function adalora(options: AdaloraOptions = {}): Method {
  const config = adaloraConfig(options)
  return {
    select: (sites) => selectLinear(sites, config, DEFAULT_ROLES).filter((site) => rankAt(config, site) > 0),
    init: (site, { draw, fresh }) => {
      const { inSize, outSize } = site as LinearSite // select takes no others
      const rank = rankAt(config, site as LinearSite)
      const start = (name: string, size: number): Float32Array => (fresh ? normal(draw(name), size, 0, 0.02) : NO_VALUES)
      return {
        A: { shape: [rank, inSize], values: start('A', rank * inSize) },
        E: { shape: [rank], values: fresh ? new Float32Array(rank) : NO_VALUES },
        B: { shape: [outSize, rank], values: start('B', outSize * rank) },
      }
    },
    linear: (site, own) => {
      const { A, E, B } = tensorsOf(own)
      return (x, next, pass) => {
        const parts = scaleColumns(linear(pass.dropout(`${site.name}.adalora`, x, config.dropout), A), E)
        return add(next(x), linear(scale(parts, scaleOf(config)), B))
      }
    },
    merge: (_, { weight, bias }, own) => {
      const { A, B, scale: factor } = updateOf(config, own)
      return { weight: tf.add<Tensor2D>(weight, tf.mul(tf.matMul(B, A), factor)), bias }
    },
    lowRank: (_, own) => updateOf(config, own),
    interpolate: (_, own, alpha) => ({ E: tf.mul(tensorsOf(own).E, alpha) }),
    name: 'adalora',
    format: adaloraFormat(config),
  }
}

function tensorsOf(own: SiteTensors): { readonly A: Tensor2D; readonly E: Tensor1D; readonly B: Tensor2D } {
  return own as { A: Tensor2D; E: Tensor1D; B: Tensor2D } // as made by init
}

function updateOf(config: AdaloraConfig, own: SiteTensors): LowRank {
  const { A, E, B } = tensorsOf(own)
  return { A: tf.mul(tf.expandDims(E, 1), A), B, scale: scaleOf(config) }
}

function rankAt({ initRank, ranks }: AdaloraConfig, { name }: LinearSite): number {
  return ranks[name] ?? initRank
}

/** The rank that a module has left does not change it. */
function scaleOf({ alpha, initRank }: AdaloraConfig): number {
  return alpha / (initRank + 1e-5) // PEFT's small number, for its numbers
}
