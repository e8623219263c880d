import { CheckpointError } from '../errors.ts'
import { readSelection } from '../base/read-selection.ts'
import { moduleNames, targetNames, weightSites } from '../base/targets.ts'
import { sameValues } from '../base/ties.ts'
import { isTransposed, moduleKeys, type NamedTensor, type NamedTensors, type Suffixes, type Wire, type WireContext } from '../base/wire.ts'
import { startsFromWeight, type LoraConfig, type LoraInit, type LoraOptions } from './options.ts'

/** Fields of PEFT's LoraConfig that change the numbers and have no counterpart here, with the values that mean "off". */
const UNSUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  lora_bias: [false],
  layer_replication: [null],
  layers_pattern: [null, '', []],
  target_parameters: [null, []],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
  use_qalora: [false],
  use_bdlora: [null, false],
  arrow_config: [null],
  monteclora_config: [null],
  kasa_config: [null],
  velora_config: [null],
}

/** Fields that are read. */
const READ = [
  'r', 'lora_alpha', 'lora_dropout', 'use_rslora', 'rank_pattern', 'alpha_pattern', 'target_modules', 'exclude_modules',
  'layers_to_transform', 'bias', 'init_lora_weights', 'use_dora', 'ensure_weight_tying',
]

/** Fields that do not matter once the tensors are there. */
const IDLE = [
  'corda_config', 'eva_config', 'fan_in_fan_out', 'loftq_config', 'lora_ga_config', 'megatron_config',
  'megatron_core', 'qalora_group_size',
]

const LINEAR: Suffixes = { A: 'lora_A.weight', B: 'lora_B.weight', magnitude: 'lora_magnitude_vector' }
const EMBEDDING: Suffixes = { A: 'lora_embedding_A', B: 'lora_embedding_B', magnitude: 'lora_magnitude_vector' }

/** LoRA and DoRA in HF PEFT's files. What starts from the weight is written as the plain LoRA of twice the rank that it is. */
export function loraWire(config: LoraConfig, { dora = false }: { readonly dora?: boolean } = {}): Wire {
  const keys = moduleKeys({
    at: (site) => (site.kind === 'embedding' ? EMBEDDING : LINEAR),
    copy: (name, { sites }) =>
      sites.some((site) => site.kind === 'linear' && site.bias === name) ? name.replace(/bias$/, 'base_layer.bias') : name,
  })
  return {
    type: 'LORA',
    fields: [...READ, ...IDLE, ...Object.keys(UNSUPPORTED)],
    config: (context) => ({ ...configFields(startsFromWeight(config) ? doubled(config) : config, context), use_dora: dora }),
    toFile: (tensors, context) => {
      const own = startsFromWeight(config) ? folded(tensors, context) : tensors
      return withRepeats(keys.toFile(withBase(withFollowers(own, context), everywhere(context)), everywhere(context)), config, context)
    },
    fromFile: (tensors, context) => withoutFollowers(keys.fromFile(withoutRepeats(tensors, config), everywhere(context)), context),
  }
}

function configFields(config: LoraConfig, context: WireContext): Readonly<Record<string, unknown>> {
  const { all, params, followers } = context
  const { sites } = everywhere(context)
  // PEFT ties the two where it finds one of their names; a text would have to fit it alone.
  const target_modules =
    followers.length > 0 ? moduleNames(sites, weightSites(all)) : targetNames(config, sites, weightSites(all), [...params.keys()])
  return {
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    use_rslora: config.rankStabilized,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    target_modules,
    exclude_modules: config.exclude ?? null,
    layers_to_transform: typeof config.targets === 'string' ? null : (config.layers ?? null), // targetNames has seen to them
    bias: config.bias,
    ...(config.ensureWeightTying ? { ensure_weight_tying: true } : {}),
    fan_in_fan_out: isTransposed(context),
    init_lora_weights: config.init === 'gaussian' ? 'gaussian' : true,
  }
}

/** Twice the rank at the same scale. */
function doubled(config: LoraConfig): LoraConfig {
  const growth = config.rankStabilized ? Math.SQRT2 : 2
  const times = (record: Readonly<Record<string, number>>, factor: number): Record<string, number> =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, value * factor]))
  return {
    ...config,
    rank: config.rank * 2,
    alpha: config.alpha * growth,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, growth),
    init: 'kaiming',
  }
}

/** B A − B0 A0 = [B, −B0] [A; A0], as PEFT itself writes such adapters. */
function folded(tensors: NamedTensors, { sites }: WireContext): NamedTensors {
  const result = new Map(tensors)
  for (const { name } of sites) {
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

/** With bias 'all', PEFT names the biases of modules trained in full twice more: the base's own, and the copy again. */
function withRepeats(file: NamedTensors, { bias }: LoraConfig, { copies, params, param, alsoCalled }: WireContext): NamedTensors {
  if (bias !== 'all') return file
  const others = Object.entries(alsoCalled).flatMap(([other, own]): [string, NamedTensor][] => {
    const tensor = copies.includes(own) ? file.get(`base_model.model.${own}`) ?? file.get(`base_model.model.${own.replace(/bias$/, 'base_layer.bias')}`) : undefined
    return tensor === undefined ? [] : [[`base_model.model.${other}`, tensor]]
  })
  const inFull = [...params.keys()].filter((name) => name.endsWith('.bias') && !copies.includes(name))
  const repeats = inFull.flatMap((name): [string, NamedTensor][] => {
    const copy = file.get(`base_model.model.${name}`)
    if (copy === undefined) return []
    const module = `base_model.model.${name.slice(0, -'.bias'.length)}`
    const base: NamedTensor = { shape: copy.shape, values: param(name).dataSync() as Float32Array }
    return [[`${module}.modules_to_save.bias`, copy], [`${module}.original_module.bias`, base]]
  })
  return new Map([...file, ...repeats, ...others])
}

/** The sites with those that follow one of them. */
function everywhere(context: WireContext): WireContext {
  return { ...context, sites: [...context.sites, ...context.followers.map(({ site }) => site)] }
}

/** A head that follows a table is in the file with the table's pair the other way round. */
function withFollowers(tensors: NamedTensors, { followers }: WireContext): NamedTensors {
  const pairs = followers.flatMap(({ site, owner }) => PAIR.flatMap(([ofSite, ofOwner]): [string, NamedTensor][] => {
    const tensor = tensors.get(`${owner.name}.${ofOwner}`)
    return tensor === undefined ? [] : [[`${site.name}.${ofSite}`, turned(tensor)]]
  }))
  return new Map([...tensors, ...pairs])
}

/** @throws CheckpointError where the two differ */
function withoutFollowers(tensors: NamedTensors, { followers }: WireContext): NamedTensors {
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

function turned({ shape: [rows = 0, columns = 0], values }: NamedTensor): NamedTensor {
  return { shape: [columns, rows], values: values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? 0) }
}

/** The base's own weight of an adapted module is one module deeper in PEFT's files. */
function withBase(tensors: NamedTensors, { sites, copies }: WireContext): NamedTensors {
  const deeper = new Map(sites.flatMap((site) => {
    const names = site.kind === 'linear' ? [site.weight, site.bias ?? site.weight] : site.kind === 'embedding' ? [site.weight] : []
    return names.filter((name) => !copies.includes(name)).map((name) => [name, name.replace(/\.(\w+)$/, '.base_layer.$1')] as const)
  }))
  return new Map([...tensors].map(([name, tensor]) => [deeper.get(name) ?? name, tensor]))
}

/** Without what PEFT writes besides: with bias 'all' the biases of modules trained in full three times (the base's, its copy, the copy again). */
function withoutRepeats(tensors: NamedTensors, { bias }: LoraConfig): NamedTensors {
  const isRepeat = (key: string): boolean => bias === 'all' && /\.(original_module|modules_to_save)\.(.+\.)?bias$/.test(key)
  return new Map([...tensors].filter(([key]) => !isRepeat(key)))
}

/**
 * The options of a LoRA or DoRA that HF PEFT or this library saved, and which of the two it is.
 *
 * @throws CheckpointError with every field that asks for something this library does not compute
 */
export function readLoraOptions(json: Readonly<Record<string, unknown>>): { readonly dora: boolean; readonly options: LoraOptions } {
  const problems = Object.entries(UNSUPPORTED)
    .filter(([key, off]) => json[key] !== undefined && !off.some((value) => JSON.stringify(value) === JSON.stringify(json[key])))
    .map(([key]) => `${key}: ${JSON.stringify(json[key])} is not supported`)
  const read = <T>(key: string, fallback: T, fits: (value: unknown) => boolean, expected: string): T => {
    const value = json[key] ?? fallback
    if (!fits(value)) problems.push(`${key}: expected ${expected}, got ${JSON.stringify(value)}`)
    return value as T
  }
  const options: LoraOptions = {
    rank: read('r', 8, isNumber, 'a number'),
    alpha: read('lora_alpha', 8, isNumber, 'a number'),
    dropout: read('lora_dropout', 0, isNumber, 'a number'),
    rankStabilized: read('use_rslora', false, isBoolean, 'true or false'),
    rankPattern: read('rank_pattern', {}, isNumberRecord, 'names to numbers'),
    alphaPattern: read('alpha_pattern', {}, isNumberRecord, 'names to numbers'),
    ensureWeightTying: json['use_dora'] !== true && read('ensure_weight_tying', false, isBoolean, 'true or false'),
    bias: read<LoraOptions['bias'] & {}>('bias', 'none', (value) => ['none', 'all', 'lora_only'].includes(value as string), "'none', 'all' or 'lora_only'"),
    init: readInit(json['init_lora_weights'] ?? true, problems),
    ...readSelection(json, problems),
  }
  const dora = read('use_dora', false, isBoolean, 'true or false')
  if (problems.length > 0) throw new CheckpointError('adapter_config.json: this LoRA cannot be used:', problems)
  return { dora, options }
}

/** Starts that leave the base as it is count for nothing once the tensors are there; of the others, those that can be done again. */
function readInit(value: unknown, problems: string[]): LoraInit {
  const text = typeof value === 'string' ? value.toLowerCase() : value
  if (typeof text === 'boolean' || text === 'eva' || text === 'orthogonal' || text === 'mica') return 'kaiming'
  if (text === 'gaussian' || text === 'pissa' || text === 'olora') return text
  problems.push(
    `init_lora_weights: ${JSON.stringify(value)} changed the base weights in a way that cannot be done again; ` +
      'in PEFT, save it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)',
  )
  return 'kaiming'
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number'
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean'
}

function isNumberRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every(isNumber)
}
