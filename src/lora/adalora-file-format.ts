import { isTransposed, moduleKeys, type FileFormat, type FormatContext, type MethodFields, type NamedTensor, type NamedTensors } from '../base/adapter/file-format.ts'
import { moduleNames } from '../base/adapter/module-names.ts'
import { idleInFile, selectionFields } from '../base/adapter/peft-selection.ts'
import { readSelection, type FileContext } from '../base/adapter/read-selection.ts'
import { weightSites } from '../base/adapter/targets.ts'
import type { SectionReader } from '../base/settings.ts'
import type { Site } from '../base/sites.ts'
import { shown } from '../errors.ts'
import type { AdaloraConfig, AdaloraOptions } from './adalora-options.ts'
import { LORA_FIELDS } from './file-format.ts'

/** PEFT's AdaLoraConfig, field by field. Its schedule is the training's: `rankBudget` is given one. */
export const ADALORA_FIELDS: MethodFields = {
  done: [
    'init_r', 'lora_alpha', 'lora_dropout', 'rank_pattern', 'target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern',
  ],
  off: { bias: ['none'], target_parameters: [[]], trainable_token_indices: [], use_dora: [false], ...LORA_FIELDS.off },
  idle: [
    'r', 'use_rslora', 'alpha_pattern', 'init_lora_weights', 'target_r', 'tinit', 'tfinal', 'deltaT', 'beta1', 'beta2', 'orth_reg_weight', 'total_step', ...LORA_FIELDS.idle,
  ],
}

/** AdaLoRA in HF PEFT's files, which leave out the ranks that the budget has taken. */
export function adaloraFormat(config: AdaloraConfig): FileFormat {
  const keys = moduleKeys({ at: { A: 'lora_A', E: 'lora_E', B: 'lora_B' } })
  return {
    type: 'ADALORA',
    fields: ADALORA_FIELDS,
    warnings: ({ all }) => idleInFile(config, weightSites(all)),
    config: (context, tensors) => ({
      ...configFields(config, context),
      rank_pattern: tensors === undefined ? null : rankPattern(config, keptRanks(tensors, context)),
    }),
    toFile: (tensors, context) => keys.toFile(withKept(tensors, keptRanks(tensors, context), context), context),
    fromFile: (tensors, context) => withoutEmpty(keys.fromFile(tensors, context), context),
  }
}

function configFields(config: AdaloraConfig, context: FormatContext): Readonly<Record<string, unknown>> {
  const { sites, all, modules } = context
  return {
    init_r: config.initRank,
    target_r: 1,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    ...selectionFields(config, sites, modules, moduleNames(sites, [...weightSites(all), ...modules])),
    bias: 'none',
    fan_in_fan_out: isTransposed(context),
    // PEFT wants a schedule of every file: one that takes nothing, until a training says otherwise
    total_step: NO_STEPS,
    tinit: NO_STEPS - 1,
    tfinal: 0,
  }
}

const NO_STEPS = 2 ** 31 - 1

/** Which ranks of a site are kept. */
type Kept = ReadonlyMap<Site, readonly boolean[]>

/** What has a singular value of 0 is nothing; before the first step all of them are 0, and none is left out. */
function keptRanks(tensors: NamedTensors, { sites }: FormatContext): Kept {
  const singular = new Map(sites.map((site) => [site, Array.from(tensors.get(`${site.name}.E`)?.values ?? [], (value) => value !== 0)]))
  const isFresh = [...singular.values()].every((kept) => !kept.includes(true))
  return isFresh ? new Map([...singular].map(([site, kept]) => [site, kept.map(() => true)])) : singular
}

/** Those of `initRank` that a module still has, under PEFT's name of its singular values. */
function rankPattern({ initRank }: AdaloraConfig, kept: Kept): Readonly<Record<string, readonly boolean[]>> | null {
  const left = [...kept].map(([{ name }, flags]) => [name, flags.filter(Boolean).length] as const)
  if (left.every(([, rank]) => rank === initRank)) return null
  return Object.fromEntries(left.map(([name, rank]) => [`${name}.lora_E`, Array.from({ length: initRank }, (_, i) => i < rank)]))
}

function withKept(tensors: NamedTensors, kept: Kept, { sites }: FormatContext): NamedTensors {
  const result = new Map(tensors)
  for (const site of sites) {
    const flags = kept.get(site) ?? []
    const own = (short: string): NamedTensor => tensors.get(`${site.name}.${short}`) as NamedTensor // as made by init
    const rank = flags.filter(Boolean).length
    const [A, E, B] = [own('A'), own('E'), own('B')]
    const [columns = 0, rows = 0] = [A.shape[1], B.shape[0]]
    result.set(`${site.name}.A`, { shape: [rank, columns], values: A.values.filter((_, i) => flags[Math.floor(i / columns)]) })
    result.set(`${site.name}.E`, { shape: [rank, 1], values: E.values.filter((_, i) => flags[i]) })
    result.set(`${site.name}.B`, { shape: [rows, rank], values: B.values.filter((_, i) => flags[i % flags.length]) })
  }
  return result
}

/** Modules that have lost every rank are in PEFT's files with tensors of no numbers. */
function withoutEmpty(tensors: NamedTensors, { sites }: FormatContext): NamedTensors {
  const isOwn = new Set(sites.map(({ name }) => `${name}.E`))
  return new Map([...tensors].flatMap(([name, tensor]): [string, NamedTensor][] => {
    if (tensor.values.length === 0) return []
    const [rank = 0, columns] = tensor.shape
    return [[name, isOwn.has(name) && columns === 1 ? { ...tensor, shape: [rank] } : tensor]]
  }))
}

/** The options of an AdaLoRA that HF PEFT or this library saved. */
export function readAdaloraOptions(read: SectionReader, file: FileContext): AdaloraOptions {
  for (const [key, values] of Object.entries(ADALORA_FIELDS.off)) read.off(key, values)
  const initRank = read.integer('init_r', { fallback: 12, min: 1 })
  return {
    initRank,
    alpha: read.number('lora_alpha', { fallback: 8, above: 0 }),
    dropout: read.number('lora_dropout', { fallback: 0, min: 0, below: 1 }),
    ranks: readRanks(read, initRank),
    ...readSelection(read, file, { layers: true }),
  }
}

function readRanks(read: SectionReader, initRank: number): Readonly<Record<string, number>> {
  const pattern: unknown = read.raw('rank_pattern') ?? {}
  const isFlags = (value: unknown): value is boolean[] => Array.isArray(value) && value.length <= initRank && value.every((flag) => typeof flag === 'boolean')
  const isPattern = typeof pattern === 'object' && pattern !== null && !Array.isArray(pattern)
  read.check(isPattern, `rank_pattern: expected lists of true and false by the names of modules, got ${shown(pattern)}`)
  const entries = isPattern ? Object.entries(pattern) : []
  for (const [name, flags] of entries) read.check(isFlags(flags), `rank_pattern['${name}']: expected at most init_r (${initRank}) times true or false, got ${shown(flags)}`)
  return Object.fromEntries(entries.flatMap(([name, flags]) => (isFlags(flags) ? [[name.replace(/\.lora_E(\.\w+)?$/, ''), flags.filter(Boolean).length]] : [])))
}
