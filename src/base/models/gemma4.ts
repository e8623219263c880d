// Gemma 4 (text). Gemma Team 2026, Gemma 4; inputs of each layer: Gemma 3n, 2025
//
// LLaMA with norms on both sides of each part of a layer, and queries, keys and values normed. Layers that attend to the nearest tokens
// only and those that attend to all have heads of other sizes and other rotary positions; the upper layers take the keys and values of the last of their
// kind below them. Each layer is told of its words once more, from a table of its own, and may have experts beside its feed-forward part.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Encoded, Family } from '../architecture.ts'
import { gated } from '../ops/activation.ts'
import { add, multiply, reshape, scaleColumns, times } from '../ops/algebra.ts'
import { columnsOf } from '../ops/columns.ts'
import { expertWeights, largest } from '../ops/experts.ts'
import { lookup } from '../ops/lookup.ts'
import { rmsNorm } from '../ops/norm.ts'
import { rope, rotation, type Rotation } from '../ops/rope.ts'
import type { Pass } from '../pass.ts'
import type { Input } from '../token-input.ts'
import { numberEach } from '../packed-rows.ts'
import { paddingBias, positionCount, textPositions } from '../tasks/heads.ts'
import { readGemma4, type Gemma4Config } from './gemma4-config.ts'
import { decoder, feedForward, maxLengthOf } from './llama.ts'
import { throughExperts } from './mixture.ts'

/** `model_type: 'gemma4_text'`. That pictures see each other both ways is nothing to a text. */
export const gemma4: Family = {
  read: (read, bounds) => {
    const config = readGemma4(read, bounds)
    const made = decoder('Gemma4Text', config, (pass, input) => encode(pass, config, input))
    const without = config.each.flatMap(({ keysOf }, layer) => (keysOf === undefined ? [] : [layer])).join('|')
    const unread = without === '' ? [] : [new RegExp(`(^|\\.)layers\\.(${without})\\.self_attn\\.([kv]_proj|[kv]_norm)\\.`)]
    return { ...made, classNames: { 'causal-lm': 'Gemma4ForCausalLM' }, keys: { ...made.keys, ignored: [...made.keys.ignored, ...unread] } }
  },
  off: { use_bidirectional_attention: ['vision'], per_layer_config: undefined },
  idle: ['partial_rotary_factor'],
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  /** Of layers that attend to all tokens, and to the nearest. */
  readonly turns: { readonly whole: Rotation; readonly near: Rotation }
  /** What each layer is told. */
  readonly told: readonly Tensor2D[]
  /** Keys and values that layers have left for those above them. */
  readonly left: { [layer: number]: readonly [k: Tensor4D, v: Tensor4D] }
}

function keysAndValues(attn: Pass, config: Gemma4Config, x: Tensor2D, index: number, { sequence, turns }: Context): readonly [k: Tensor4D, v: Tensor4D] {
  const { epsilon, biases: { qkv: bias }, each } = config
  const { kvHeads: G, headSize: D, ownValues, window } = each[index] as Gemma4Config['each'][number]
  const rows = (y: Tensor2D): Tensor2D => reshape<Rank.R2>(y, [y.size / D, D])
  const split = (y: Tensor2D): Tensor4D => reshape<Rank.R4>(y, [sequence.batch, sequence.length, G, D])
  const k = attn.linear('k_proj', x, G * D, { role: 'key', bias })
  const v = ownValues ? attn.linear('v_proj', x, G * D, { role: 'value', bias }) : k
  return [
    rope(split(attn.rmsNorm('k_norm', rows(k), epsilon)), window === undefined ? turns.whole : turns.near),
    split(rmsNorm(rows(v), undefined, epsilon)),
  ]
}

function selfAttention(pass: Pass, config: Gemma4Config, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { hiddenSize, heads: H, biases, epsilon, factors, attentionDropout: rate } = config
  const { headSize: D, keysOf = index, window } = config.each[index] as Gemma4Config['each'][number]
  const { sequence: { batch: B, length: T }, keyBias, turns, left } = context
  const attn = pass.at(`layers.${index}.self_attn`)
  const asked = reshape<Rank.R2>(attn.linear('q_proj', x, H * D, { role: 'query', bias: biases.qkv }), [B * T * H, D])
  const q = rope(reshape<Rank.R4>(attn.rmsNorm('q_norm', asked, epsilon), [B, T, H, D]), window === undefined ? turns.whole : turns.near)
  if (keysOf === index) left[index] = keysAndValues(attn, config, x, index, context)
  const [k, v] = left[keysOf] as readonly [Tensor4D, Tensor4D] // from below
  const mixed = pass.attention(
    `layers.${index}.self_attn`,
    { q, k, v, scale: factors.scores, keyBias, causal: true, dropout: pass.training && rate > 0 ? { rate, seed: attn.seedOf('dropout') } : undefined },
    { window, keysOf: `layers.${keysOf}.self_attn` },
  )
  return attn.linear('o_proj', reshape<Rank.R2>(mixed, [B * T, H * D]), hiddenSize, { role: 'attention-output', bias: biases.output })
}

/** Scores of the router are of normed tokens; each expert counts by a factor of its own besides. */
function experts(pass: Pass, { hiddenSize: D, epsilon }: Gemma4Config, mixture: NonNullable<Gemma4Config['experts']>, x: Tensor2D): Tensor2D {
  const router = pass.at('router')
  const scale = router.param('scale', { shape: [D], init: 'ones', part: 'weight' }) as Tensor1D
  const logits = router.linear('proj', times(rmsNorm(x, scale, epsilon), D ** -0.5), mixture.count, { role: 'router', bias: false })
  const chosen = largest(logits, mixture.each)
  const factors = router.param('per_expert_scale', { shape: [mixture.count], init: 'ones', part: 'weight' })
  const own = lookup(reshape<Rank.R2>(factors, [mixture.count, 1]), tf.reshape<Rank.R1>(chosen, [chosen.size]))
  const weights = multiply(expertWeights(logits, chosen, 'chosen'), reshape<Rank.R2>(own, chosen.shape))
  return throughExperts(pass.at('experts'), mixture, pass.rmsNorm('pre_feedforward_layernorm_2', x, epsilon), { chosen, weights })
}

function layer(pass: Pass, config: Gemma4Config, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { epsilon, activation, hiddenSize, told, experts: mixture } = config
  const { intermediateSize } = config.each[index] as Gemma4Config['each'][number]
  const own = pass.at(`layers.${index}`)
  const join = { norm: 'rms', epsilon } as const
  const attended = own.residual('self_attn', x, { ...join, part: 'attention', preNorm: 'input_layernorm', leaves: () => context.left[index] ?? [] }, (h) =>
    own.rmsNorm('post_attention_layernorm', selfAttention(pass, config, h, index, context), epsilon))
  const fed = own.residual('mlp', attended, { ...join, part: 'feed-forward', preNorm: 'pre_feedforward_layernorm' }, (h) => {
    const dense = feedForward(own.at('mlp'), { ...config, intermediateSize }, h)
    const both = mixture === undefined ? dense : add(
      own.rmsNorm('post_feedforward_layernorm_1', dense, epsilon),
      own.rmsNorm('post_feedforward_layernorm_2', experts(own, config, mixture, attended), epsilon),
    )
    return own.rmsNorm('post_feedforward_layernorm', both, epsilon)
  })
  const reminded = (): Tensor2D => {
    const gate = own.linear('per_layer_input_gate', fed, told?.size ?? 0, { role: 'gate', bias: false })
    const y = own.linear('per_layer_projection', gated(activation, gate, context.told[index] as Tensor2D), hiddenSize, { role: 'down', bias: false })
    return add(fed, own.rmsNorm('post_per_layer_input_norm', y, epsilon))
  }
  return scaleColumns(told === undefined ? fed : reminded(), own.param('layer_scalar', { shape: [1], init: 'ones', part: 'weight' }) as Tensor1D)
}

/** What each layer is told: its part of what a table says of the word, and of a product of the first rows. Rows that stand for no word are padding there. */
function toldOf(pass: Pass, { told, layers: L, hiddenSize, epsilon }: Gemma4Config, ids: Tensor1D, rows: Tensor2D, { batch: B, virtual, packed }: Encoded['sequence']): Tensor2D[] {
  if (told === undefined) return []
  const { size, count, padding } = told
  const words = virtual === 0 ? ids : packed !== undefined ? numberEach(packed, virtual, () => padding, (_, place) => packed.batch.ids?.[place] ?? padding) : tf.reshape<Rank.R1>(tf.pad(tf.reshape<Rank.R2>(ids, [B, -1]), [[0, 0], [virtual, 0]], padding), [rows.shape[0]])
  const known = times(pass.embedding('embed_tokens_per_layer', words, count, L * size), Math.sqrt(size))
  const seen = times(pass.linear('per_layer_model_projection', rows, L * size, { bias: false }), hiddenSize ** -0.5)
  const normed = pass.rmsNorm('per_layer_projection_norm', reshape<Rank.R2>(seen, [seen.size / size, size]), epsilon)
  return columnsOf(times(add(reshape<Rank.R2>(normed, known.shape), known), Math.SQRT1_2), new Array<number>(L).fill(size))
}

function encode(pass: Pass, config: Gemma4Config, input: Input): Encoded {
  const { hiddenSize: D, vocabSize, factors, told, epsilon, each } = config
  const words = times(pass.embedding('embed_tokens', input.ids, vocabSize, D), factors.words)
  const begun = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, {
    maxLength: maxLengthOf(config), table: 'embed_tokens', ...(told === undefined ? {} : { besides: ['embed_tokens_per_layer'] }),
  })
  const { rows, ...sequence } = begun
  const [positions, count] = [textPositions(sequence), positionCount(sequence)]
  const [whole, near] = config.rotary.map(({ frequencies, scale }) => rotation(positions, sequence.batch, frequencies(count), scale)) as [Rotation, Rotation]
  const context: Context = { sequence, keyBias: paddingBias(sequence), turns: { whole, near }, told: toldOf(pass, config, input.ids, rows, sequence), left: {} }
  const isSource = new Set(each.map(({ keysOf }) => keysOf))
  const last = pass.layers('layers', config.layers, rows, context, (_, x, index) => layer(pass, config, x, index, context), { leaves: (index) => isSource.has(index) })
  return { rows: pass.rmsNorm('norm', last, epsilon), sequence }
}
