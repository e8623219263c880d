import { CheckpointError } from '../errors.ts'
import { readNames, readSelection } from '../base/read-selection.ts'
import type { Site } from '../base/sites.ts'
import { moduleNames, weightSites } from '../base/targets.ts'
import { isTransposed, moduleKeys, type Wire } from '../base/wire.ts'
import type { Ia3Options } from './ia3.ts'

/** (IA)³ in HF PEFT's files. */
export function ia3Wire(isFeedForward: (site: Site) => boolean): Wire {
  return {
    type: 'IA3',
    fields: ['target_modules', 'exclude_modules', 'feedforward_modules', 'fan_in_fan_out', 'init_ia3_weights'],
    config: (context) => {
      const { sites, all } = context
      // PEFT wants every feed-forward name among the targets, so each name has to mean sites of one kind.
      const names = (kind: boolean): readonly string[] => moduleNames(sites.filter((site) => isFeedForward(site) === kind), weightSites(all))
      return {
        target_modules: [...names(false), ...names(true)],
        feedforward_modules: names(true),
        exclude_modules: null,
        fan_in_fan_out: isTransposed(context),
        init_ia3_weights: true,
      }
    },
    ...moduleKeys({ at: { l: 'ia3_l' } }),
  }
}

/**
 * The options of an (IA)³ that HF PEFT or this library saved.
 *
 * @throws CheckpointError with every field that cannot be read
 */
export function readIa3Options(json: Readonly<Record<string, unknown>>): Ia3Options {
  const problems: string[] = []
  const options: Ia3Options = { ...readSelection(json, problems), feedForward: readNames(json, 'feedforward_modules', problems) }
  if (problems.length > 0) throw new CheckpointError('adapter_config.json: this (IA)³ cannot be used:', problems)
  return options
}
