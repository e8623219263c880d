import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { op } from '../autodiff/tape.ts'
import { choose, fused, fusedOne, type Forms } from '../engine/kernels.ts'
import { COMPOSED } from './composed-attention.ts'
import { paddedForm } from './padded-attention.ts'
import { longestOf, widerBorders } from './packed.ts'
import { sumRows } from './row-sums.ts'
import type { AttentionCall, AttentionForm } from './attention-call.ts'

/**
 * softmax(scores) v, with the scores that `AttentionCall` says
 *
 * With P the probabilities, M the factors of dropout and dP = M dy vᵀ:
 * dv = (P M)ᵀ dy, dS = P (dP − Σ P dP), dbias = dS, dsink = −P_sink Σ P dP,
 * and with dS' = (1 − tanh²) dS where there is a cap: dq = scale dS' k, dk = scale dS'ᵀ q
 *
 * Of two fused kernels, one has no cap, bias or sinks: calls without them take no time for them. Within a window they take no time for
 * keys that are not seen.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762
 *
 * @returns (B, T, H, D)
 * @throws InputError when attention is causal or has a window and there are fewer keys than queries, or bias, sinks, cap or window do not fit
 * @example const context = attend({ q, k, v, scale: 1 / Math.sqrt(headSize) })
 */
export function attend(call: AttentionCall): Tensor4D {
  const { q, k, v, keyBias, bias, sinks } = call
  checkCall(call)
  const { forward, backward } = choose(call.borders === undefined ? ATTENTION : BY_BORDERS, [q, k, v, keyBias, bias, sinks])
  return op(
    [q, k, v, bias, sinks],
    (save) => {
      const { y, kept } = forward(call)
      save(...kept)
      return y
    },
    (dy, saved, needs) => {
      const [dq = null, dk = null, dv = null, dBias = null, dSinks = null] = backward(dy as Tensor4D, saved, call, needs)
      return [dq, dk, dv, dBias, sinks === undefined || dSinks === null ? null : sumRows(sinks, dSinks)]
    },
  )
}

/** @throws InputError with everything that does not fit */
function checkCall({ q, k, bias, sinks, cap, causal = false, window, borders }: AttentionCall): void {
  const [[B, T, H], K] = [q.shape, k.shape[1]]
  const problems: string[] = []
  if (borders !== undefined && (B !== 1 || borders[0] !== 0 || borders.at(-1) !== T || (K - T) % (borders.length - 1) !== 0)) {
    problems.push(`borders: expected one sample, borders from 0 to its ${T} queries, and as many keys more for each row; got ${B} of ${T} queries and ${K} keys, and [${borders.join(', ')}]`)
  }
  if ((causal || window !== undefined) && K < T) problems.push(`expected at least as many keys as queries in ${causal ? 'causal attention' : 'attention within a window'}, got ${K} and ${T}`)
  const fits = (samples: number): boolean => bias === undefined || (borders === undefined
    ? tf.util.arraysEqual(bias.shape, [samples, H, T, K])
    : bias.shape[0] === samples && bias.shape[1] === H && bias.shape[2] >= longestOf(borders) && bias.shape[3] >= longestOf(widerBorders(borders, K)))
  const rows = borders === undefined ? B : borders.length - 1
  if (bias !== undefined && ![1, rows].some(fits)) {
    problems.push(`bias: expected a shape of [1 or ${rows}, ${H}, ${T}, ${K}], got [${bias.shape.join(', ')}]`)
  }
  if (sinks !== undefined && !tf.util.arraysEqual(sinks.shape, [H])) {
    problems.push(`sinks: expected a shape of [${H}], a number for each head, got [${(sinks.shape as number[]).join(', ')}]`)
  }
  if (cap !== undefined && !(cap > 0 && cap < Infinity)) problems.push(`cap: expected a number above 0, or none, got ${cap}`)
  if (window !== undefined && !(window >= 1)) problems.push(`window: expected at least 1, or none, got ${window}`)
  if (problems.length > 0) throw new InputError('attend: the call cannot be computed:', problems)
}

/** The fused form computes the probabilities again in the backward pass: its memory does not grow with T · K. */
const FUSED: AttentionForm = {
  forward: (call) => {
    const inputs = inputsOf(call)
    const y = fusedOne(isGeneral(call) ? 'GeneralAttention' : 'Attention', inputs, settingsOf(call)) as Tensor4D
    return { y, kept: TENSORS.flatMap((name) => call[name] ?? []) }
  },
  backward: (dy, kept, call, [, , , biasNeeds = false]) => {
    const names = TENSORS.filter((name) => call[name] !== undefined)
    const inputs = [...inputsOf({ ...call, ...Object.fromEntries(names.map((name, i) => [name, kept[i]])) }), dy]
    if (!isGeneral(call)) return fused('AttentionGrad', inputs, settingsOf(call), 3)
    return fused('GeneralAttentionGrad', inputs, { ...settingsOf(call), bias_grad: biasNeeds }, 5)
  },
}

const TENSORS = ['q', 'k', 'v', 'keyBias', 'bias', 'sinks'] as const

function isGeneral({ cap, bias, sinks }: AttentionCall): boolean {
  return cap !== undefined || bias !== undefined || sinks !== undefined
}

function inputsOf(call: AttentionCall): (Tensor | undefined)[] {
  const { q, k, v, keyBias, dropout, bias, sinks, borders } = call
  const [seed, between] = [dropout?.seed ?? [0, 0], borders ?? []].map((numbers) => tf.tensor1d([...numbers], 'int32'))
  return [q, k, v, keyBias, seed, between, ...(isGeneral(call) ? [bias, sinks] : [])]
}

function settingsOf(call: AttentionCall): Record<string, number | boolean> {
  const { k, scale, dropout, causal = false, cap = 0, window = Infinity } = call
  const settings = { scale, rate: dropout?.rate ?? 0, causal, window: window < k.shape[1] ? window : 0 }
  return isGeneral(call) ? { ...settings, cap } : settings
}

const ATTENTION: Forms<AttentionForm> = { fused: FUSED, composed: COMPOSED }
const BY_BORDERS: Forms<AttentionForm> = { fused: FUSED, composed: paddedForm(COMPOSED) }
