// A model to use: an adapter with its base, or a model by itself, from a folder or the Hub.

import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Adapter } from '../base/adapter/adapter.ts'
import { adaptersOf, detach } from '../base/adapter/attached.ts'
import type { Task } from '../base/architecture.ts'
import { readAdapterSettings } from '../base/checkpoint/adapter-file.ts'
import { loadModel } from '../base/checkpoint/load.ts'
import { readObjectIfThere } from '../base/files/json-file.ts'
import type { WeightDtype } from '../base/engine/frozen-weight.ts'
import { hubFiles, hubSnapshot, resolveSource } from '../base/hub/download.ts'
import { loadImageProcessor } from '../base/image/processor.ts'
import type { Model } from '../base/model.ts'
import { isTask, TASKS, taskRecord } from '../base/tasks/task.ts'
import { loadTokenizer } from '../base/tokenizer/tokenizer.ts'
import { HubError, InputError } from '../errors.ts'
import { loadAdapted } from '../load-adapted.ts'
import { loadAdapter } from '../load-adapter.ts'
import type { Readers } from './job/examples.ts'
import type { Job } from './job/job.ts'
import { given, UsageError } from './usage.ts'

/** What a source is, and what it takes to use it. */
export interface Opened {
  readonly model: Model
  readonly adapter: Adapter | undefined
  readonly readers: Readers
  /** The job that has written it, where one has. */
  readonly job: Partial<Job>
}

/** How it is opened, where its files do not say. */
export interface OpenOptions {
  readonly task?: string | undefined
  readonly dtype?: string | undefined
  /** In place of the base that the adapter names. */
  readonly base?: string | undefined
}

export const OPEN_FLAGS = { task: { type: 'string' }, dtype: { type: 'string' }, base: { type: 'string' } } as const

/** What a command needs of it. */
interface Needs {
  /** The task of a model whose files do not say one. @default none: it has to be said */
  readonly fallback?: Task
  /** Whether what reads rows is needed. @default true */
  readonly readers?: boolean
}

/**
 * @throws UsageError for a task that there is not, and what the loaders throw
 */
export async function open(source: string, { task: asked, dtype, base }: OpenOptions, { fallback, readers = true }: Needs = {}): Promise<Opened> {
  if (asked !== undefined && !isTask(asked)) throw new UsageError(`--task: expected one of ${TASKS.join(', ')}, got '${asked}'`)
  const job = (readObjectIfThere(join(source, 'job.json'), 'a job') ?? {}) as Partial<Job>
  const options = given({ dtype: dtype as WeightDtype | undefined })
  if (!await isAdapter(source)) {
    const task = asked ?? await taskIn(source) ?? fallback
    if (task === undefined) throw new UsageError(`${source}: its files do not say what it is for; --task does, with one of ${TASKS.join(', ')}`)
    const model = await loadModel(source, { task, ...options })
    return { model, adapter: undefined, readers: readers ? await readersOf(source, model) : {}, job }
  }
  if (job.model !== undefined) { // it says more than an adapter's files: pictures, a head that was made new
    const { trained } = await readAdapterSettings(source)
    const from = base ?? job.model
    const labels = trained?.classes.labels.length === 0 ? undefined : trained?.classes.labels
    const model = await loadModel(from, { ...options, ...given({ task: trained?.task, labels, problemType: trained?.classes.problem, pooling: trained?.pooling, normalize: trained?.normalize, newHead: job.newHead }) })
    return { model, adapter: await loadAdapter(model, source), readers: readers ? await readersOf(from, model) : {}, job }
  }
  const { model, adapter, tokenizer } = await loadAdapted(source, { ...options, ...given({ base, task: asked }) })
  return { model, adapter, readers: { tokenizer }, job }
}

/** Whether it is the folder, or the repository, of an adapter. @throws InputError where a path leads nowhere */
export async function isAdapter(source: string): Promise<boolean> {
  const status = statSync(source, { throwIfNoEntry: false })
  if (status?.isDirectory() === true) {
    if (existsSync(join(source, 'adapter_config.json'))) return true
    if (existsSync(join(source, 'config.json'))) return false
    throw new InputError(`${source}: expected a folder with an adapter (adapter_config.json) or a model (config.json); it has neither.${existsSync(join(source, '.checkpoints')) ? ' Its training has not come to its end: run the same command again.' : ''}`)
  }
  if (/^[./~]/.test(source)) throw new InputError(`${source}: expected a folder with an adapter or a model; there is none.`)
  try {
    return (await hubFiles(source)).includes('adapter_config.json')
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    return existsSync(join(await hubSnapshot(source, { allow: ['config.json', 'adapter_config.json'], offline: true }), 'adapter_config.json')) // what the cache has
  }
}

/** The task that transformers' class in config.json is for. */
async function taskIn(source: string): Promise<Task | undefined> {
  const folder = await resolveSource(source, { allow: ['config.json'] })
  const { architectures } = readObjectIfThere(join(folder, 'config.json'), "a model's configuration") ?? {}
  const name = Array.isArray(architectures) ? String(architectures[0]) : ''
  return TASKS.find((task) => {
    const { className, headless = false } = taskRecord(task)
    return !headless && name.endsWith(name.endsWith('LMHeadModel') ? 'LMHeadModel' : className) && (!name.endsWith('LMHeadModel') || task === 'causal-lm')
  })
}

async function readersOf(source: string, { parts: { task } }: Model): Promise<Readers> {
  if (task.startsWith('image-')) return { processor: await loadImageProcessor(source) }
  return { tokenizer: await loadTokenizer(source) }
}

/** Frees a model with what is attached to it. */
export function closeModel(model: Model): void {
  for (const adapter of adaptersOf(model)) detach(adapter)
  model.dispose()
}
