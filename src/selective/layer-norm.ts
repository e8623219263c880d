// LayerNorm tuning: scale and shift of the norms are trained, and nothing else.
//
// Zhao et al. 2023, arXiv:2312.11420

import type { Method } from '../base/method.ts'
import { moduleNames } from '../base/adapter/module-names.ts'
import { idleInFile, selectionFields } from '../base/adapter/peft-selection.ts'
import { readSelection, type FileContext } from '../base/adapter/read-selection.ts'
import type { SectionReader } from '../base/settings.ts'
import { SELECTION, selectModules, type Module } from '../base/adapter/targets.ts'
import { moduleKeys, type MethodFields, type FileFormat } from '../base/adapter/file-format.ts'
import { checkNames } from '../base/options.ts'
import type { ParameterSpec } from '../base/sites.ts'
import type { Selection } from '../base/adapter/selection.ts'

/**
 * Trains the norms (Zhao et al. 2023, arXiv:2312.11420): all, or those that `targets`, `exclude` and `layers` choose. The
 * adapted model starts equal to the base.
 *
 * @throws TargetError, on attaching, when a target matches no norm
 * @example const adapter = attach(model, layerNormTuning())
 */
export function layerNormTuning(options: Selection = {}): Method {
  checkNames('layerNormTuning', options, SELECTION)
  return {
    select: () => [],
    init: () => ({}),
    copies: (params) => {
      const all = norms(params)
      const chosen = selectModules(all, options, { unnamed: all, what: 'norm' })
      return [...params.keys()].filter((name) => chosen.some((norm) => moduleOf(name) === norm.name))
    },
    name: 'layerNormTuning',
    format: layerNormFormat(options),
  }
}

/** PEFT's LNTuningConfig, field by field. */
export const LAYER_NORM_FIELDS: MethodFields = { done: ['target_modules', 'exclude_modules'], off: {}, idle: [] }

function layerNormFormat(options: Selection): FileFormat {
  return {
    type: 'LN_TUNING',
    fields: LAYER_NORM_FIELDS,
    warnings: ({ params }) => idleInFile(options, norms(params)),
    config: ({ copies, modules }) => {
      const chosen = [...new Set(copies.map(moduleOf))].map((name) => ({ name }))
      const { target_modules, exclude_modules } = selectionFields(withoutLayers(options), chosen, modules, moduleNames(chosen, modules))
      return { target_modules, exclude_modules }
    },
    ...moduleKeys({ at: {}, copy: (name) => name.replace(/([^.]+)$/, 'ln_tuning_layers.$1') }),
  }
}

/** PEFT's LNTuningConfig has none. */
function withoutLayers({ layers, ...rest }: Selection): Selection {
  return layers === undefined ? rest : {}
}

/** The options of a LayerNorm tuning that HF PEFT or this library saved. */
export function readLayerNormOptions(read: SectionReader, file: FileContext): Selection {
  return readSelection(read, file)
}

function norms(params: ReadonlyMap<string, ParameterSpec>): Module[] {
  const named = [...params].filter(([, { part }]) => part === 'norm').map(([name, { tower }]) => [moduleOf(name), tower] as const)
  return [...new Map(named)].map(([name, tower]) => ({ name, ...(tower === undefined ? {} : { tower }) }))
}

function moduleOf(param: string): string {
  return param.split('.').slice(0, -1).join('.')
}
