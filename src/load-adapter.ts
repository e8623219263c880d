import { attachTensors, type Adapter, type Origin } from './base/attach.ts'
import { readAdapterFile } from './base/io/adapter-file.ts'
import { adapterHubFiles } from './base/io/adapter-hub-file.ts'
import { resolveSource, type HubOptions } from './base/io/hub.ts'
import type { Method } from './base/method.ts'
import type { Model } from './base/model.ts'
import { allNames } from './base/plan.ts'
import { NO_TIES, type Ties } from './base/ties.ts'
import type { NamedTensors } from './base/wire.ts'
import { CheckpointError } from './errors.ts'
import { bottleneck } from './adapters/bottleneck.ts'
import { readBottleneckOptions } from './adapters/wire.ts'
import { dora } from './lora/dora.ts'
import { ia3 } from './lora/ia3.ts'
import { readIa3Options } from './lora/ia3-wire.ts'
import { lora } from './lora/lora.ts'
import { readLoraOptions } from './lora/wire.ts'
import { bitFit } from './overlays/bitfit.ts'
import { fullFineTuning, readFullOptions } from './overlays/full.ts'
import { headOnly } from './overlays/head.ts'
import { layerNormTuning, readLayerNormOptions } from './overlays/layer-norm.ts'
import { prefix } from './prefix/prefix.ts'
import { readPrefixOptions } from './prefix/wire.ts'
import { foldedPTuning } from './prompt/p-tuning.ts'
import { prompt } from './prompt/prompt.ts'
import { readPromptOptions, readPTuningOptions } from './prompt/wire.ts'

/** The only list of methods: `peft_type` of adapter_config.json to the method it describes. */
const METHODS: Readonly<Record<string, (json: Readonly<Record<string, unknown>>) => Method>> = {
  BITFIT: () => bitFit(),
  BOTTLENECK: (json) => bottleneck(readBottleneckOptions(json)), // AdapterHub's, which has no name for it
  FULL: (json) => fullFineTuning(readFullOptions(json)),
  HEAD: () => headOnly(),
  IA3: (json) => ia3(readIa3Options(json)),
  LN_TUNING: (json) => layerNormTuning(readLayerNormOptions(json)),
  LORA: loraOf,
  P_TUNING: (json) => foldedPTuning(readPTuningOptions(json)),
  PREFIX_TUNING: (json) => prefix(readPrefixOptions(json)),
  PROMPT_TUNING: (json) => prompt(readPromptOptions(json)),
}

/** What `loadAdapter` takes: the adapter's name and state, and where its files come from. */
export interface LoadAdapterOptions extends HubOptions {
  /** Name of the adapter in the model. @default 'default' */
  readonly name?: string
  /** Takes part in the forward pass at once. @default true */
  readonly enabled?: boolean
}

/** Fields of adapter_config.json that every method has. */
const COMMON_FIELDS: readonly string[] = [
  'auto_mapping', 'base_model_name_or_path', 'ensure_weight_tying', 'inference_mode', 'modules_to_save', 'peft_type', 'peft_version', 'revision', 'task_type',
]

/**
 * Attaches a saved adapter, made by this library, by HF PEFT or by AdapterHub's `adapters`: a folder or a Hub id.
 *
 * Strict: every tensor of the file has its place in the model and every place its tensor, else one error lists all.
 * Settings that this library does not know are in the adapter's `origin`.
 *
 * @throws CheckpointError, HubError, TargetError, InputError
 * @example const adapter = await loadAdapter(model, 'spam-lora')
 */
export async function loadAdapter(model: Model, source: string, options: LoadAdapterOptions = {}): Promise<Adapter> {
  const folder = await resolveSource(source, { ...options, allow: ['adapter_config.json', 'adapter_model.safetensors', ...adapterHubFiles] })
  const { config, tensors } = await readAdapterFile(folder)
  const method = methodOf(config)
  const params = allNames(model)
  // PEFT lists every head name it knows ('classifier', 'score'); those the model lacks are not meant.
  const train = modulesToSave(config).filter((module) => params.some((name) => `.${name}`.includes(`.${module}.`)))
  const { name = 'default', enabled = true } = options
  const origin = originOf(config, method)
  return attachTensors(model, method, (context) => method.wire.fromFile(tensors, context), {
    name, train, enabled, origin, ties: tiesOf(model, config, tensors),
  })
}

/**
 * What stays one tensor in the adapter: PEFT gives each module its own copy unless ensure_weight_tying is set, and even then
 * where it does not know the names; the file has both modules where they are tied.
 */
function tiesOf({ parts: { ties } }: Model, config: Readonly<Record<string, unknown>>, tensors: NamedTensors): Ties {
  if (config['ensure_weight_tying'] !== true) return NO_TIES
  const named = (parameter: string): boolean => {
    const module = `.${parameter.replace(/\.weight$/, '')}.`
    return [...tensors.keys()].some((key) => `.${key}`.includes(module) && !key.endsWith('.bias'))
  }
  return new Map([...ties].filter(([name]) => named(name)))
}

function originOf(config: Readonly<Record<string, unknown>>, { wire: { fields } }: Method): Origin {
  const unknown = Object.entries(config).filter(([key]) => fields !== undefined && !fields.includes(key) && !COMMON_FIELDS.includes(key))
  return {
    warnings: unknown.map(([key]) => `adapter_config.json: '${key}' is not known; it is kept and has no effect.`),
    unknown: Object.fromEntries(unknown),
  }
}

function loraOf(json: Readonly<Record<string, unknown>>): Method {
  const { dora: isDora, options } = readLoraOptions(json)
  return isDora ? dora(options) : lora(options)
}

function methodOf(config: Readonly<Record<string, unknown>>): Method {
  const type = config['peft_type']
  const make = typeof type === 'string' && Object.hasOwn(METHODS, type) ? METHODS[type] : undefined
  if (make !== undefined) return make(config)
  const known = Object.keys(METHODS).join(', ')
  throw new CheckpointError(`adapter_config.json: peft_type ${JSON.stringify(type)} is not supported; supported: ${known}.`)
}

function modulesToSave(config: Readonly<Record<string, unknown>>): readonly string[] {
  const modules = config['modules_to_save'] ?? []
  if (Array.isArray(modules) && modules.every((name) => typeof name === 'string')) return modules
  throw new CheckpointError(`adapter_config.json: modules_to_save: expected a list of names, got ${JSON.stringify(modules)}.`)
}
