// Settings of rotary positions, and the ways to stretch them over longer texts than the model was made for.

import { settingsReader, type SectionReader, type Settings } from '../settings.ts'

export interface Rotary {
  /** Radians for each token, of each pair of a head's numbers, in a text of this many tokens. */
  readonly frequencies: (length: number) => Float32Array
  /** Base of the frequencies as they are before a text is stretched. */
  readonly theta: number
  /** What turned queries and keys are multiplied by. */
  readonly scale: number
  /** Most positions. */
  readonly maxLength: number
  /** Texts of up to so many tokens have the same frequencies. @default all have */
  readonly steadyTo?: number
  /** Queries grow with their position p, by 1 + beta · ln(1 + ⌊p / every⌋). @default they do not */
  readonly growth?: { readonly beta: number; readonly every: number }
}

interface Place {
  /** Numbers of a head that are turned. */
  readonly headSize: number
  /** Positions that the model takes: max_position_embeddings. */
  readonly positions: number
  /** Base of the frequencies. */
  readonly theta: number
  /** Positions that it was first made for, for the kinds that stretch them. */
  readonly original: number
  /** The settings are those of one type of layers. */
  readonly byType: boolean
}

/** What stretches rotary positions, by the name in `rope_type`. Source: transformers, modeling_rope_utils.py */
const KINDS: Kinds = { default: plain, linear, dynamic, llama3, yarn, longrope }

/** Of Phi-3, whose first files call LongRoPE by two other names. */
export const PHI_KINDS: Kinds = { default: plain, longrope, su: longrope, yarn: longrope }

/** Of Gemma 4. */
export const GEMMA4_KINDS: Kinds = { ...KINDS, proportional }

/** Of Ministral 3. */
export const GROWING_KINDS: Kinds = Object.fromEntries(Object.entries(KINDS).map(([name, kind]) => [name, growing(kind)]))

type Kind = (read: SectionReader, place: Place) => Omit<Rotary, 'theta'>
type Kinds = Readonly<Record<string, Kind>>

/** What a class has beyond the usual rotary positions. */
export interface RotaryDefaults {
  /** The share of each head that is turned where the file says nothing. @default all, and the file cannot say another */
  readonly partial?: number
  /** Positions that the model was first made for where the file says nothing. @default those that it takes */
  readonly original?: number
  /** What it knows in `rope_type`. @default all that are here */
  readonly kinds?: Kinds
  /** What stands for `rope_parameters` where the file says nothing. @default plain rotary positions */
  readonly usual?: Settings
}

interface Sizes extends Pick<Place, 'headSize' | 'positions'>, RotaryDefaults {
  /** Base of the frequencies where the file says nothing. @default 10,000 */
  readonly theta?: number | undefined
}

/** Where older files have the base of layers that attend to the nearest tokens, and what it is without. */
export interface LocalTheta {
  readonly key: string
  readonly theta: number
}

interface SizesByType extends Sizes {
  /** Where older files have the base of layers that attend to all tokens. @default 'rope_theta' */
  readonly key?: string
  /** @default as the layers that attend to all tokens */
  readonly local?: LocalTheta | undefined
  /** `rope_scaling` is that of both kinds. @default false */
  readonly scalesBoth?: boolean
  /** What layers that attend to all tokens have otherwise. @default nothing */
  readonly whole?: Partial<Pick<Sizes, 'headSize' | 'kinds' | 'usual'>>
}

/** What a class with rotary positions by type has beyond the usual. */
export type RotaryByType = Pick<SizesByType, 'local' | 'whole'>

const TYPES = ['full_attention', 'sliding_attention'] as const

/**
 * Reads `rope_parameters`, or `rope_scaling` and `rope_theta` as older files have them; where a file has both, `rope_scaling` counts, as
 * for transformers.
 */
export function readRotary(read: SectionReader, { theta = 10_000, usual = {}, ...sizes }: Sizes): Rotary {
  const older = read.section('rope_scaling')
  const newer = read.has('rope_parameters') ? read.section('rope_parameters') : settingsReader(usual, { file: 'its class', what: 'rotary positions' })
  const given = isFilled(read.raw('rope_scaling')) ? older : newer
  const base = given.number('rope_theta', { above: 0, fallback: read.number('rope_theta', { above: 0, fallback: theta }) })
  for (const type of TYPES) given.off(type, [])
  return kindOf(read, given, { ...sizes, theta: base })
}

/**
 * Reads `rope_parameters` of layers that attend to all tokens and of those that attend to the nearest, each with settings of its own.
 * `rope_scaling` and `rope_theta` of older files are those of the first kind, as for transformers.
 */
export function readRotaryByType(read: SectionReader, { headSize, positions, theta = 10_000, key = 'rope_theta', local, scalesBoth = false, whole: { usual = {}, ...whole } = {} }: SizesByType): Readonly<Record<(typeof TYPES)[number], Rotary>> {
  const older = read.section('rope_scaling')
  const newer = read.section('rope_parameters')
  const [given, sliding] = [newer.section('full_attention'), newer.section('sliding_attention')]
  const full = newer.has('full_attention') ? given : settingsReader(usual, { file: 'its class', what: 'rotary positions' })
  const outer = read.number(key, { above: 0, fallback: theta })
  const near = local === undefined ? theta : read.number(local.key, { above: 0, fallback: local.theta })
  const baseOf = (section: SectionReader, fallback: number): number => section.number('rope_theta', { above: 0, fallback })
  const place = { headSize, positions, byType: true }
  const scaled = isFilled(read.raw('rope_scaling'))
  return {
    full_attention: kindOf(read, scaled ? older : full, { ...place, ...whole, theta: baseOf(full, outer) }),
    sliding_attention: kindOf(read, scaled && scalesBoth ? older : sliding, { ...place, theta: baseOf(sliding, near) }),
  }
}

/** @param given where the kind and its numbers stand */
function kindOf(read: SectionReader, given: SectionReader, { headSize, positions, theta, partial, original: usual, kinds = KINDS, byType = false }: Sizes & { readonly theta: number; readonly byType?: boolean }): Rotary {
  const outer = read.integer('original_max_position_embeddings', { min: 2, fallback: usual ?? positions })
  const inner = given.integer('original_max_position_embeddings', { min: 2, fallback: positions })
  const kind = given.oneOf(given.has('rope_type') ? 'rope_type' : 'type', Object.keys(kinds), 'default')
  const original = usual !== undefined || read.has('original_max_position_embeddings') ? outer : inner
  const turned = kind === 'proportional' ? headSize : turnedOf(read, given, headSize, partial)
  return { ...(kinds[kind] ?? plain)(given, { headSize: turned, positions, theta, original, byType }), theta }
}

/** How many numbers of each head are turned. @param usual the share of them */
function turnedOf(read: SectionReader, given: SectionReader, headSize: number, usual: number | undefined): number {
  if (usual === undefined) {
    given.off('partial_rotary_factor', [1])
    return headSize
  }
  const share = { above: 0, max: 1 }
  const turned = Math.floor(headSize * given.number('partial_rotary_factor', { ...share, fallback: read.number('partial_rotary_factor', { ...share, fallback: usual }) }))
  given.check(turned >= 2 && turned % 2 === 0, `partial_rotary_factor: expected a share that turns an even number of the ${headSize} of a head, got ${turned}`, ['partial_rotary_factor'])
  return turned
}

function isFilled(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0
}

const FACTOR = { above: 0 }

function plain(_: SectionReader, { theta, headSize, positions }: Place): ReturnType<Kind> {
  return fixed(positions, () => powers(theta, headSize))
}

function linear(read: SectionReader, { theta, headSize, positions }: Place): ReturnType<Kind> {
  const factor = read.number('factor', FACTOR)
  return fixed(positions * factor, () => powers(theta, headSize).map((frequency) => frequency / factor))
}

/** The fast frequencies of the head alone: the slow ones stand still. */
function proportional(read: SectionReader, { theta, headSize, positions }: Place): ReturnType<Kind> {
  const factor = read.number('factor', { ...FACTOR, fallback: 1 })
  const turning = Math.floor((headSize * read.number('partial_rotary_factor', { min: 0, max: 1, fallback: 1 })) / 2)
  return fixed(positions, () => powers(theta, headSize).map((frequency, i) => (i < turning ? frequency / factor : 0)))
}

/** NTK-aware scaling: longer texts have a larger base. */
function dynamic(read: SectionReader, { theta, headSize, positions }: Place): ReturnType<Kind> {
  const factor = read.number('factor', FACTOR)
  read.check(headSize > 2, `head_dim: expected more than 2 for dynamic rotary positions, got ${headSize}`)
  const base = (length: number): number => {
    const growth = factor * Math.max(length / positions, 1) - (factor - 1)
    return theta * growth ** (headSize / (headSize - 2))
  }
  return { frequencies: (length) => powers(base(length), headSize), scale: 1, maxLength: Math.floor(positions * factor), steadyTo: positions }
}

/** Slow frequencies are divided by the factor, fast ones stay, those between go from the one to the other. LLaMA 3.1 */
function llama3(read: SectionReader, { theta, headSize, positions, original }: Place): ReturnType<Kind> {
  const [factor, low, high] = [read.number('factor', FACTOR), read.number('low_freq_factor', FACTOR), read.number('high_freq_factor', FACTOR)]
  read.check(high > low, `high_freq_factor: expected more than low_freq_factor (${low}), got ${high}`, ['low_freq_factor', 'high_freq_factor'])
  const stretched = (frequency: number): number => {
    const turns = (original * frequency) / (2 * Math.PI) // over the original length
    return mixed(frequency / factor, frequency, (turns - low) / (high - low))
  }
  return fixed(positions, () => powers(theta, headSize).map(stretched))
}

/** The same, by the place in the head; and larger queries and keys. Peng et al. 2023, arXiv:2309.00071 */
function yarn(read: SectionReader, { theta, headSize, positions, original, byType }: Place): ReturnType<Kind> {
  const factor = read.number('factor', read.isNull('factor') ? { ...FACTOR, fallback: positions / original } : FACTOR)
  const [fast, slow] = [read.number('beta_fast', { min: 0, fallback: 32 }) || 32, read.number('beta_slow', { min: 0, fallback: 1 }) || 1]
  const [scaled, reference] = [read.number('mscale', { fallback: 0 }), read.number('mscale_all_dim', { fallback: 0 })]
  const growth = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1)
  const usual = scaled !== 0 && reference !== 0 ? growth(scaled) / growth(reference) : growth(1)
  const scale = read.number('attention_factor', { min: 0, fallback: usual })
  const truncate = read.flag('truncate', true) || byType // transformers looks for it beside the types
  read.check(theta > 1, `rope_theta: expected more than 1 for YaRN, got ${theta}`)
  const placeOf = (turns: number): number => (headSize * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [first, last] = truncate ? [Math.floor(placeOf(fast)), Math.ceil(placeOf(slow))] : [placeOf(fast), placeOf(slow)]
  const [start, end] = [Math.max(first, 0), Math.min(last, headSize - 1)]
  const width = start === end ? 0.001 : end - start
  const stretch = (frequency: number, i: number): number => mixed(frequency, frequency / factor, (i - start) / width)
  return { ...fixed(Math.max(positions, original * factor), () => powers(theta, headSize).map(stretch)), scale }
}

/** Each frequency has divisors of its own, one for short texts and one for long. Ding et al. 2024, arXiv:2402.13753 */
function longrope(read: SectionReader, { theta, headSize, positions, original }: Place): ReturnType<Kind> {
  const factor = read.number('factor', { ...FACTOR, fallback: positions / original })
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))
  const scale = read.number('attention_factor', { min: 0, fallback: usual })
  const divisors = (key: string): readonly number[] => {
    const list = read.list(key, 'number', undefined, FACTOR)
    read.check(list.length === headSize / 2, `${key}: expected ${headSize / 2} numbers, half of what is turned of a head, got ${list.length}`, [key])
    return list
  }
  const [short, long] = [divisors('short_factor'), divisors('long_factor')]
  const frequencies = (length: number): Float32Array => {
    const divisor = length > original ? long : short
    return powers(theta, headSize).map((frequency, i) => frequency / (divisor[i] ?? 1))
  }
  return { frequencies, scale, maxLength: Math.max(positions, Math.floor(original * factor)), steadyTo: original }
}

function growing(kind: Kind): Kind {
  return (read, place) => ({ ...kind(read, place), growth: { beta: read.number('llama_4_scaling_beta'), every: place.original } })
}

/** The same for every length; computed when it is first asked for, after all settings were checked. */
function fixed(maxLength: number, make: () => Float32Array): ReturnType<Kind> {
  let made: Float32Array | undefined
  return { frequencies: () => (made ??= make()), scale: 1, maxLength: Math.floor(maxLength) }
}

/** base^(−2i / D) */
function powers(base: number, headSize: number): Float32Array {
  return Float32Array.from({ length: headSize / 2 }, (_, i) => base ** (-(2 * i) / headSize))
}

/** From one number to another, as a share goes from 0 to 1. */
function mixed(from: number, to: number, share: number): number {
  const clamped = Math.min(1, Math.max(0, share))
  return (1 - clamped) * from + clamped * to
}
