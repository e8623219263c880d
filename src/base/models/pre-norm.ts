// The layer of ViT, DINOv2, CLIP and SigLIP: attention and feed-forward, each with its norm before it.

import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Encoded } from '../architecture.ts'
import { activation, gated } from '../ops/activation.ts'
import { reshape, scaleColumns } from '../ops/algebra.ts'
import type { Pass } from '../pass.ts'
import type { Sequence } from '../sites.ts'
import { paddingBias } from '../tasks/heads.ts'

export interface PreNormConfig {
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  readonly activation: string
  readonly epsilon: number
  readonly hiddenDropout: number
  readonly attentionDropout: number
  /** Queries, keys and values have biases. */
  readonly biased: boolean
  /** The feed-forward part has a gate. @default false */
  readonly gated?: boolean
}

/** The parts of a layer by their paths in the checkpoint. */
export interface PreNormNames {
  readonly attention: string
  readonly attentionOutput: string
  readonly norms: readonly [attention: string, feedForward: string]
  /** Factors of what each branch gives. Touvron et al. 2021, arXiv:2103.17239 @default none */
  readonly scales?: readonly [attention: string, feedForward: string]
}

/** What tells the layers of a family apart. */
export interface PreNormLayers {
  readonly config: PreNormConfig
  readonly names: PreNormNames
  /** Tokens see those before them alone. @default false */
  readonly causal?: boolean
}

/** All layers of a stack. @param path of their list */
export function preNormLayers(pass: Pass, path: string, layers: PreNormLayers, { rows, ...sequence }: Sequence): Encoded {
  const { config: { epsilon, layers: count }, names: { norms, scales, attention } } = layers
  const context: Context = { sequence, keyBias: paddingBias(sequence) }
  const layer = (p: Pass, x: Tensor2D): Tensor2D => {
    const attended = p.residual(attention, x, { part: 'attention', preNorm: norms[0], epsilon }, (h) =>
      scaled(p, scales?.[0], selfAttention(p.at(attention), layers, h, context)))
    return p.residual('mlp', attended, { part: 'feed-forward', preNorm: norms[1], epsilon }, (h) =>
      scaled(p, scales?.[1], feedForward(p.at('mlp'), layers.config, h)))
  }
  return { rows: pass.layers(path, count, rows, context, layer), sequence }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
}

function selfAttention(pass: Pass, { config, names, causal = false }: PreNormLayers, x: Tensor2D, { sequence, keyBias }: Context): Tensor2D {
  const { hiddenSize: D, heads: H, attentionDropout: rate, biased: bias } = config
  const { batch: B, length: T } = sequence
  const split = (y: Tensor2D): Tensor4D => reshape<Rank.R4>(y, [B, T, H, D / H])
  const mixed = pass.attention('attention', {
    q: split(pass.linear('q_proj', x, D, { role: 'query', bias })),
    k: split(pass.linear('k_proj', x, D, { role: 'key', bias })),
    v: split(pass.linear('v_proj', x, D, { role: 'value', bias })),
    scale: 1 / Math.sqrt(D / H),
    keyBias,
    causal,
    dropout: pass.training ? { rate, seed: pass.seedOf('attention.dropout') } : undefined,
  })
  const merged = reshape<Rank.R2>(mixed, [B * T, D])
  return pass.dropout('dropout', pass.linear(names.attentionOutput, merged, D, { role: 'attention-output' }), config.hiddenDropout)
}

export function feedForward(pass: Pass, { hiddenSize: D, intermediateSize: F, activation: name, hiddenDropout, gated: hasGate = false }: PreNormConfig, x: Tensor2D): Tensor2D {
  if (hasGate) {
    const h = gated(name, pass.linear('gate_proj', x, F, { role: 'gate' }), pass.linear('up_proj', x, F, { role: 'up' }))
    return pass.linear('down_proj', h, D, { role: 'down' })
  }
  const h = activation(name, pass.linear('fc1', x, F, { role: 'up' }))
  return pass.dropout('dropout', pass.linear('fc2', h, D, { role: 'down' }), hiddenDropout)
}

function scaled(pass: Pass, name: string | undefined, y: Tensor2D): Tensor2D {
  if (name === undefined) return y
  return scaleColumns(y, pass.param(`${name}.lambda1`, { shape: [y.shape[1]], init: 'ones', part: 'weight' }) as Tensor1D)
}
