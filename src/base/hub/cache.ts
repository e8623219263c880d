import { randomUUID } from 'node:crypto'
import { copyFile, mkdir, readFile, rename, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { HubError } from '../../errors.ts'
import { writeAtomic } from '../files/atomic.ts'
import { pathProblem } from './options.ts'
import type { HubSettings } from './options.ts'

/** A file of a repository. */
export interface RemoteFile {
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Git's sha1 of what git stores: the file, or for a file in large storage a pointer to it. */
  readonly blobId: string
  /** The sha256 of a file in large storage, else `blobId`; the file's name among the cache's blobs. */
  readonly etag: string
}

/** All files of one commit by path. */
export type Tree = ReadonlyMap<string, RemoteFile>

export const commitPattern: RegExp = /^[0-9a-f]{40}$/

/**
 * The cache of one repository, laid out as Python's huggingface_hub lays it out, who shares it:
 * `models--org--name/blobs/<etag>`, `refs/<revision>` with a commit, `snapshots/<commit>/<file>` as relative links to
 * blobs, and `trees/<commit>.json` with all files of a commit.
 */
export interface RepoCache {
  readonly folder: string
  readonly blobs: string
  readonly snapshot: (commit: string) => string
}

/** Paths of the cache that keeps the repository of `settings`. */
export function repoCache({ cacheFolder, repoType, repo }: HubSettings): RepoCache {
  const folder = join(cacheFolder, `${repoType}s--${repo.replace('/', '--')}`)
  return { folder, blobs: join(folder, 'blobs'), snapshot: (commit) => join(folder, 'snapshots', commit) }
}

/** The commit that the cache knows for the wanted revision. */
export async function readRef(settings: HubSettings): Promise<string | undefined> {
  if (commitPattern.test(settings.revision)) return settings.revision
  const text = await readFile(refPath(settings), 'utf8').catch(() => '')
  return commitPattern.test(text.trim()) ? text.trim() : undefined
}

/**
 * Remembers which commit a branch or tag stands for. Not where the file system has no place for such a name: "a/b" beside "a" of
 * another time, or a very long one; the Hub is then asked each time.
 */
export async function writeRef(settings: HubSettings, commit: string): Promise<void> {
  if (await readRef(settings) === commit) return // so that a complete cache may be read-only
  try {
    await mkdir(dirname(refPath(settings)), { recursive: true })
    await writeAtomic(refPath(settings), commit)
  } catch (error) {
    if (!['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/** Does `work` in the cache. @throws HubError that names the place and the reason where the file system refuses; other errors as they are */
export async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof Error) || !('syscall' in cause)) throw cause
    const full = 'code' in cause && ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(String(cause.code))
    const wayOut = full ? 'Make room there, or name another folder' : 'Name a folder that can be written'
    throw new HubError(`${path} cannot be written: ${cause.message}. ${wayOut} with the option cacheFolder or with HF_HUB_CACHE`, undefined, { cause })
  }
}

function refPath(settings: HubSettings): string {
  return join(repoCache(settings).folder, 'refs', settings.revision)
}

interface TreeJson {
  readonly format_version: 1
  readonly files: Record<string, { size: number; blob_id: string; lfs_sha256?: string; lfs_size?: number }>
}

/** The files of a commit as the cache knows them; undefined when it does not, or in a format of later versions. */
export async function readTree(settings: HubSettings, commit: string): Promise<Tree | undefined> {
  try {
    const { format_version, files } = JSON.parse(await readFile(treePath(settings, commit), 'utf8')) as Partial<TreeJson>
    if (format_version !== 1 || files === undefined) return undefined
    const tree = Object.entries(files).map(([path, { size, blob_id, lfs_sha256, lfs_size }]) => 
      ({ path, size: lfs_size ?? size, blobId: blob_id, etag: lfs_sha256 ?? blob_id }))
    return tree.every(isSafe) ? new Map(tree.map((file) => [file.path, file])) : undefined
  } catch {
    return undefined // not there, or damaged: the Hub is asked again
  }
}

/** Keeps the files of a commit, so that a part of a snapshot is known as a part without the Hub. */
export async function writeTree(settings: HubSettings, commit: string, tree: Tree): Promise<void> {
  const files = Object.fromEntries([...tree.values()].map(({ path, size, blobId, etag }) =>
    [path, { size, blob_id: blobId, ...(etag === blobId ? {} : { lfs_sha256: etag, lfs_size: size }) }]))
  try {
    await mkdir(dirname(treePath(settings, commit)), { recursive: true })
    await writeAtomic(treePath(settings, commit), JSON.stringify({ format_version: 1, files } satisfies TreeJson, null, 1))
  } catch {
    // A cache that may not be written still serves what it holds.
  }
}

function treePath(settings: HubSettings, commit: string): string {
  return join(repoCache(settings).folder, 'trees', `${commit}.json`)
}

/** True when neither the path nor the etag can name a place outside the cache. */
export function isSafe({ path, size, etag }: RemoteFile): boolean {
  return pathProblem(path) === undefined && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) && Number.isSafeInteger(size) && size >= 0
}

/** True when a file of exactly `size` bytes is at `path`; any size when it is undefined. */
export async function isThere(path: string, size?: number): Promise<boolean> {
  const status = await stat(path).catch(() => undefined)
  return status?.isFile() === true && (size === undefined || status.size === size)
}

/** Makes a blob appear in the snapshot under its name, in one step. Where links are not allowed (Windows) it is copied. */
export async function linkIntoSnapshot(blob: string, pointer: string): Promise<void> {
  await mkdir(dirname(pointer), { recursive: true })
  const temporary = join(dirname(pointer), `.${randomUUID()}.tmp`) // the name itself may be as long as a name can be
  try {
    await symlink(relative(dirname(pointer), blob), temporary)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    await copyFile(blob, temporary)
  }
  await rename(temporary, pointer)
}
