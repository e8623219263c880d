import type { Architecture, ConfigJson } from '../architecture.ts'
import { sharedModules } from '../adapter/token-rows-file.ts'
import type { ParameterSpec } from '../sites.ts'
import { quantizationConfig } from './bitsandbytes.ts'
import { mlxConfig } from './mlx.ts'
import type { Model } from '../model.ts'
import { classNameOf } from '../tasks/task.ts'

/** The names in config.json of types in safetensors. */
const NAMES: Readonly<Record<string, string>> = { F64: 'float64', F32: 'float32', BF16: 'bfloat16', F16: 'float16' }

/** Numbers that some class in transformers takes with a point in them alone: 2.0, not 2. */
export const WITH_POINT: readonly string[] = [
  'attention_dropout', 'attention_probs_dropout_prob', 'attn_logit_softcapping', 'classifier_dropout', 'decoder_layerdrop', 'encoder_layerdrop',
  'final_logit_softcapping', 'hidden_dropout_prob', 'init_std', 'initializer_cutoff_factor', 'initializer_factor', 'initializer_range', 'layer_norm_eps', 'layer_norm_epsilon', 'layerscale_value',
  'logit_scale_init_value', 'norm_eps', 'rms_norm_eps', 'router_aux_loss_coef', 'router_jitter_noise', 'swiglu_alpha', 'swiglu_limit',
]
const WITHOUT_POINT = new RegExp(`^( +"(?:${WITH_POINT.join('|')})": -?\\d+)(?=,?$)`, 'gm')

/** The text of a config.json. */
export function configText(config: ConfigJson): string {
  return `${JSON.stringify(config, null, 2).replace(WITHOUT_POINT, '$1.0')}\n`
}

/**
 * config.json of a model as it is saved.
 *
 * @param dtypes the types of the tensors in its file: one name stands for all, and a reader that rounds to it changes nothing
 */
export function savedConfig(model: Model, dtypes: readonly string[]): ConfigJson {
  const { parts: { config, labels, architecture, task, problem, params, sites, specs, unused } } = model
  const [first = 'F32', ...others] = new Set(dtypes.filter((type) => type in NAMES))
  const packed = [...params].flatMap(([name, { packed: numbers }]) => (numbers !== undefined && isPackedInFile(architecture, name, specs.get(name)) ? [{ name: writtenAs(architecture, name), numbers }] : []))
  const affine = packed.flatMap(({ name, numbers }) => (numbers.format === 'affine' ? [[name, numbers] as const] : []))
  const wide = sites.filter((site) => site.kind === 'linear' && (params.get(site.weight)?.packed === undefined || !isPackedInFile(architecture, site.weight, specs.get(site.weight))))
  const quantization = quantizationConfig(packed.flatMap(({ numbers }) => (numbers.format === 'affine' ? [] : [numbers])), [...new Set([...wide.map(({ name }) => writtenAs(architecture, name)), ...Object.keys(architecture.keys.joined ?? {}), ...moduleNames(unused.keys()), 'lm_head'])]) // a head that the task is without is not there to be quantised
  const dtype = (others.length === 0 ? NAMES[first] : undefined) ?? 'float32'
  return {
    ...Object.fromEntries(Object.entries(config).filter(([name]) => !OF_THE_FILE.includes(name))),
    architectures: [classNameOf(architecture, task)],
    ...(problem === undefined ? {} : { problem_type: problem }),
    ...(labels.length === 0 ? {} : labelFields(labels)),
    ...(labels.length > 0 && 'num_labels' in config ? { num_labels: labels.length } : {}),
    ...(isApart(model) ? { tie_word_embeddings: false } : {}),
    dtype,
    ...('torch_dtype' in config ? { torch_dtype: dtype } : {}),
    ...(quantization === undefined ? mlxConfig(affine) : { quantization_config: quantization }),
  }
}

/** Whether config.json has to say that what its family can tie is not one tensor. Where tables share a module the file itself does, and T5 takes the setting for another. */
function isApart({ parts: { architecture: { ties, keys }, params } }: Model): boolean {
  return sharedModules(keys.alsoCalled ?? {}).length === 0 && Object.keys(ties).some((name) => params.has(name))
}

/** How the file that it came from was quantised is not how this one is. */
const OF_THE_FILE: readonly string[] = ['quantization_config', 'quantization']

function moduleNames(parameters: Iterable<string>): string[] {
  return [...parameters].flatMap((name) => (name.endsWith('.weight') ? [name.slice(0, -'.weight'.length)] : []))
}

/** Whether a weight that is quantised is so in files: transformers quantises no stacks, and what is joined there has one set of scales. */
export function isPackedInFile({ keys }: Architecture, name: string, spec: ParameterSpec | undefined): boolean {
  return spec?.shape.length === 2 && !Object.values(keys.joined ?? {}).flat().some((module) => name.includes(`.${module}.`))
}

/** Other names of weights and biases in files, each with the parameter's; of those with the base's name and without it the first. */
export function otherNames({ keys: { alsoCalled = {} }, baseName }: Architecture): (readonly [name: string, own: string])[] {
  return Object.entries(alsoCalled).filter(([name]) => !Object.hasOwn(alsoCalled, `${baseName}.${name}`))
}

/** What a parameter or module is called in files. */
export function writtenAs({ keys }: Architecture, name: string): string {
  return (keys.written ?? []).reduce((key, [pattern, replacement]) => key.replace(pattern, replacement), name)
}

function labelFields(labels: readonly string[]): ConfigJson {
  return {
    id2label: Object.fromEntries(labels.map((label, id) => [id, label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  }
}
