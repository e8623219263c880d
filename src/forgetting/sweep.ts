import { checkKind, checkTakesModel } from '../base/awaited.ts'
import { InputError, shown } from '../errors.ts'
import { detach, viewWith } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { Model } from '../base/model.ts'
import { interpolate } from './interpolate-adapter.ts'
import { checkNames } from '../base/options.ts'

/** What was measured at one alpha: a score, the higher the better, and whatever else is worth keeping. */
export interface Scored {
  readonly score: number
}

/** What `sweepAlpha` measures, and where. */
export interface SweepOptions<Measured extends Scored> {
  /** Measures the model that it is given: it has the adapter at alpha in its place, and other adapters as they are. */
  readonly evaluate: (model: Model, alpha: number) => Measured | Promise<Measured>
  /** Points to measure, each in [0, 1]. @default 0, 0.1, … 1 */
  readonly alphas?: readonly number[]
}

/** The curve of a sweep and its best point. */
export interface Sweep<Measured extends Scored> {
  /** In the order of the alphas. */
  readonly rows: readonly (Measured & { readonly alpha: number })[]
  /** The row of the highest score; of several, that of the smallest alpha, which changes the base least. */
  readonly best: Measured & { readonly alpha: number }
}

/**
 * Measures a model with an adapter at several points between the base and the adapter: the curve of WiSE-FT
 * (arXiv:2109.01903). Afterwards the model is as it was; `interpolate` gives an adapter at the chosen point.
 *
 * Choose on rows that were held out from the training, and report on others.
 *
 * @throws InputError when there are no alphas, one is outside [0, 1], `evaluate` takes no model, a score is NaN, or the adapter cannot be interpolated
 * @example
 * const { best, rows } = await sweepAlpha(adapter, {
 *   alphas: [0, 0.5, 1],
 *   evaluate: async (model) => ({ score: accuracy((await predict(model, train)).classes, train.labels) }),
 * })
 * const chosen = interpolate(adapter, best.alpha, { name: 'chosen' })
 */
export async function sweepAlpha<Measured extends Scored>(
  adapter: Adapter,
  options: SweepOptions<Measured>,
): Promise<Sweep<Measured>> {
  checkNames('sweepAlpha', options, { evaluate: true, alphas: true })
  const { evaluate, alphas = Array.from({ length: 11 }, (_, i) => i / 10) } = options
  checkKind('adapter', adapter)
  checkTakesModel('sweepAlpha', evaluate)
  const wrong = alphas.filter((alpha) => !(alpha >= 0 && alpha <= 1))
  if (wrong.length > 0 || alphas.length === 0) {
    throw new InputError(`sweepAlpha: expected one or more alphas in [0, 1], got ${alphas.length === 0 ? 'none' : wrong.join(', ')}.`)
  }
  const rows: (Measured & { readonly alpha: number })[] = []
  for (const alpha of alphas) {
    const make = (): Adapter => interpolate(adapter, alpha, { name: `${adapter.name} at ${alpha}` })
    rows.push({ ...(await inPlaceOf([adapter], make, (model) => evaluate(model, alpha))), alpha })
  }
  const problems = rows.filter(({ score }) => typeof score !== 'number' || Number.isNaN(score)).map(({ alpha, score }) => `at ${alpha}: ${shown(score)}`)
  if (problems.length > 0) throw new InputError('sweepAlpha: evaluate gave no number as score, as in { score: 0.9 }:', problems)
  const best = rows.reduce((a, b) => (b.score > a.score || (b.score === a.score && b.alpha < a.alpha) ? b : a))
  return { rows, best }
}

/**
 * Runs `run` on the model with a passing adapter in place of those it stands for.
 *
 * @throws InputError when the passing adapter cannot stand beside the others that are enabled
 */
export async function inPlaceOf<T>(adapters: readonly Adapter[], make: () => Adapter, run: (model: Model) => T | Promise<T>): Promise<T> {
  const passing = make()
  const { model } = passing
  try {
    return await run(viewWith(model, [...model.attached.enabled.filter((other) => !adapters.includes(other)), passing]))
  } finally {
    detach(passing)
  }
}
