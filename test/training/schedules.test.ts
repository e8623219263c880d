import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/errors.ts'
import { constant, cosine, cosineWithRestarts, inverseSqrt, linear, polynomial, wsd } from '../../src/training/schedules.ts'
import type { Ramp, Schedule } from '../../src/training/schedules.ts'

/** transformers' options under their own names; its functions check them. */
interface GoldenOptions {
  readonly lr: number
  readonly num_warmup_steps: number
  readonly num_training_steps: number
  readonly num_stable_steps: number
  readonly num_decay_steps: number
  readonly num_cycles?: number
  readonly power?: number
  readonly lr_end?: number
  readonly timescale?: number
  readonly min_lr_rate?: number
  readonly min_lr_ratio?: number
  readonly warmup_type?: Ramp
  readonly decay_type?: Ramp
}

const { schedules } = JSON.parse(readFileSync(new URL('../golden/schedules.json', import.meta.url), 'utf8')) as {
  schedules: { name: string; options: GoldenOptions; multipliers: number[] }[]
}

const OURS: Readonly<Record<string, (options: GoldenOptions) => Schedule>> = {
  get_constant_schedule_with_warmup: (o) => constant(warmup(o)),
  get_linear_schedule_with_warmup: (o) => linear(span(o)),
  get_cosine_schedule_with_warmup: (o) => cosine({ ...span(o), ...cycles(o) }),
  get_cosine_with_min_lr_schedule_with_warmup: (o) => cosine({ ...span(o), minRatio: o.min_lr_rate ?? 0 }),
  get_cosine_with_hard_restarts_schedule_with_warmup: (o) => cosineWithRestarts({ ...span(o), ...cycles(o) }),
  get_polynomial_decay_schedule_with_warmup: (o) =>
    polynomial({ ...span(o), power: o.power ?? 1, minRatio: (o.lr_end ?? 1e-7) / o.lr }),
  get_inverse_sqrt_schedule: (o) =>
    inverseSqrt({ ...warmup(o), ...(o.timescale === undefined ? {} : { timescale: o.timescale }) }),
  get_wsd_schedule: (o) => wsd({
    ...warmup(o),
    decaySteps: o.num_decay_steps,
    totalSteps: o.num_warmup_steps + o.num_stable_steps + o.num_decay_steps,
    warmupType: o.warmup_type ?? 'linear',
    decayType: o.decay_type ?? 'cosine',
    minRatio: o.min_lr_ratio ?? 0,
  }),
}

function warmup(o: GoldenOptions): { warmupSteps: number } {
  return { warmupSteps: o.num_warmup_steps }
}

function span(o: GoldenOptions): { warmupSteps: number; totalSteps: number } {
  return { ...warmup(o), totalSteps: o.num_training_steps }
}

function cycles(o: GoldenOptions): { cycles?: number } {
  return o.num_cycles === undefined ? {} : { cycles: o.num_cycles }
}

describe('schedules', () => {
  it.each(schedules.map((golden) => [`${golden.name} ${JSON.stringify(golden.options)}`, golden] as const))(
    'equals transformers: %s', (_, { name, options, multipliers }) => {
      const schedule = OURS[name]?.(options)
      expect(schedule, `${name} has no counterpart here`).toBeDefined()
      for (const [step, multiplier] of multipliers.entries()) expect(schedule?.(step), `step ${step}`).toBeCloseTo(multiplier, 12)
    })

  it('need no options where nothing has to be known', () => {
    expect(constant()(1000)).toBe(1)
    expect(inverseSqrt()(30_000)).toBe(0.5) // transformers' timescale of 10,000
  })

  it('give the examples of their documentation', () => {
    expect(constant({ warmupSteps: 10 })(5)).toBe(0.5)
    expect(linear({ warmupSteps: 10, totalSteps: 110 })(60)).toBe(0.5)
    expect(cosine({ totalSteps: 100 })(50)).toBeCloseTo(0.5, 12)
    expect(cosineWithRestarts({ totalSteps: 100, cycles: 2 })(50)).toBe(1)
    expect(polynomial({ totalSteps: 100, power: 2 })(50)).toBe(0.25)
    expect(inverseSqrt({ warmupSteps: 100 })(400)).toBe(0.5)
    expect(wsd({ warmupSteps: 10, decaySteps: 20, totalSteps: 100 })(50)).toBe(1)
  })

  it('rises on all shapes of a warmup', () => {
    // 0.5 (1 - cos(π/4)) and 1 - sqrt(3/4), raised by the ratio
    const rise = (warmupType: Ramp): number =>
      wsd({ warmupSteps: 4, decaySteps: 1, totalSteps: 8, warmupType, minRatio: 0.2 })(1)
    expect(rise('linear')).toBeCloseTo(0.2 + 0.8 * 0.25, 12)
    expect(rise('cosine')).toBeCloseTo(0.2 + 0.8 * 0.1464466094067262, 12)
    expect(rise('1-sqrt')).toBeCloseTo(0.2 + 0.8 * 0.1339745962155614, 12)
  })

  it('list every option that is wrong', () => {
    const bad = (): Schedule => polynomial({ warmupSteps: 12, totalSteps: 10.5, power: 0, minRatio: 2 })
    expect(bad).toThrow(InputError)
    expect(bad).toThrow([
      'polynomial: the options do not make a schedule. Correct these:',
      '  - totalSteps: expected a natural number of steps, got 10.5',
      '  - warmupSteps: expected at most totalSteps (10.5), got 12',
      '  - power: expected a positive number, got 0',
      '  - minRatio: expected a number from 0 to 1, got 2',
    ].join('\n'))
    expect(() => constant({ warmupSteps: -1 })).toThrow('warmupSteps: expected a natural number of steps, got -1')
    expect(() => cosine({ totalSteps: 5, cycles: NaN })).toThrow('cycles: expected a positive number, got NaN')
    expect(() => cosineWithRestarts({ totalSteps: 5, cycles: 0 })).toThrow('cycles: expected a positive number, got 0')
    expect(() => inverseSqrt({ timescale: 0 })).toThrow('timescale: expected a positive number, got 0')
    expect(() => wsd({ warmupSteps: 5, decaySteps: 6, totalSteps: 10 })).toThrow(
      'warmupSteps + decaySteps: expected at most totalSteps (10), got 11')
  })
})
