// Rotary positions in llama.cpp's words.

import type { LlamaConfig } from '../../base/models/llama.ts'
import type { Rotary } from '../../base/models/rotary.ts'
import type { Settings } from './gguf-file.ts'

/** Settings, and tensors of divisors of the frequencies, by their names there. */
export interface RotaryForm {
  readonly settings: Settings
  readonly factors: Readonly<Record<string, Float32Array>>
}

/** What llama.cpp takes for the base of layers that attend to the nearest tokens. */
const NEAR_THETA = 10_000

/** @param name what llama.cpp calls the family @param byType layers that attend to the nearest tokens have rotary positions of their own */
export function rotaryForm({ rotary, renewedAt }: LlamaConfig, name: string, byType: boolean): RotaryForm | { readonly problems: readonly string[] } {
  const [own, near = own] = rotary as readonly [Rotary, Rotary?]
  const { theta, scale, growth, maxLength } = own
  const dims = 2 * own.frequencies(1).length
  const divisors = (length: number): Float32Array => divisorsOf(own, length)
  const [short, long] = [divisors(1), divisors(maxLength)]
  const base: Settings = { [`${name}.rope.freq_base`]: ['f32', theta], [`${name}.rope.dimension_count`]: ['u32', dims] }
  const problems = [
    ...(growth === undefined ? [] : ['rope_parameters: queries grow with their position, which they do not there']),
    ...(name !== 'phi3' && scale !== 1 ? [`rope_parameters: queries and keys are multiplied by ${scale}, which they are not there`] : []),
    ...(name !== 'phi3' && !alike(short, long) ? ['rope_parameters: long texts have other frequencies than short ones, which they have not there'] : []),
    ...(byType && near !== own && (near.theta !== NEAR_THETA || !isPlain(divisorsOf(near, 1))) ? [`rope_local_base_freq: expected plain positions of ${NEAR_THETA}, got a base of ${near.theta}`] : []),
  ]
  if (problems.length > 0) return { problems }
  if (isPlain(short) && isPlain(long)) return { settings: base, factors: {} }
  if (name === 'phi3') {
    return {
      settings: { ...base, [`${name}.rope.scaling.original_context_length`]: ['u32', renewedAt ?? maxLength], [`${name}.rope.scaling.attn_factor`]: ['f32', scale] },
      factors: { 'rope_factors_short.weight': short, 'rope_factors_long.weight': long },
    }
  }
  const [factor = 1] = short
  if (alike(short, short.map(() => factor))) {
    return { settings: { ...base, [`${name}.rope.scaling.type`]: ['text', 'linear'], [`${name}.rope.scaling.factor`]: ['f32', factor] }, factors: {} }
  }
  if (name === 'llama') return { settings: base, factors: { 'rope_freqs.weight': short } }
  return { problems: ['rope_parameters: frequencies are stretched, each by a factor of its own, which llama.cpp has for LLaMA alone'] }
}

/** What plain frequencies are divided by. */
function divisorsOf({ theta, frequencies }: Rotary, length: number): Float32Array {
  const given = frequencies(length)
  return given.map((frequency, i) => theta ** (-i / given.length) / frequency)
}

function isPlain(divisors: Float32Array): boolean {
  return alike(divisors, divisors.map(() => 1))
}

function alike(a: Float32Array, b: Float32Array): boolean {
  return a.every((value, i) => Math.abs(value / (b[i] ?? NaN) - 1) < 1e-6)
}
