// Settings of rotary positions, and the ways to stretch them over longer texts than the model was made for.

import { CheckpointError } from '../../errors.ts'
import type { ConfigJson } from '../architecture.ts'

export interface Rotary {
  /** Radians for each token, of each pair of a head's numbers, in a text of this many tokens. */
  readonly frequencies: (length: number) => Float32Array
  /** Most positions. */
  readonly maxLength: number
}

interface Settings {
  readonly headSize: number
  /** Positions without stretching: max_position_embeddings. */
  readonly positions: number
  /** Base of the frequencies, where config.json names none. */
  readonly theta: number
}

/**
 * Reads `rope_parameters`, or `rope_theta` and `rope_scaling` as older files have them. Kinds: default, linear, dynamic
 * and llama3.
 *
 * @throws CheckpointError for another kind, or when its numbers are missing
 */
export function readRotary(json: ConfigJson, { headSize, positions, theta }: Settings): Rotary {
  const given = { ...(json['rope_scaling'] ?? {}), ...(json['rope_parameters'] ?? {}) } as Readonly<Record<string, unknown>>
  const problems: string[] = []
  const number = (key: string, fallback?: unknown): number => {
    const value = given[key] ?? fallback
    if (typeof value === 'number') return value
    problems.push(`${key}: expected a number, got ${JSON.stringify(value)}`)
    return NaN
  }
  const kind = given['rope_type'] ?? given['type'] ?? 'default'
  const base = number('rope_theta', json['rope_theta'] ?? theta)
  const plain = powers(base, headSize)
  let rotary: Rotary = { frequencies: () => plain, maxLength: positions }
  if (kind === 'linear') {
    const factor = number('factor')
    const slow = plain.map((frequency) => frequency / factor)
    rotary = { frequencies: () => slow, maxLength: Math.floor(positions * factor) }
  } else if (kind === 'dynamic') {
    const factor = number('factor')
    rotary = { frequencies: (length) => stretched(base, headSize, factor, length / positions), maxLength: Math.floor(positions * factor) }
  } else if (kind === 'llama3') {
    const slow = bySize(plain, {
      factor: number('factor'),
      low: number('low_freq_factor'),
      high: number('high_freq_factor'),
      original: number('original_max_position_embeddings'),
    })
    rotary = { ...rotary, frequencies: () => slow }
  } else if (kind !== 'default') {
    problems.push(`rope_type: expected default, linear, dynamic or llama3, got ${JSON.stringify(kind)}`)
  }
  if (problems.length > 0) throw new CheckpointError('config.json: these rotary positions cannot be used:', problems)
  return rotary
}

/** base^(−2i / D) */
function powers(base: number, headSize: number): Float32Array {
  return Float32Array.from({ length: headSize / 2 }, (_, i) => base ** (-(2 * i) / headSize))
}

/** NTK-aware scaling: longer texts have a larger base. Source: transformers, _compute_dynamic_ntk_parameters */
function stretched(base: number, headSize: number, factor: number, excess: number): Float32Array {
  const growth = factor * Math.max(excess, 1) - (factor - 1)
  return powers(base * growth ** (headSize / (headSize - 2)), headSize)
}

interface Bands {
  readonly factor: number
  readonly low: number
  readonly high: number
  /** Positions that the model was first made for. */
  readonly original: number
}

/** Slow frequencies are divided by the factor, fast ones stay, those between go from the one to the other. LLaMA 3.1 */
function bySize(frequencies: Float32Array, { factor, low, high, original }: Bands): Float32Array {
  return frequencies.map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI) // over the original length
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return (1 - kept) * (frequency / factor) + kept * frequency
  })
}
