import type { SectionReader } from '../base/settings.ts'
import type { Site } from '../base/sites.ts'
import type { MethodFields, NamedTensors, FileFormat } from '../base/adapter/file-format.ts'
import type { BottleneckOptions, BottleneckConfig } from './options.ts'

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

/** BnConfig of AdapterHub's `adapters`, field by field. */
export const BOTTLENECK_FIELDS: MethodFields = {
  done: [
    'mh_adapter', 'output_adapter', 'is_parallel', 'original_ln_before', 'residual_before_ln', 'reduction_factor',
    'non_linearity', 'scaling', 'dropout', 'init_weights', 'leave_out',
  ],
  off: {
    original_ln_after: [true],
    ln_before: [false],
    ln_after: [false],
    use_gating: [false],
    inv_adapter: [],
    cross_adapter: [false],
    phm_layer: [false],
    stochastic_depth: [0],
  },
  idle: [
    'adapter_residual_before_ln', 'init_weights_seed', 'inv_adapter_reduction_factor', 'phm_dim', 'factorized_phm_W',
    'shared_W_phm', 'shared_phm_rule', 'factorized_phm_rule', 'phm_c_init', 'phm_init_range', 'learn_phm',
    'hypercomplex_nonlinearity', 'phm_rank', 'phm_bias', 'architecture',
  ],
}

/** Bottleneck adapters in AdapterHub's files. */
export function bottleneckFormat(config: BottleneckConfig): FileFormat {
  return {
    type: 'BOTTLENECK',
    kind: 'adapter-hub',
    fields: BOTTLENECK_FIELDS,
    config: () => ({
      ...Object.fromEntries(Object.entries(BOTTLENECK_FIELDS.off).map(([key, [value = null]]) => [key, value])),
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
  const [, layer, inside] = /^(.*\.\d+)\.(.*)$/.exec(site.name) ?? []
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

/** The options of a bottleneck adapter that `adapters` or this library saved. */
export function readBottleneckOptions(read: SectionReader): BottleneckOptions {
  for (const [key, values] of Object.entries(BOTTLENECK_FIELDS.off)) read.off(key, values)
  const parallel = read.flag('is_parallel', false)
  const behindNorm = read.flag('original_ln_before', false)
  if (!parallel && behindNorm) read.off('residual_before_ln', [true])
  const start = read.oneOf('init_weights', Object.values(STARTS), 'bert')
  const scaling = read.raw('scaling')
  return {
    parts: [
      ...(read.flag('mh_adapter', false) ? ['attention' as const] : []),
      ...(read.flag('output_adapter', false) ? ['feed-forward' as const] : []),
    ],
    input: parallel ? 'stream' : behindNorm ? 'sum' : 'branch',
    reductionFactor: typeof read.raw('reduction_factor') === 'object' ? read.numbers('reduction_factor', {}, { above: 0 }) : read.number('reduction_factor', { fallback: 16, above: 0 }),
    activation: read.text('non_linearity', 'relu'),
    scaling: typeof scaling === 'string' ? read.oneOf('scaling', ['learned', 'channel'] as const) : read.number('scaling', { fallback: 1 }),
    dropout: read.number('dropout', { fallback: 0, min: 0, below: 1 }),
    init: Object.keys(STARTS).find((name) => STARTS[name as keyof typeof STARTS] === start) as BottleneckConfig['init'],
    skipLayers: read.list('leave_out', 'integer', [], { min: 0 }),
  }
}
