import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Task } from './base/architecture.ts'
import { attachTensors } from './base/adapter/attach.ts'
import { detach } from './base/adapter/attached.ts'
import { printOf } from './base/adapter/merged.ts'
import type { Adapter, Origin } from './base/adapter/adapter.ts'
import { otherLayout, readAdapterFile } from './base/checkpoint/adapter-file.ts'
import { checkTask, misfit } from './base/checkpoint/misfit.ts'
import { checkBase, classesFor, hasOwnTables, readTrainedFor } from './base/checkpoint/trained-for.ts'
import type { ClassOptions } from './base/adapter/classes.ts'
import { adapterHubFiles } from './base/checkpoint/adapter-hub-file.ts'
import { MLX_WEIGHTS } from './base/checkpoint/mlx-adapter.ts'
import { resolveSource, type HubOptions } from './base/hub/download.ts'
import { usedOf } from './base/adapter/left-out.ts'
import { asTables, modulesInFull, namesInFull } from './base/adapter/modules-to-save.ts'
import type { Method } from './base/method.ts'
import { checkAwaited } from './base/awaited.ts'
import { checkAlive, checkNotTrained, type Model } from './base/model.ts'
import { whileLoading } from './base/underway.ts'
import { allNames } from './base/parameters.ts'
import { checkPattern, type FileContext } from './base/adapter/read-selection.ts'
import { settingsReader, type SectionReader, type Settings } from './base/settings.ts'
import { sharedModules } from './base/adapter/token-rows-file.ts'
import { vocabSizeOf } from './base/adapter/vocabulary.ts'
import { NO_TIES, sameValues, tiesAmong, type Ties } from './base/ties.ts'
import { namesOf, type MethodFields, type NamedTensor, type NamedTensors, type FormatContext } from './base/adapter/file-format.ts'
import { CheckpointError, shown } from './errors.ts'
import { bottleneck } from './adapters/bottleneck.ts'
import { readBottleneckOptions } from './adapters/file-format.ts'
import { adalora } from './lora/adalora.ts'
import { readAdaloraOptions } from './lora/adalora-file-format.ts'
import { dora } from './lora/dora.ts'
import { ia3 } from './lora/ia3.ts'
import { readIa3Options } from './lora/ia3-file-format.ts'
import { lora } from './lora/lora.ts'
import { readLoraOptions } from './lora/read-options.ts'
import { bitFit } from './selective/bitfit.ts'
import { fullFineTuning, readFullOptions } from './selective/full.ts'
import { headOnly } from './selective/head.ts'
import { layerNormTuning, readLayerNormOptions } from './selective/layer-norm.ts'
import { prefix } from './prefix/prefix.ts'
import { readPrefixOptions } from './prefix/file-format.ts'
import { foldedPTuning } from './prompt/p-tuning.ts'
import { prompt } from './prompt/prompt.ts'
import { readPromptOptions, readPTuningOptions } from './prompt/file-format.ts'
import { trainableTokens } from './selective/trainable-tokens.ts'
import { readTrainableTokensOptions } from './selective/trainable-tokens-format.ts'
import { checkNames, type Names } from './base/options.ts'
import { HUB_OPTIONS } from './base/hub/options.ts'

/** How the settings of one kind of adapter are read. */
export interface MethodReader {
  /** What it is, in errors: 'a LoRA'. */
  readonly what: string
  /** Reads every setting; the function that it gives is called when nothing is wrong with any of them. */
  readonly read: (settings: SectionReader, file: FileContext) => () => Method
}

function kind<T>(what: string, read: (settings: SectionReader, file: FileContext) => T, make: (options: T) => Method): MethodReader {
  return {
    what,
    read: (settings, file) => {
      const options = read(settings, file)
      return () => make(options)
    },
  }
}

/** The only list of methods: `peft_type` of adapter_config.json to the method it describes. */
const METHODS: Readonly<Record<string, MethodReader>> = {
  ADALORA: kind('an AdaLoRA', readAdaloraOptions, adalora),
  BITFIT: kind('a BitFit', () => undefined, bitFit),
  BOTTLENECK: kind('a bottleneck adapter', readBottleneckOptions, bottleneck), // AdapterHub's, which has no name for it
  FULL: kind('a full fine-tuning', readFullOptions, fullFineTuning),
  HEAD: kind('a trained head', () => undefined, headOnly),
  IA3: kind('an (IA)³', readIa3Options, ia3),
  LN_TUNING: kind('a LayerNorm tuning', readLayerNormOptions, layerNormTuning),
  LORA: kind('a LoRA', readLoraOptions, ({ dora: isDora, options }) => (isDora ? dora(options) : lora(options))),
  P_TUNING: kind('a P-tuning', readPTuningOptions, foldedPTuning),
  PREFIX_TUNING: kind('a prefix', readPrefixOptions, prefix),
  PROMPT_TUNING: kind('a prompt', readPromptOptions, prompt),
  TRAINABLE_TOKENS: kind('trainable tokens', readTrainableTokensOptions, trainableTokens),
}

/** What `loadAdapter` takes: the adapter's name and state, and where its files come from. */
export interface LoadAdapterOptions extends HubOptions, ClassOptions {
  /** Name of the adapter in the model. @default 'default' */
  readonly name?: string
  /** Takes part in the forward pass at once. @default true */
  readonly enabled?: boolean
  /** Readers of methods of one's own, by the `type` of their file format; they come before those that are here. @default none */
  readonly methods?: Readonly<Record<string, MethodReader>>
}

/** PEFT's PeftConfig, which every method's settings have in them, field by field. */
export const COMMON_FIELDS: MethodFields = {
  done: ['ensure_weight_tying', 'modules_to_save', 'peft_type', 'task_type'],
  off: {},
  idle: ['auto_mapping', 'base_model_name_or_path', 'inference_mode', 'peft_version', 'revision'],
}

const NAMES: Names<LoadAdapterOptions> = { ...HUB_OPTIONS, name: true, enabled: true, methods: true, labels: true, problemType: true }

/**
 * Attaches a saved adapter, made by this library, by HF PEFT or by AdapterHub's `adapters`: a folder or a Hub id.
 *
 * Strict: every tensor of the file has its place in the model and every place its tensor, else one error lists all.
 * Settings that this library does not know are in the adapter's `origin`. An adapter of this library that has a head for other classes than
 * the model's keeps both; other libraries' files do not name the classes, so that `labels` has to.
 *
 * @throws CheckpointError, HubError, TargetError, InputError
 * @example const adapter = await loadAdapter(model, 'spam-lora')
 */
export function loadAdapter(model: Model, source: string, options: LoadAdapterOptions = {}): Promise<Adapter> {
  const load = loaded(model, source, options)
  return options.enabled === false ? load : whileLoading(model, load)
}

async function loaded(model: Model, source: string, options: LoadAdapterOptions): Promise<Adapter> {
  checkNames('loadAdapter', options, NAMES)
  checkAwaited('model', model)
  checkAlive(model, 'loadAdapter')
  checkNotTrained(model, 'loadAdapter')
  const folder = await resolveSource(source, { ...options, allow: ['adapter_config.json', 'config.json', 'adapter_model.safetensors', MLX_WEIGHTS, ...adapterHubFiles] })
  const file = await readAdapterFile(folder)
  const { config, tensors, weights, metadata } = file
  checkTask(model, file, folder)
  const trained = readTrainedFor(metadata, weights)
  await checkBase(model, trained ?? {}, folder)
  const { method, modules } = readSettings(config, join(folder, 'adapter_config.json'), model.parts.task, { ...METHODS, ...options.methods })
  const ownTables = hasOwnTables(metadata)
  const inFull = asTables(model, modules, tensors)
  const used = usedOf(model, method.format, tensors, inFull, ownTables)
  const train = modulesInFull(allNames(model), config['task_type'], inFull, used.tensors).filter((module) => !used.idle.includes(module))
  const { name = 'default', enabled = true, labels, problemType } = options
  const asked = { ...(labels === undefined ? {} : { labels }), ...(problemType === undefined ? {} : { problemType }) }
  const classes = classesFor(model, trained, { file: weights, tensors: used.tensors, asked })
  const origin = (context: FormatContext): Origin => originOf(config, method, context, [...used.warnings, ...typeWarnings(config, method, context)])
  let adapter: Adapter | undefined
  try {
    adapter = attachTensors(model, method, (context) => otherLayout(method.format.fromFile(used.tensors, context), context), {
      name, train, enabled, origin, ...classes, ties: tiesOf(model, config, tensors, trained !== undefined), ownTables,
    })
    await checkNotMerged(adapter, folder)
    warnOfOtherBase(model, config['base_model_name_or_path'], source)
    return adapter
  } catch (error) {
    if (adapter !== undefined) detach(adapter)
    throw misfit(model, file, folder, error)
  }
}

/** Says where an adapter was made on another model of the Hub, whose tensors are as large; folders have names of their own. */
function warnOfOtherBase({ parts: { source } }: Model, base: unknown, adapter: string): void {
  const isOfHub = (name: unknown): name is string => typeof name === 'string' && /^\w[\w.-]*(\/[\w.-]+)?$/.test(name) && !existsSync(name)
  if (!isOfHub(base) || !isOfHub(source)) return
  const [own, here] = [base, source].map((name) => basename(name).toLowerCase()) as [string, string]
  if (own.includes(here) || here.includes(own)) return // of another owner, or in another precision
  console.warn(`loadAdapter: ${adapter} was trained on ${base}, and the model is ${source}: its tensors fit, and what they do there is chance. On its own: await loadAdapted(${shown(adapter)}).`)
}

/** @throws CheckpointError where the model has the adapter in its weights already: it would count twice */
async function checkNotMerged(adapter: Adapter, folder: string): Promise<void> {
  const { merged = [] } = adapter.model.parts
  if (merged.length === 0 || !(await Promise.all(merged.map(({ print }) => print))).includes(await printOf(adapter))) return
  throw new CheckpointError(`${folder}: this adapter was merged into the model (${adapter.model.parts.source}) before, and would count twice. The model answers with it as it is.`)
}

/**
 * What stays one tensor in the adapter: PEFT gives each module its own copy unless ensure_weight_tying is set, and even then
 * where it does not know the names; the file has both modules where they are tied, and one beside the base's own table where the
 * vocabulary was resized. PEFT goes by config.json: what it ties is tied in the adapter, though the base has two tensors. Tables that share
 * a module it ties in some models alone, and this library's files have them alike.
 */
function tiesOf({ parts }: Model, config: Readonly<Record<string, unknown>>, tensors: NamedTensors, isOwn: boolean): Ties {
  const isAsked = config['ensure_weight_tying'] === true
  const isShared = sharedModules(parts.architecture.keys.alsoCalled ?? {}).length > 0
  if (!isAsked && !(isOwn && isShared)) return NO_TIES
  const named = (parameter: string): boolean => {
    const module = `.${parameter.replace(/\.weight$/, '')}.`
    return [...tensors.keys()].some((key) => `.${key}`.includes(module) && !key.endsWith('.bias'))
  }
  const find = (parameter: string): NamedTensor | undefined => [...tensors].find(([key]) => `.${key}`.endsWith(`.${parameter}`))?.[1]
  const apart = (name: string, kept: string): boolean => {
    const [own, table] = [find(name), find(kept)]
    return own !== undefined && table !== undefined && (!isAsked || isShared || table.shape[0] !== vocabSizeOf(parts)) && !sameValues(own.values, table.values)
  }
  const asConfigured = [...parts.ties, ...tiesAmong(parts.specs, parts.architecture.ties)]
  return new Map(asConfigured.filter(([name, kept]) => named(name) && named(kept) && !apart(name, kept)))
}

function originOf(config: Settings, { format: { fields, warnings } }: Method, context: FormatContext, others: readonly string[]): Origin {
  const known = fields === undefined ? undefined : [...namesOf(fields), ...namesOf(COMMON_FIELDS)]
  const unknown = Object.entries(config).filter(([key]) => known?.includes(key) === false)
  return {
    warnings: [
      ...unknown.map(([key]) => `adapter_config.json: '${key}' is not known; it is kept and has no effect.`),
      ...(warnings?.(context) ?? []),
      ...others.map((text) => `adapter_config.json: ${text}`),
    ],
    unknown: Object.fromEntries(unknown),
  }
}

/** PEFT's wrapper of question answering drops token types, and so does that of features beside virtual tokens. */
function typeWarnings({ task_type }: Settings, { format: { type } }: Method, { all }: FormatContext): string[] {
  const drops = task_type === 'QUESTION_ANS' || (task_type === 'FEATURE_EXTRACTION' && ['PROMPT_TUNING', 'P_TUNING', 'PREFIX_TUNING'].includes(type))
  const hasTypes = all.some((site) => site.kind === 'embedding' && site.name.endsWith('token_type_embeddings') && site.count > 1)
  if (!drops || !hasTypes) return []
  return [`HF PEFT runs a model of task_type ${task_type as string} without token types, whatever it is given; for its numbers give no typeIds.`]
}

/** @throws CheckpointError with everything that is wrong with the settings */
function readSettings(
  config: Settings, file: string, task: Task, methods: Readonly<Record<string, MethodReader>>,
): { readonly method: Method; readonly modules: readonly string[] } {
  const type = config['peft_type']
  const known = typeof type === 'string' && Object.hasOwn(methods, type) ? methods[type] : undefined
  if (known === undefined) {
    throw new CheckpointError(`${file}: peft_type: expected ${Object.keys(methods).join(', ')}, got ${shown(type)}, which is not supported. A method of one's own is read by { methods: { TYPE: … } }.`)
  }
  const settings = settingsReader(config, { file, what: known.what })
  const modules = readModulesToSave(settings)
  settings.flag('ensure_weight_tying', false)
  const make = known.read(settings, { file, task, inFull: namesInFull(config['task_type'], modules) })
  settings.done()
  return { method: make(), modules }
}

/** A text would be taken letter by letter by PEFT. */
function readModulesToSave(settings: SectionReader): readonly string[] {
  const value = settings.raw('modules_to_save') ?? []
  settings.check(Array.isArray(value), `modules_to_save: expected a list of module names, got ${shown(value)}`)
  const modules = Array.isArray(value) ? settings.list('modules_to_save', 'text', []) : []
  return modules.filter((module) => checkPattern(settings, `modules_to_save '${module}'`, module))
}
