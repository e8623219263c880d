import { moduleNames } from '../base/adapter/module-names.ts'
import { idleInFile, selectionFields } from '../base/adapter/peft-selection.ts'
import { readNames, readSelection, type FileContext } from '../base/adapter/read-selection.ts'
import type { SectionReader } from '../base/settings.ts'
import type { Site } from '../base/sites.ts'
import { weightSites } from '../base/adapter/targets.ts'
import { isTransposed, moduleKeys, type MethodFields, type FileFormat, type FormatContext } from '../base/adapter/file-format.ts'
import { convolutions } from './convolutions.ts'
import type { Ia3Options } from './ia3-options.ts'

/** PEFT's IA3Config, field by field. */
export const IA3_FIELDS: MethodFields = {
  done: ['target_modules', 'exclude_modules', 'feedforward_modules'],
  off: {},
  idle: ['fan_in_fan_out', 'init_ia3_weights'],
}

/** (IA)³ in HF PEFT's files. */
export function ia3Format(options: Ia3Options, isFeedForward: (site: Site) => boolean): FileFormat {
  const keys = moduleKeys({ at: { l: 'ia3_l' } })
  return {
    type: 'IA3',
    fields: IA3_FIELDS,
    warnings: ({ all }) => idleInFile(options, weightSites(all)),
    config: (context) => ({
      ...modulesOf(options, isFeedForward, context),
      fan_in_fan_out: isTransposed(context),
      init_ia3_weights: true,
    }),
    toFile: (tensors, context) => keys.toFile(convolutions(tensors, context.sites, 'file'), context),
    fromFile: (tensors, context) => convolutions(keys.fromFile(tensors, context), context.sites, 'own'),
  }
}

/** PEFT wants every feed-forward name among the targets, and takes it for the end of a path inside words too. */
function modulesOf(options: Ia3Options, isFeedForward: (site: Site) => boolean, { sites, all, modules }: FormatContext): Readonly<Record<string, unknown>> {
  const others = [...weightSites(all), ...modules]
  const end = (text: string) => (name: string): boolean => name.endsWith(text)
  const kept = moduleNames(sites.filter((site) => !isFeedForward(site)), others)
  const scaledInside = moduleNames(sites.filter(isFeedForward), others, end)
  const { target_modules, exclude_modules } = selectionFields(options, sites, modules, [...kept, ...scaledInside])
  const own = options.feedForward
  return own !== undefined && target_modules === options.targets && options.inFile !== undefined
    ? { target_modules, exclude_modules, feedforward_modules: own }
    : { target_modules: [...kept, ...scaledInside], exclude_modules: null, feedforward_modules: scaledInside }
}

/** The options of an (IA)³ that HF PEFT or this library saved. */
export function readIa3Options(read: SectionReader, file: FileContext): Ia3Options {
  return { ...readSelection(read, file), feedForward: readNames(read, 'feedforward_modules') }
}
