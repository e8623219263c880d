import { CheckpointError } from '../errors.ts'
import type { Site } from '../base/sites.ts'
import type { NamedTensors, Wire } from '../base/wire.ts'
import type { BottleneckConfig, BottleneckOptions } from './bottleneck.ts'

/** `adapters`' names of the starts. */
const STARTS: Readonly<Record<BottleneckConfig['init'], string>> = { normal: 'bert', truncated: 'houlsby', 'zero-up': 'mam_adapter' }

/** `adapters`' names of the tensors, in `<module>.adapters`. */
const KEYS: Readonly<Record<string, string>> = {
  down: 'adapter_down.0.weight',
  downBias: 'adapter_down.0.bias',
  up: 'adapter_up.weight',
  upBias: 'adapter_up.bias',
  scaling: 'scaling',
}

/** Fields of `adapters`' BnConfig that change the numbers and have no counterpart here, with the values that mean "off". */
const UNSUPPORTED: Readonly<Record<string, unknown>> = {
  original_ln_after: true,
  ln_before: false,
  ln_after: false,
  use_gating: false,
  inv_adapter: null,
  cross_adapter: false,
  phm_layer: false,
  stochastic_depth: 0,
}

/** Fields that change nothing in a bottleneck as it is here. */
const IDLE: readonly string[] = [
  'adapter_residual_before_ln', 'init_weights_seed', 'inv_adapter_reduction_factor', 'phm_dim', 'factorized_phm_W',
  'shared_W_phm', 'shared_phm_rule', 'factorized_phm_rule', 'phm_c_init', 'phm_init_range', 'learn_phm',
  'hypercomplex_nonlinearity', 'phm_rank', 'phm_bias', 'architecture',
]

/** Fields that are read. */
const READ: readonly string[] = [
  'mh_adapter', 'output_adapter', 'is_parallel', 'original_ln_before', 'residual_before_ln', 'reduction_factor',
  'non_linearity', 'scaling', 'dropout', 'init_weights', 'leave_out',
]

/** Bottleneck adapters in AdapterHub's files. */
export function bottleneckWire(config: BottleneckConfig): Wire {
  return {
    type: 'BOTTLENECK',
    format: 'adapter-hub',
    fields: [...READ, ...Object.keys(UNSUPPORTED), ...IDLE],
    config: () => ({
      ...UNSUPPORTED,
      mh_adapter: config.parts.includes('attention'),
      output_adapter: config.parts.includes('feed-forward'),
      is_parallel: config.input === 'stream',
      original_ln_before: config.input === 'sum',
      residual_before_ln: true,
      reduction_factor: config.reductionFactor,
      non_linearity: config.activation,
      scaling: config.scaling,
      dropout: config.dropout,
      init_weights: STARTS[config.init],
      leave_out: config.skipLayers,
    }),
    toFile: (tensors, { sites }) => rename(tensors, (name) => fileKey(name, sites)),
    fromFile: (tensors, { sites }) => rename(tensors, (key) => ownName(key, sites)),
  }
}

function rename(tensors: NamedTensors, name: (old: string) => string): NamedTensors {
  return new Map([...tensors].map(([old, tensor]) => [name(old), tensor]))
}

/**
 * The module that `adapters` puts a site's adapter into: the model's own where it has one for the sum, as BERT's
 * `attention.output` and `output`; else one of two that `adapters` adds to each layer.
 */
function moduleOf(site: Site): string {
  const [, layer, inside] = /^(.*?\.\d+)\.(.*)$/.exec(site.name) ?? []
  if (layer === undefined || site.kind !== 'residual' || inside === 'attention.output' || inside === 'output') return site.name
  return `${layer}.${site.part === 'attention' ? 'attention_adapters' : 'output_adapters'}`
}

function fileKey(name: string, sites: readonly Site[]): string {
  const dot = name.lastIndexOf('.')
  const site = sites.find((each) => each.name === name.slice(0, dot))
  const key = KEYS[name.slice(dot + 1)]
  return site === undefined || key === undefined ? name : `${moduleOf(site)}.adapters.${key}`
}

/** The file may come from the bare encoder or from a model with a head: the one's paths are ends of the other's. */
function ownName(key: string, sites: readonly Site[]): string {
  const [path = '', suffix = ''] = key.split('.adapters.')
  const local = Object.keys(KEYS).find((name) => KEYS[name] === suffix)
  const site = sites.find((each) => {
    const module = moduleOf(each)
    return module === path || module.endsWith(`.${path}`) || path.endsWith(`.${module}`)
  })
  return local === undefined || site === undefined ? key : `${site.name}.${local}`
}

/**
 * The options of a bottleneck adapter that `adapters` or this library saved.
 *
 * @throws CheckpointError with every field that asks for something this library does not compute
 */
export function readBottleneckOptions(json: Readonly<Record<string, unknown>>): BottleneckOptions {
  const problems = Object.entries(UNSUPPORTED)
    .filter(([key, off]) => json[key] !== undefined && json[key] !== off)
    .map(([key]) => `${key}: ${JSON.stringify(json[key])} is not supported`)
  const read = <T>(key: string, fallback: T, fits: (value: unknown) => boolean, expected: string): T => {
    const value = json[key] ?? fallback
    if (!fits(value)) problems.push(`${key}: expected ${expected}, got ${JSON.stringify(value)}`)
    return value as T
  }
  const flag = (key: string, fallback: boolean): boolean => read(key, fallback, (value) => typeof value === 'boolean', 'true or false')
  const parallel = flag('is_parallel', false)
  const behindNorm = flag('original_ln_before', false)
  if (!parallel && behindNorm && json['residual_before_ln'] !== true && json['residual_before_ln'] !== undefined) {
    problems.push(`residual_before_ln: ${JSON.stringify(json['residual_before_ln'])} is not supported`)
  }
  const start = read('init_weights', 'bert', (value) => Object.values(STARTS).some((known) => known === value), Object.values(STARTS).join(', '))
  const options: BottleneckOptions = {
    parts: [...(flag('mh_adapter', false) ? ['attention' as const] : []), ...(flag('output_adapter', false) ? ['feed-forward' as const] : [])],
    input: parallel ? 'stream' : behindNorm ? 'sum' : 'branch',
    reductionFactor: read<number | Record<string, number>>('reduction_factor', 16, isFactor, 'a number, or layers to numbers'),
    activation: read('non_linearity', 'relu', (value) => typeof value === 'string', 'a text'),
    scaling: read<BottleneckConfig['scaling']>('scaling', 1, isScaling, "a number, 'learned' or 'channel'"),
    dropout: read('dropout', 0, isNumber, 'a number'),
    init: Object.keys(STARTS).find((name) => STARTS[name as keyof typeof STARTS] === start) as BottleneckConfig['init'],
    skipLayers: read<readonly number[]>('leave_out', [], (value) => Array.isArray(value) && value.every(isNumber), 'layer numbers'),
  }
  if (problems.length > 0) throw new CheckpointError('adapter_config.json: this bottleneck adapter cannot be used:', problems)
  return options
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number'
}

function isFactor(value: unknown): boolean {
  return isNumber(value) || (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isNumber))
}

function isScaling(value: unknown): boolean {
  return isNumber(value) || value === 'learned' || value === 'channel'
}
