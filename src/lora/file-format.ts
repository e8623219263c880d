import { CheckpointError } from '../errors.ts'
import { moduleNames } from '../base/adapter/module-names.ts'
import { read } from '../base/engine/read.ts'
import { idleInFile, patternFields, patternsFor, patternTable, selectionFields } from '../base/adapter/peft-selection.ts'
import { weightSites } from '../base/adapter/targets.ts'
import { sameValues } from '../base/ties.ts'
import {
  isTransposed, MODULE_PREFIX, moduleKeys, turned, type MethodFields, type NamedTensor, type NamedTensors, type Suffixes, type FileFormat, type FormatContext,
} from '../base/adapter/file-format.ts'
import { biasWarnings, ROWS_KEY, rowsFromFile, rowsToFile, sharedModule } from '../base/adapter/token-rows-file.ts'
import { convolutions } from './convolutions.ts'
import { expertsPath, isParameter } from './parameters.ts'
import { isWeightInit, startsFromWeight, type LoraConfig } from './options.ts'
import { partsOf } from './token-rows.ts'

/** PEFT's LoraConfig, field by field. */
export const LORA_FIELDS: MethodFields = {
  done: [
    'r', 'lora_alpha', 'lora_dropout', 'use_rslora', 'rank_pattern', 'alpha_pattern', 'target_modules', 'exclude_modules',
    'layers_to_transform', 'layers_pattern', 'bias', 'init_lora_weights', 'use_dora', 'trainable_token_indices', 'target_parameters',
  ],
  off: {
    lora_bias: [false],
    layer_replication: [],
    alora_invocation_tokens: [],
    use_qalora: [false],
    use_bdlora: [false],
    arrow_config: [],
    monteclora_config: [],
    kasa_config: [],
    velora_config: [],
  },
  idle: [
    'corda_config', 'eva_config', 'fan_in_fan_out', 'loftq_config', 'lora_ga_config', 'megatron_config',
    'megatron_core', 'qalora_group_size', 'runtime_config',
  ],
}

const LINEAR = { A: 'lora_A.weight', B: 'lora_B.weight', magnitude: 'lora_magnitude_vector', rows: `token_adapter.${ROWS_KEY}` }
const EMBEDDING: Suffixes = { A: 'lora_embedding_A', B: 'lora_embedding_B', magnitude: 'lora_magnitude_vector', rows: LINEAR.rows }

/** LoRA and DoRA in HF PEFT's files. What starts from the weight is written as the plain LoRA of twice the rank that it is. */
export function loraFormat(config: LoraConfig, { dora = false }: { readonly dora?: boolean } = {}): FileFormat {
  const keys = moduleKeys({
    at: (site) => (site.kind === 'embedding' ? EMBEDDING : LINEAR),
    path: (site, context) => sharedModule(site, partsOf(config, context).rows) ?? expertsPath(site, context),
    copy: (name, { sites }) =>
      sites.some((site) => site.kind === 'linear' && site.bias === name) ? name.replace(/bias$/, 'base_layer.bias') : name,
  })
  const file = (tensors: NamedTensors, context: FormatContext): NamedTensors => {
    const parts = partsOf(config, context)
    const withRows = rowsToFile(withFollowers(tensors, context), parts.rows, 'token_adapter.base_layer')
    return keys.toFile(withBase(convolutions(withRows, parts.lora.sites, 'file'), everywhere(parts.lora)), everywhere(context))
  }
  return {
    type: 'LORA',
    fields: LORA_FIELDS,
    warnings: (context) => [...warningsOf(config, partsOf(config, context).lora), ...(config.inFile === undefined ? [] : biasWarnings(partsOf(config, context).rows))],
    config: (context) => {
      const { lora } = partsOf(config, context)
      return { ...configFields(isWeightInit(config) ? doubled(config, lora) : config, lora), use_dora: dora }
    },
    everyBias: config.bias === 'all',
    toFile: (tensors, context, inFull) => {
      const own = isWeightInit(config) ? folded(tensors, config, partsOf(config, context).lora) : tensors
      return config.bias === 'all' ? withRepeats(file(own, context), context, inFull) : file(own, context)
    },
    fromFile: (tensors, context) => {
      const parts = partsOf(config, context)
      const own = keys.fromFile(withoutRemainders(withoutRepeats(tensors, config), config, parts.lora), everywhere(context))
      return rowsFromFile(withoutFollowers(convolutions(own, parts.lora.sites, 'own'), parts.lora), parts.rows)
    },
  }
}

function configFields(config: LoraConfig, context: FormatContext): Readonly<Record<string, unknown>> {
  const { all, modules, followers } = context
  const { sites: everySite } = everywhere(context)
  const sites = everySite.filter((site) => !isParameter(site, context))
  const parameters = everySite.filter((site) => isParameter(site, context)).flatMap((site) => ('weight' in site ? [{ name: site.weight }] : []))
  const parameterNames = moduleNames(parameters, [...context.params.keys()].map((name) => ({ name })))
  const names = moduleNames(sites, [...weightSites(all), ...modules])
  // PEFT ties the two where it finds one of their names; a text would have to fit it alone. Beside experts it keeps the last names
  // of a text's modules alone, and takes them in every layer.
  const named = followers.length > 0 || (typeof config.targets === 'string' && all.some(({ kind }) => kind === 'experts'))
  const selection = named ? {} : config
  return {
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    use_rslora: config.rankStabilized,
    rank_pattern: patternFields(config.rankPattern, everySite),
    alpha_pattern: patternFields(config.alphaPattern, everySite),
    ...selectionFields(selection, sites, modules, names),
    ...(parameters.length > 0 ? { target_parameters: parameterNames } : {}),
    bias: config.bias,
    ...(config.trainableTokens === undefined ? {} : { trainable_token_indices: config.trainableTokens }),
    ...(config.ensureWeightTying ? { ensure_weight_tying: true } : {}),
    fan_in_fan_out: isTransposed(context),
    init_lora_weights: config.init === 'gaussian' ? 'gaussian' : true,
  }
}

/** Twice the rank at the same scale, where A and B started from the weight. */
function doubled(config: LoraConfig, { sites }: FormatContext): LoraConfig {
  const times = (factor: number, value: number, at: (module: string) => number): Readonly<Record<string, number>> => {
    const values = new Map(sites.map((site) => [site.name, at(site.name) * (startsFromWeight(config, site) ? factor : 1)]))
    return patternsFor(sites, (name) => (values.get(name) === value * factor ? undefined : values.get(name)))
  }
  const growth = config.rankStabilized ? Math.SQRT2 : 2
  return {
    ...config,
    rank: config.rank * 2,
    alpha: config.alpha * growth,
    rankPattern: times(2, config.rank, config.rankAt),
    alphaPattern: times(growth, config.alpha, config.alphaAt),
    init: 'kaiming',
  }
}

/** B A − B0 A0 = [B, −B0] [A; A0], as PEFT itself writes such adapters. */
function folded(tensors: NamedTensors, config: LoraConfig, { sites }: FormatContext): NamedTensors {
  const result = new Map(tensors)
  for (const site of sites) {
    if (!startsFromWeight(config, site)) continue
    const { name } = site
    const own = (local: string): NamedTensor => tensors.get(`${name}.${local}`) as NamedTensor // as made by startAt
    result.set(`${name}.A`, stacked(own('A'), own('A0')))
    result.set(`${name}.B`, besideNegative(own('B'), own('B0')))
    result.delete(`${name}.A0`)
    result.delete(`${name}.B0`)
  }
  return result
}

/** [A; A0] */
function stacked({ shape: [rank = 0, columns = 0], values }: NamedTensor, start: NamedTensor): NamedTensor {
  const tall = new Float32Array(values.length * 2)
  tall.set(values)
  tall.set(start.values, values.length)
  return { shape: [rank * 2, columns], values: tall }
}

/** [B, −B0] */
function besideNegative({ shape: [rows = 0, rank = 0], values }: NamedTensor, start: NamedTensor): NamedTensor {
  const wide = new Float32Array(values.length * 2)
  for (let row = 0; row < rows; row++) {
    const part = row * rank
    wide.set(values.subarray(part, part + rank), part * 2)
    wide.set(start.values.subarray(part, part + rank).map((value) => -value), part * 2 + rank)
  }
  return { shape: [rows, rank * 2], values: wide }
}

/**
 * With bias 'all', PEFT writes every bias of its own model. It has those of modules trained in full twice more, the base's and the
 * copy again, and one parameter of two names under both.
 */
async function withRepeats(file: NamedTensors, { params, param, alsoCalled }: FormatContext, inFull: readonly string[]): Promise<NamedTensors> {
  const result = new Map(file)
  for (const name of params.keys()) {
    const [module, copy] = [inFull.find((each) => name.startsWith(`${each}.`)), file.get(MODULE_PREFIX + name)]
    if (module === undefined || copy === undefined || !name.endsWith('.bias')) continue
    const inside = name.slice(module.length + 1)
    result.set(`${MODULE_PREFIX}${module}.modules_to_save.${inside === 'bias' ? '' : 'default.'}${inside}`, copy)
    result.set(`${MODULE_PREFIX}${module}.original_module.${inside}`, { shape: copy.shape, values: await read(() => param(name)) })
  }
  for (const [other, own] of Object.entries(alsoCalled).filter(([name]) => name.endsWith('.bias'))) {
    const names = ['original_module.bias', 'base_layer.bias', 'bias'].map((end) => MODULE_PREFIX + own.replace(/bias$/, end))
    const tensor = names.map((name) => result.get(name)).find((each) => each !== undefined)
    if (tensor !== undefined) result.set(MODULE_PREFIX + other, tensor)
  }
  return result
}

/** The sites with those that follow one of them. */
function everywhere(context: FormatContext): FormatContext {
  return { ...context, sites: [...context.sites, ...context.followers.map(({ site }) => site)] }
}

/** A head that follows a table is in the file with the table's pair the other way round; with its rows where the table is there too. */
function withFollowers(tensors: NamedTensors, { followers }: FormatContext): NamedTensors {
  const pairs = followers.flatMap(({ site, owner }) => PAIR.flatMap(([ofSite, ofOwner]): [string, NamedTensor][] => {
    const [tensor, rows] = [tensors.get(`${owner.name}.${ofOwner}`), tensors.get(`${owner.name}.rows`)]
    if (rows !== undefined) return tensors.has(owner.weight) ? [[`${site.name}.rows`, rows]] : []
    return tensor === undefined ? [] : [[`${site.name}.${ofSite}`, turned(tensor)]]
  }))
  return new Map([...tensors, ...pairs])
}

/** @throws CheckpointError where the two differ */
function withoutFollowers(tensors: NamedTensors, { followers }: FormatContext): NamedTensors {
  const result = new Map(tensors)
  const problems: string[] = []
  for (const { site, owner } of followers) {
    for (const [ofSite, ofOwner] of PAIR) {
      const [own, kept] = [result.get(`${site.name}.${ofSite}`), result.get(`${owner.name}.${ofOwner}`)]
      if (own === undefined) continue
      result.delete(`${site.name}.${ofSite}`)
      if (kept === undefined) result.set(`${owner.name}.${ofOwner}`, turned(own))
      else if (!sameValues(turned(own).values, kept.values)) problems.push(`${site.name}.${ofSite} and ${owner.name}.${ofOwner}, the other way round`)
    }
  }
  if (problems.length > 0) throw new CheckpointError('The adapter has ensure_weight_tying, but these differ in its file:', problems)
  return result
}

const PAIR = [['A', 'B'], ['B', 'A']] as const

/** The base's own weight of an adapted module is one module deeper in PEFT's files. */
function withBase(tensors: NamedTensors, { sites, copies }: FormatContext): NamedTensors {
  const deeper = new Map(sites.flatMap((site) => {
    const names = site.kind === 'linear' ? [site.weight, site.bias ?? site.weight] : site.kind === 'embedding' ? [site.weight] : []
    return names.filter((name) => !copies.includes(name)).map((name) => [name, name.replace(/\.(\w+)$/, '.base_layer.$1')] as const)
  }))
  return new Map([...tensors].map(([name, tensor]) => [deeper.get(name) ?? name, tensor]))
}

/**
 * Without what PEFT writes besides: with bias 'all' the biases of modules trained in full three times (the base's, its copy, the copy
 * again), and DoRA's magnitude at a table that it saves along under a second name.
 */
function withoutRepeats(tensors: NamedTensors, { bias }: LoraConfig): NamedTensors {
  const isRepeat = (key: string): boolean => bias === 'all' && /\.(original_module|modules_to_save)\.(.+\.)?bias$/.test(key)
  const once = (key: string): string => key.replace(/(\.lora_magnitude_vector)\.weight$/, '$1')
  return new Map([...tensors].flatMap(([key, tensor]) => (isRepeat(key) ? [] : [[once(key), tensor] as const])))
}

/**
 * Without what is left of a weight that A and B started from, which PEFT writes of the head of a language model: here the weight stays whole.
 *
 * @throws CheckpointError where PEFT took the start off the table of the words too, or off a head that was resized
 */
function withoutRemainders(tensors: NamedTensors, config: LoraConfig, { sites, ties }: FormatContext): NamedTensors {
  const result = new Map(tensors)
  const problems: string[] = []
  for (const site of sites) {
    if (!startsFromWeight(config, site) || site.kind !== 'linear') continue
    const key = `${MODULE_PREFIX}${site.name}.base_layer.weight`
    const rows = result.get(key)?.shape[0] ?? site.outSize
    if (ties.has(site.weight)) problems.push(`a start from the weight of '${site.name}' changes the table of the words in PEFT, with which it is one tensor`)
    else if (rows !== site.outSize) problems.push(`a start from the weight of '${site.name}', which had ${rows} rows in PEFT and has ${site.outSize} here, cannot be done again`)
    result.delete(key)
  }
  if (problems.length === 0) return result
  throw new CheckpointError('This LoRA cannot be used:', problems.map((text) =>
    `init_lora_weights: ${text}; in PEFT, save it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)`))
}

/** What a file says that has no effect, or another one than was meant when it was made. */
function warningsOf(config: LoraConfig, { sites, all }: FormatContext): readonly string[] {
  const { inFile, rankPattern, alphaPattern } = config
  if (inFile === undefined) return []
  const ofPatterns = Object.entries({ rank_pattern: rankPattern, alpha_pattern: alphaPattern }).flatMap(([field, patterns]) => {
    const tables = Object.entries(patterns).map(([pattern, value]) => ({ pattern, table: patternTable({ [pattern]: value }) }))
    const idle = tables.filter(({ table }) => !sites.some(({ name }) => table(name) !== undefined))
    const unclear = sites.filter(({ name }) => new Set(tables.map(({ table }) => table(name)).filter((value) => value !== undefined)).size > 1)
    return [
      ...idle.map(({ pattern }) => `${field}: '${pattern}' fits no module of the adapter; it has no effect, as in HF PEFT.`),
      ...unclear.slice(0, 1).map(({ name }) =>
        `${field}: several patterns fit '${name}' and the first counts, as in HF PEFT, which sorts them when it saves: they may have had another order in training.`),
    ]
  })
  return [...idleInFile(config, weightSites(all)), ...ofPatterns.map((text) => `${inFile.file}: ${text}`)]
}
