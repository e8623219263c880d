// LayerNorm tuning: scale and shift of the norms are trained, and nothing else.
//
// Zhao et al. 2023, arXiv:2312.11420

import { CheckpointError } from '../errors.ts'
import type { Method } from '../base/method.ts'
import { readSelection } from '../base/read-selection.ts'
import type { Need } from '../base/survey.ts'
import { moduleNames, modulesOf, selectModules, type Selection } from '../base/targets.ts'
import { moduleKeys, type Wire } from '../base/wire.ts'

/**
 * Trains the norms (Zhao et al. 2023, arXiv:2312.11420): all, or those that `targets`, `exclude` and `layers` choose. The
 * adapted model starts equal to the base.
 *
 * @throws TargetError, on attaching, when a target matches no norm
 * @example const adapter = attach(model, layerNormTuning())
 */
export function layerNormTuning(options: Selection = {}): Method {
  return {
    select: () => [],
    init: () => ({}),
    copies: (params) => {
      const all = norms(params)
      const chosen = selectModules(all, options, { unnamed: all, what: 'norm' })
      return [...params.keys()].filter((name) => chosen.some((norm) => moduleOf(name) === norm.name))
    },
    wire,
  }
}

const wire: Wire = {
  type: 'LN_TUNING',
  fields: ['target_modules', 'exclude_modules'],
  config: ({ copies, params }) => {
    const all = modulesOf([...params.keys()]).map((name) => ({ name }))
    return { target_modules: moduleNames(copies.map((copy) => ({ name: moduleOf(copy) })), all), exclude_modules: null }
  },
  ...moduleKeys({ at: {}, copy: (name) => name.replace(/([^.]+)$/, 'ln_tuning_layers.$1') }),
}

/**
 * The options of a LayerNorm tuning that HF PEFT or this library saved.
 *
 * @throws CheckpointError with every field that cannot be read
 */
export function readLayerNormOptions(json: Readonly<Record<string, unknown>>): Selection {
  const problems: string[] = []
  const selection = readSelection(json, problems)
  if (problems.length > 0) throw new CheckpointError('adapter_config.json: this LayerNorm tuning cannot be used:', problems)
  return selection
}

function norms(params: ReadonlyMap<string, Need>): { readonly name: string }[] {
  const named = [...params].filter(([, { part }]) => part === 'norm').map(([name]) => moduleOf(name))
  return [...new Set(named)].map((name) => ({ name }))
}

function moduleOf(param: string): string {
  return param.split('.').slice(0, -1).join('.')
}
