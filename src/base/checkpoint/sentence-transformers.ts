// How sentence-transformers keeps what comes behind a Transformer: modules.json names the steps and their folders.

import { mkdir } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import { CheckpointError, shown } from '../../errors.ts'
import type { HeadOptions, Pooling, Task } from '../architecture.ts'
import { writeAtomic } from '../files/atomic.ts'
import { readJsonFile, readJsonObject } from '../files/json-file.ts'

type Embedding = Required<Pick<HeadOptions, 'pooling' | 'normalize'>>

const MODULES = 'modules.json'
const POOLING_FOLDER = '1_Pooling'

/** What is written for a sentence encoder beside its model. */
export const sentenceFiles: readonly string[] = [MODULES, `${POOLING_FOLDER}/config.json`]

/** The ways of pooling that both libraries have, by their name there, and the flags that older files have for them. */
const MODES: Readonly<Record<string, Pooling>> = { mean: 'mean', cls: 'cls', lasttoken: 'last' }
const FLAGS: Readonly<Record<string, string>> = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
  pooling_mode_lasttoken: 'lasttoken',
}

interface Module {
  readonly path: string
  readonly type: string
}

/**
 * How a row becomes a vector: as asked, else as the folder's modules.json says, else the mean, as in sentence-transformers.
 *
 * @throws CheckpointError when the folder asks for a step that this library does not have
 */
export function poolingOf(folder: string, task: Task, asked: { readonly [K in keyof Embedding]?: Embedding[K] | undefined }): Embedding {
  if (task !== 'sentence-embedding') return { pooling: asked.pooling ?? 'pooler', normalize: false }
  const { pooling = 'mean', normalize = false } = readModules(folder)
  return { pooling: asked.pooling ?? pooling, normalize: asked.normalize ?? normalize }
}

function readModules(folder: string): Partial<Embedding> {
  const path = join(folder, MODULES)
  const json = readJsonFile(path, 'a list of modules')
  if (json === undefined) return {}
  const modules = moduleList(json, folder, path)
  const [, ...behind] = modules
  const kindOf = ({ type }: Module): string => type.split('.').at(-1) ?? ''
  const others = behind.filter((module) => !['Pooling', 'Normalize'].includes(kindOf(module)))
  if (others.length > 0) {
    throw new CheckpointError(`${path}: expected Pooling and Normalize behind the Transformer; also there:`, others.map(({ type }) => type))
  }
  const pooling = behind.find((module) => kindOf(module) === 'Pooling')
  return {
    ...(pooling === undefined ? {} : { pooling: readPooling(join(folder, pooling.path, 'config.json')) }),
    normalize: behind.some((module) => kindOf(module) === 'Normalize'),
  }
}

function moduleList(modules: unknown, folder: string, path: string): readonly Module[] {
  const isModule = (each: unknown): each is Module =>
    typeof each === 'object' && each !== null && 'path' in each && 'type' in each && typeof each.path === 'string' && typeof each.type === 'string'
  if (!Array.isArray(modules) || !modules.every(isModule)) throw new CheckpointError(`${path}: expected a list of modules, each with a path and a type.`)
  const outside = modules.filter((module) => /^\.\.($|[\\/])/.test(relative(folder, join(folder, module.path))) || isAbsolute(module.path))
  if (outside.length === 0) return modules
  throw new CheckpointError(`${path}: expected folders within the model's own, got others, which are not read:`, outside.map((module) => shown(module.path)))
}

function readPooling(path: string): Pooling {
  const config = readJsonObject(path, "a sentence encoder's pooling")
  const flags = Object.keys(config).filter((name) => name.startsWith('pooling_mode_') && config[name] === true)
  const named = [config['pooling_mode'] ?? flags.map((flag) => FLAGS[flag] ?? flag)].flat().map((each) => JSON.stringify(each))
  const [mode = '"mean"', ...more] = named
  const found = Object.entries(MODES).find(([name]) => JSON.stringify(name) === mode)?.[1]
  if (found !== undefined && more.length === 0) return found
  throw new CheckpointError(`${path}: expected one way of pooling, ${Object.keys(MODES).join(', ')}; got ${[mode, ...more].join(' and ')}.`)
}

/** Writes modules.json and the pooling's config.json, so that `SentenceTransformer(folder)` gives the same embeddings. */
export async function writeSentenceModules(folder: string, { pooling, normalize }: Embedding, width: number): Promise<void> {
  const steps = [['', 'Transformer'], [POOLING_FOLDER, 'Pooling'], ...(normalize ? [['2_Normalize', 'Normalize']] : [])]
  const modules = steps.map(([path, kind], idx) => ({ idx, name: String(idx), path, type: `sentence_transformers.models.${kind ?? ''}` }))
  const flags = Object.fromEntries(Object.entries(FLAGS).map(([flag, mode]) => [flag, MODES[mode] === pooling]))
  await mkdir(join(folder, POOLING_FOLDER), { recursive: true })
  await writeAtomic(join(folder, POOLING_FOLDER, 'config.json'), `${JSON.stringify({ word_embedding_dimension: width, ...flags }, null, 2)}\n`)
  await writeAtomic(join(folder, MODULES), `${JSON.stringify(modules, null, 2)}\n`)
}
