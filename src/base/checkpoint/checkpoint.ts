import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CheckpointError, shown } from '../../errors.ts'
import { namesIn } from '../files/folder-save.ts'
import { packedEntries } from './bitsandbytes.ts'
import { allocate, fromFloat32 } from './dtype.ts'
import { unpack } from '../engine/packed-weight.ts'
import { foreignWeights } from './foreign-folder.ts'
import { hasMlx, mlxEntries, mlxSettings } from './mlx.ts'
import type { PackedEntry } from './packed-entry.ts'
import { openSafetensors } from './safetensors.ts'
import type { SafetensorsFile, TensorEntry } from './safetensors.ts'
import { readJsonObject } from '../files/json-file.ts'
import { membersOf, parseStrictJson } from '../files/strict-json.ts'

/** A model's weights, in one safetensors file or in several; read as a single file is. What is quantised is read as float32, or as it is. */
export interface Checkpoint extends SafetensorsFile {
  /** Weights that are quantised, by key: `entries` has them with the shapes and types of their numbers, and what belongs to them no more. */
  readonly packed: ReadonlyMap<string, PackedEntry>
}

const single = 'model.safetensors'
const index = 'model.safetensors.index.json'

/**
 * Opens the weights of a model: a folder with `model.safetensors` or with `model.safetensors.index.json` and its
 * shards, or one of those files by its path. Of a folder with both, the single file is taken, as HF libraries do.
 *
 * @throws CheckpointError when there are no safetensors weights, a file is not valid, or the index and the shards
 * do not say the same; it lists every difference
 * @example
 * const checkpoint = await openCheckpoint('models/bert')
 * const weights = toFloat32(await checkpoint.read('encoder.layer.0.attention.self.query.weight'))
 * await checkpoint.close()
 */
export async function openCheckpoint(folderOrFile: string): Promise<Checkpoint> {
  const path = await weightsPath(folderOrFile)
  const file = path.endsWith('.json') ? await openShards(path) : await openSafetensors(path)
  try {
    return await unpacking(file)
  } catch (error) {
    await file.close()
    throw error
  }
}

async function unpacking(file: SafetensorsFile): Promise<Checkpoint> {
  const packed = hasMlx(file) ? mlxEntries(file, mlxSettings(readJsonObject(join(dirname(file.path), 'config.json'), "a model's configuration")) ?? {}) : await packedEntries(file)
  if (packed.size === 0) return { ...file, packed }
  const entries = new Map(file.entries)
  for (const { keys } of packed.values()) for (const key of keys) entries.delete(key)
  for (const [name, { shape }] of packed) entries.set(name, { name, dtype: 'F32', shape, byteLength: 4 * sizeOf(shape) })
  return {
    ...file,
    packed,
    entries,
    async read(name, rounded = false, room) {
      const entry = packed.get(name)
      if (entry === undefined) return await file.read(name, rounded, room)
      const data = allocate('F32', sizeOf(entry.shape)) as Float32Array
      unpack(await entry.read(), 0, data)
      return rounded ? { dtype: 'BF16', shape: entry.shape, data: fromFloat32(data, 'BF16') } : { dtype: 'F32', shape: entry.shape, data }
    },
  }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}

async function weightsPath(path: string): Promise<string> {
  const status = await stat(path).catch((cause: unknown) => {
    throw new CheckpointError(`${path} cannot be opened: ${(cause as Error).message}`, [], { cause })
  })
  if (!status.isDirectory()) return path
  const files = await namesIn(path)
  for (const file of [single, index]) if (files.includes(file)) return join(path, file)
  const foreign = foreignWeights(path, files)
  if (foreign !== undefined) throw foreign
  throw new CheckpointError(`${path}: expected ${single} or ${index}, got ${files.length === 0 ? 'an empty folder' : files.sort().join(', ')}`)
}

async function openShards(path: string): Promise<SafetensorsFile> {
  const weightMap = await readWeightMap(path)
  const opened = new Map<string, SafetensorsFile>()
  const close = async (): Promise<void> => {
    await Promise.all([...opened.values()].map((shard) => shard.close()))
  }
  try {
    const problems: string[] = []
    for (const file of new Set(weightMap.values())) {
      try {
        opened.set(file, await openSafetensors(join(dirname(path), file)))
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error
        problems.push(`shard ${file}: ${error.message}`)
      }
    }
    if (problems.length === 0) compare(weightMap, opened, problems)
    if (problems.length > 0) throw new CheckpointError(`${path} does not fit its shards`, problems)
  } catch (error) {
    await close()
    throw error
  }
  const shards = [...opened.values()]
  const entries = new Map<string, TensorEntry>()
  for (const shard of shards) for (const [name, entry] of shard.entries) entries.set(name, entry)
  return {
    path,
    entries,
    metadata: shards[0]?.metadata ?? {}, // writers repeat { format } in every shard
    async read(name, rounded, room) {
      const shard = opened.get(weightMap.get(name) ?? '')
      if (shard === undefined) throw new CheckpointError(`${path} has no tensor ${shown(name)}`)
      return await shard.read(name, rounded, room)
    },
    close,
  }
}

/** Tensor name to shard file name. */
async function readWeightMap(path: string): Promise<Map<string, string>> {
  const problems: string[] = []
  const weightMap = new Map<string, string>()
  const files = new Map<string, string>() // each name once, whatever many tensors are in the file
  let found = false
  try {
    const whole = await readFile(path, 'utf8')
    for (const [field, text] of whole.trimStart().startsWith('{') ? membersOf(whole, 8) : []) {
      found ||= field === 'weight_map' && text.trimStart().startsWith('{')
      if (field !== 'weight_map' || !found) {
        parseStrictJson(text, 7)
        continue
      }
      for (const [name, value] of membersOf(text, 7)) {
        const file = parseStrictJson(value, 6)
        if (typeof file !== 'string' || !isPlainName(file)) problems.push(`tensor ${shown(name)}: expected the name of a .safetensors file in the same folder, got ${shown(file)}`)
        else {
          const known = files.get(file) ?? file
          files.set(known, known)
          weightMap.set(name, known)
        }
      }
    }
  } catch (cause) {
    throw new CheckpointError(`${path} is not a valid index: ${(cause as Error).message}`, [], { cause })
  }
  if (!found) throw new CheckpointError(`${path} is not a valid index: expected an object "weight_map" from tensor to file`)
  if (problems.length > 0) throw new CheckpointError(`${path} is not a valid index`, problems)
  return weightMap
}

function isPlainName(file: string): boolean {
  return file.endsWith('.safetensors') && file === basename(file) && !/[\\:\0]/.test(file)
}

function compare(weightMap: ReadonlyMap<string, string>, opened: ReadonlyMap<string, SafetensorsFile>, problems: string[]): void {
  for (const [name, file] of weightMap) {
    if (opened.get(file)?.entries.has(name) !== true) problems.push(`tensor ${shown(name)} is not in its shard ${file}`)
  }
  for (const [file, shard] of opened) {
    for (const name of shard.entries.keys()) {
      const home = weightMap.get(name)
      if (home === undefined) problems.push(`tensor ${shown(name)} of shard ${file} is not in the index`)
      else if (home !== file) problems.push(`tensor ${shown(name)} is in shard ${file} too, the index says ${home}`)
    }
  }
}
