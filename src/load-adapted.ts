import type { Adapter } from './base/adapter/adapter.ts'
import { readAdapterSettings } from './base/checkpoint/adapter-file.ts'
import { adapterHubFiles } from './base/checkpoint/adapter-hub-file.ts'
import { MLX_WEIGHTS } from './base/checkpoint/mlx-adapter.ts'
import { loadModel, type LoadOptions } from './base/checkpoint/load.ts'
import { namesIn } from './base/files/folder-save.ts'
import { resolveSource, tokenizerFiles } from './base/hub/download.ts'
import { HUB_OPTIONS, type HubOptions } from './base/hub/options.ts'
import type { Model } from './base/model.ts'
import { checkNames, type Names } from './base/options.ts'
import { TASKS, taskOfType, type Task } from './base/tasks/task.ts'
import { loadImageProcessor, type ImageProcessor } from './base/image/processor.ts'
import { loadTokenizer, type Tokenizer } from './base/tokenizer/tokenizer.ts'
import { CheckpointError, HubError, InputError, shown } from './errors.ts'
import { loadAdapter, type LoadAdapterOptions } from './load-adapter.ts'

/** What `loadAdapted` takes: where the files come from, what they do not say, and what is to count instead of what they say. */
export interface LoadAdaptedOptions extends
  HubOptions, Pick<LoadOptions, 'task' | 'labels' | 'problemType' | 'pooling' | 'normalize' | 'dtype'>, Pick<LoadAdapterOptions, 'name' | 'methods'> {
  /** Revision of the adapter's repository; that of its base is in the adapter's files. @default 'main' */
  readonly revision?: string | undefined
  /** The model that the adapter was trained on: a folder or a Hub id. @default the one that the adapter's files name */
  readonly base?: string
}

/** A model with an adapter, and what reads texts or pictures for it. */
export interface Adapted {
  readonly model: Model
  /** Of a model that reads texts; asking for another's throws an InputError. */
  readonly tokenizer: Tokenizer
  /** Of a model that reads pictures; asking for another's throws an InputError. */
  readonly processor: ImageProcessor
  readonly adapter: Adapter
}

const NAMES: Names<LoadAdaptedOptions> = {
  ...HUB_OPTIONS, base: true, task: true, labels: true, problemType: true, pooling: true, normalize: true, dtype: true, name: true, methods: true,
}

/**
 * Loads what an adapter was trained on and the adapter, from the adapter's own files alone: the base and its revision, the task, the
 * classes; and the tokenizer, which is the adapter's where it has one and else the base's, or the base's image processor. Files of PEFT do not
 * name the classes, and not every task: the options do.
 *
 * @param source the adapter's folder or Hub id
 * @throws CheckpointError when the files do not say what they have to, naming the option that does; InputError, later, where a tokenizer is taken
 *   of a model that reads pictures alone, or a processor of one that reads texts; else as `loadModel`, `loadTokenizer`,
 *   `loadImageProcessor` and `loadAdapter`
 * @example
 * const { model: filter, tokenizer: words } = await loadAdapted('spam-lora')
 * const { classes } = await predict(filter, { ids: words.encode(texts).ids })
 * console.log(Array.from(classes, (id) => filter.labels[id]))
 * filter.dispose()
 */
export async function loadAdapted(source: string, options: LoadAdaptedOptions = {}): Promise<Adapted> {
  checkNames('loadAdapted', options, NAMES)
  const { name, methods, dtype } = options
  const hub = Object.fromEntries(Object.entries(options).filter(([key]) => Object.hasOwn(HUB_OPTIONS, key))) as HubOptions
  const files = ['adapter_config.json', 'adapter_model.safetensors', MLX_WEIGHTS, ...adapterHubFiles, ...tokenizerFiles]
  const folder = await resolveSource(source, { ...hub, allow: files })
  const { config, trained } = await readAdapterSettings(folder)
  const base = options.base ?? baseIn(config, folder)
  const ofBase = { ...hub, revision: options.base === undefined && typeof config['revision'] === 'string' ? config['revision'] : undefined }
  const task = options.task ?? trained?.task ?? taskIn(config, folder)
  const said = trained?.task === task ? trained : undefined
  const [labels, problemType] = [options.labels ?? said?.classes.labels, options.problemType ?? said?.classes.problem]
  const [pooling, normalize] = [options.pooling ?? said?.pooling, options.normalize ?? said?.normalize]
  const rest = given({ pooling, normalize, dtype })
  const withClasses = loadModel(base, { ...ofBase, task, ...rest, ...given({ labels: labels?.length === 0 ? undefined : labels, problemType }) })
  const model = await withClasses.catch(async (error: unknown) => {
    if (error instanceof CheckpointError && labels !== undefined) return loadModel(base, { ...ofBase, task, ...rest }) // its head has others
    if (options.base === undefined && (error instanceof HubError || (error instanceof InputError && error.message.startsWith(base)))) {
      throw new CheckpointError(`${folder}: the model that the adapter was trained on cannot be had: ${error.message}. One that is elsewhere: loadAdapted(source, { base: '…' }).`, [], { cause: error })
    }
    throw error
  })
  try {
    const readers: Partial<Pick<Adapted, 'tokenizer' | 'processor'>> = {
      ...(task.startsWith('image-') ? { processor: await loadImageProcessor(base, ofBase) } : {}),
      ...(task.startsWith('image-') && task !== 'image-text' ? {} : { tokenizer: await tokenizerOf(folder, base, ofBase) }),
    }
    const adapter = await loadAdapter(model, folder, given({ name, methods, labels: options.labels, problemType: options.problemType }))
    return withAll({ model, adapter, ...readers }, `${source}, for '${task}'`)
  } catch (error) {
    model.dispose()
    throw error
  }
}

/** The adapter's own, where it has one. */
async function tokenizerOf(folder: string, base: string, ofBase: HubOptions): Promise<Tokenizer> {
  return await ((await namesIn(folder)).includes('tokenizer.json') ? loadTokenizer(folder) : loadTokenizer(base, ofBase))
}

const READERS = { tokenizer: 'reads no texts, and has no tokenizer: take its processor', processor: 'reads no pictures, and has no processor: take its tokenizer' } as const

/** With what there is not: asking for it says so. */
function withAll(adapted: Omit<Adapted, keyof typeof READERS> & Partial<Adapted>, what: string): Adapted {
  for (const [name, problem] of Object.entries(READERS)) {
    if (name in adapted) continue
    Object.defineProperty(adapted, name, { get: () => { throw new InputError(`loadAdapted: ${what}, ${problem}.`) } })
  }
  return adapted as Adapted
}

type Settings = Readonly<Record<string, unknown>>

function baseIn({ base_model_name_or_path: peft, model_name: hub }: Settings, folder: string): string {
  const base = peft ?? hub
  if (typeof base === 'string' && base !== '') return base
  throw new CheckpointError(`${folder}: its adapter_config.json does not name the model that the adapter was trained on (base_model_name_or_path: ${shown(base ?? null)}). Name it: loadAdapted(source, { base: '…' }).`)
}

function taskIn({ task_type: type = null }: Settings, folder: string): Task {
  const task = taskOfType(type)
  if (task !== undefined) return task
  throw new CheckpointError(`${folder}: its files do not say what the model is for, or not as a task that is here (task_type: ${shown(type)}). Say it: loadAdapted(source, { task }), with one of ${TASKS.join(', ')}.`)
}

/** Without what is undefined. */
function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
