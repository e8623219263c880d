/**
 * Learning rate schedules with the numbers of transformers' `optimization.py`: step → multiplier of the learning
 * rate. Steps count from 0, and step 0 of a warmup has multiplier 0.
 */
import { InputError, shown } from '../errors.ts'
import { checkNames, type Names } from '../base/options.ts'

/** From the number of finished optimiser steps to the factor on the learning rate. */
export type Schedule = (step: number) => number

/** The shape of a rise from 0 to 1; a decay is its mirror. */
export type Ramp = 'linear' | 'cosine' | '1-sqrt'

/** Options every schedule has. */
export interface WarmupOptions {
  /** Steps of linear rise from 0. @default 0 */
  readonly warmupSteps?: number
}

/** Options of the schedules that end. */
export interface DecayOptions extends WarmupOptions {
  /** Steps of the whole training, warmup included. */
  readonly totalSteps: number
}

/** What `cosine` takes. */
export interface CosineOptions extends DecayOptions {
  /** Waves of the cosine; half a wave falls once. @default 0.5 */
  readonly cycles?: number
  /** The last multiplier, from 0 to 1. @default 0 */
  readonly minRatio?: number
}

/** What `cosineWithRestarts` takes. */
export interface RestartOptions extends DecayOptions {
  /** How many times it falls. @default 1 */
  readonly cycles?: number
}

/** What `polynomial` takes. */
export interface PolynomialOptions extends DecayOptions {
  /** Exponent of what remains. @default 1 */
  readonly power?: number
  /** The last multiplier, from 0 to 1. @default 0 */
  readonly minRatio?: number
}

/** What `inverseSqrt` takes. */
export interface InverseSqrtOptions extends WarmupOptions {
  /** Steps after the warmup in which it falls to 1/sqrt(2). @default `warmupSteps`, or 10,000 without a warmup */
  readonly timescale?: number
}

/** What `wsd` takes. */
export interface WsdOptions extends DecayOptions {
  /** Steps of the fall at the end. */
  readonly decaySteps: number
  /** Shape of the rise. @default 'linear' */
  readonly warmupType?: Ramp
  /** Shape of the fall. @default 'cosine' */
  readonly decayType?: Ramp
  /** The first and the last multiplier, from 0 to 1. @default 0 */
  readonly minRatio?: number
}

const DECAY: Names<DecayOptions> = { warmupSteps: true, totalSteps: true } // what `Trainer` gives to every schedule

/**
 * Stays at 1 after the warmup.
 *
 * @throws InputError when a number of steps is not a natural number
 * @example
 * constant({ warmupSteps: 10 })(5) // 0.5
 */
export function constant(options: WarmupOptions = {}): Schedule {
  checkNames('constant', options, DECAY)
  const { warmupSteps = 0 } = options
  check('constant', { warmupSteps })
  return warmed(warmupSteps, () => 1)
}

/**
 * Falls on a line to 0 at `totalSteps`.
 *
 * @throws InputError when the numbers of steps do not fit together
 * @example
 * linear({ warmupSteps: 10, totalSteps: 110 })(60) // 0.5
 */
export function linear(options: DecayOptions): Schedule {
  checkNames('linear', options, DECAY)
  const { warmupSteps, remaining } = decay('linear', options)
  return warmed(warmupSteps, remaining)
}

/**
 * Falls on a cosine to `minRatio` at `totalSteps`.
 *
 * @throws InputError when the numbers of steps do not fit together, or cycles or ratio is out of range
 * @example
 * cosine({ totalSteps: 100 })(50) // 0.5
 */
export function cosine(options: CosineOptions): Schedule {
  checkNames('cosine', options, { ...DECAY, cycles: true, minRatio: true })
  const { cycles = 0.5, minRatio = 0 } = options
  const problems = [...positive('cycles', cycles), ...ratio('minRatio', minRatio)]
  const { warmupSteps, progress } = decay('cosine', options, problems)
  return warmed(warmupSteps, (step) => minRatio + (1 - minRatio) * halfCosine(2 * cycles * progress(step)))
}

/**
 * Falls on a cosine to 0 several times, starting again from 1 each time (Loshchilov and Hutter 2016,
 * arXiv:1608.03983).
 *
 * @throws InputError when the numbers of steps do not fit together or `cycles` is not positive
 * @example
 * cosineWithRestarts({ totalSteps: 100, cycles: 2 })(50) // 1
 */
export function cosineWithRestarts(options: RestartOptions): Schedule {
  checkNames('cosineWithRestarts', options, { ...DECAY, cycles: true })
  const { cycles = 1 } = options
  const { warmupSteps, progress } = decay('cosineWithRestarts', options, positive('cycles', cycles))
  return warmed(warmupSteps, (step) => {
    const done = progress(step)
    return done >= 1 ? 0 : halfCosine((cycles * done) % 1)
  })
}

/**
 * Falls as a power of what remains to `minRatio` at `totalSteps`, and stays there.
 *
 * Differs from transformers: the end is a ratio of the learning rate (default 0), theirs an absolute rate (1e-7).
 *
 * @throws InputError when the numbers of steps do not fit together, or power or ratio is out of range
 * @example
 * polynomial({ totalSteps: 100, power: 2 })(50) // 0.25
 */
export function polynomial(options: PolynomialOptions): Schedule {
  checkNames('polynomial', options, { ...DECAY, power: true, minRatio: true })
  const { power = 1, minRatio = 0 } = options
  const problems = [...positive('power', power), ...ratio('minRatio', minRatio)]
  const { warmupSteps, remaining } = decay('polynomial', options, problems)
  return warmed(warmupSteps, (step) => minRatio + (1 - minRatio) * remaining(step) ** power)
}

/**
 * Falls as one over the root of the step, without end (Vaswani et al. 2017, arXiv:1706.03762).
 *
 * @throws InputError when a number of steps is not a natural number or `timescale` is not positive
 * @example
 * inverseSqrt({ warmupSteps: 100 })(400) // 0.5
 */
export function inverseSqrt(options: InverseSqrtOptions = {}): Schedule {
  checkNames('inverseSqrt', options, { ...DECAY, timescale: true })
  const { warmupSteps = 0 } = options
  const { timescale = warmupSteps > 0 ? warmupSteps : 10_000 } = options
  check('inverseSqrt', { warmupSteps }, positive('timescale', timescale))
  return warmed(warmupSteps, (step) => 1 / Math.sqrt((step + timescale - warmupSteps) / timescale))
}

/**
 * Warmup, stable, decay (Hu et al. 2024, arXiv:2404.06395): rises to 1, stays there, and falls during the last `decaySteps`.
 *
 * @throws InputError when the numbers of steps do not fit together or the ratio is out of range
 * @example
 * wsd({ warmupSteps: 10, decaySteps: 20, totalSteps: 100 })(50) // 1
 */
export function wsd(options: WsdOptions): Schedule {
  checkNames('wsd', options, { ...DECAY, decaySteps: true, warmupType: true, decayType: true, minRatio: true })
  const { warmupSteps = 0, decaySteps, totalSteps, warmupType = 'linear', decayType = 'cosine', minRatio = 0 } = options
  const problems = warmupSteps + decaySteps > totalSteps
    ? [`warmupSteps + decaySteps: expected at most totalSteps (${totalSteps}), got ${warmupSteps + decaySteps}`] : []
  check('wsd', { warmupSteps, decaySteps, totalSteps }, [...problems, ...ratio('minRatio', minRatio)])
  const rise = ramp(warmupType)
  const fall = ramp(decayType)
  const raised = (factor: number): number => minRatio + (1 - minRatio) * factor
  const decayStart = totalSteps - decaySteps
  return (step) => {
    if (step < warmupSteps) return raised(rise(step / warmupSteps))
    if (step < decayStart) return 1
    return step < totalSteps ? raised(fall(1 - (step - decayStart) / decaySteps)) : minRatio
  }
}

function warmed(warmupSteps: number, after: Schedule): Schedule {
  return (step) => step < warmupSteps ? step / warmupSteps : after(step)
}

/** From 1 at 0 over 0 at 1 back to 1 at 2. */
function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * progress))
}

function ramp(type: Ramp): (progress: number) => number {
  switch (type) {
    case 'linear': return (progress) => progress
    case 'cosine': return (progress) => halfCosine(1 - progress)
    case '1-sqrt': return (progress) => 1 - Math.sqrt(1 - progress)
  }
}

/**
 * Checks the options, and gives the share of the decay that is done at a step (above 1 after the end) and the share
 * that remains (0 after the end). They do not add up to 1 where the warmup takes all steps: as in transformers, a
 * cosine has not begun then, a line has ended.
 */
function decay(name: string, options: DecayOptions, problems: readonly string[] = []): {
  warmupSteps: number
  progress: (step: number) => number
  remaining: (step: number) => number
} {
  const { warmupSteps = 0, totalSteps } = options
  const order = warmupSteps > totalSteps ? [`warmupSteps: expected at most totalSteps (${totalSteps}), got ${warmupSteps}`] : []
  check(name, { warmupSteps, totalSteps }, [...order, ...problems])
  const decaySteps = Math.max(1, totalSteps - warmupSteps)
  return {
    warmupSteps,
    progress: (step) => (step - warmupSteps) / decaySteps,
    remaining: (step) => Math.max(0, (totalSteps - step) / decaySteps),
  }
}

function positive(name: string, value: number): string[] {
  return value > 0 && Number.isFinite(value) ? [] : [`${name}: expected a positive number, got ${value}`]
}

function ratio(name: string, value: number): string[] {
  return value >= 0 && value <= 1 ? [] : [`${name}: expected a number from 0 to 1, got ${value}`]
}

function check(schedule: string, steps: Readonly<Record<string, number>>, problems: readonly string[] = []): void {
  const uncountable = Object.entries(steps)
    .filter(([, value]) => !Number.isSafeInteger(value) || value < 0)
    .map(([name, value]) => `${name}: expected a natural number of steps, got ${shown(value)}`)
  const all = [...uncountable, ...problems]
  if (all.length > 0) throw new InputError(`${schedule}: the options do not make a schedule. Correct these:`, all)
}
