import type { Selection } from '../base/adapter/selection.ts'
import { SELECTION } from '../base/adapter/targets.ts'
import { checkNames, type Names } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'

/** Options of AdaLoRA. Which modules it takes: `targets`, `exclude`, `layers`; query and value when none are named. */
export interface AdaloraOptions extends Selection {
  /** Rank of each module's update before the budget takes from it. @default 12 */
  readonly initRank?: number
  /** Numerator of the update's scale, alpha / initRank. Above 0. @default 8 */
  readonly alpha?: number
  /** Dropout on the update's input while training, in [0, 1). @default 0 */
  readonly dropout?: number
  /** Ranks that a budget has left to modules, by their full paths; a module with 0 is not taken. @default initRank everywhere */
  readonly ranks?: Readonly<Record<string, number>>
}

/** The options with every default filled in. */
export type AdaloraConfig = Required<Omit<AdaloraOptions, keyof Selection>> & Selection

const NAMES: Names<AdaloraOptions> = { ...SELECTION, initRank: true, alpha: true, dropout: true, ranks: true }

/** @throws InputError with everything that is wrong with the options */
export function adaloraConfig(options: AdaloraOptions): AdaloraConfig {
  checkNames('adalora', options, NAMES)
  const config = { initRank: 12, alpha: 8, dropout: 0, ranks: {}, ...options }
  const { initRank, alpha, dropout, ranks } = config
  const problems = [
    ...(Number.isInteger(initRank) && initRank >= 1 ? [] : [`initRank: expected an integer of at least 1, got ${shown(initRank)}`]),
    ...(alpha > 0 && alpha < Infinity ? [] : [`alpha: expected a number above 0, got ${shown(alpha)}`]),
    ...(dropout >= 0 && dropout < 1 ? [] : [`dropout: expected a number in [0, 1), got ${shown(dropout)}`]),
    ...Object.entries(ranks).flatMap(([module, rank]) =>
      Number.isInteger(rank) && rank >= 0 && rank <= initRank ? [] : [`ranks['${module}']: expected an integer from 0 to initRank (${initRank}), got ${shown(rank)}`]),
  ]
  if (problems.length > 0) throw new InputError('adalora: the options cannot be used:', problems)
  return config
}
