// A name becomes a folder: hubSettings (options.ts), the commit and its files (tree.ts), each file's bytes (transfer.ts), and a link to
// them in the snapshot (cache.ts). Every request goes through http.ts.

import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { HubError, InputError, shown } from '../../errors.ts'
import { isThere, linkIntoSnapshot, onDisk, readRef, readTree, repoCache, writeRef } from './cache.ts'
import type { RemoteFile } from './cache.ts'
import { finishSave } from '../files/folder-save.ts'
import { TransientError, withTokenConcealed } from './http.ts'
import { downloadBlob } from './transfer.ts'
import { findTree } from './tree.ts'
import { HUB_OPTIONS, expandHome, hubSettings, isTooLong, pathProblem, repoIdProblem } from './options.ts'
import type { HubOptions, HubSettings } from './options.ts'
import { checkNames } from '../options.ts'

export type { HubOptions, HubProgress } from './options.ts'

/** Options of a download of several files. */
export interface SnapshotOptions extends HubOptions {
  /** Files to fetch: exact paths, or patterns in which `*` stands for anything but `/`. @default every file */
  readonly allow?: readonly string[] | undefined
}

/** The files a tokenizer is read from. */
export const tokenizerFiles: readonly string[] = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja', 'additional_chat_templates/*.jinja']

/** All that belongs to a tokenizer, for other readers too; copied with a model that is saved. */
export const allTokenizerFiles: readonly string[] = [...tokenizerFiles, 'added_tokens.json', 'vocab.txt', 'vocab.json', 'merges.txt']

/** The files of an image processor; copied with a model that is saved. */
export const imageProcessorFiles: readonly string[] = ['preprocessor_config.json', 'processor_config.json']

/** What a model's folder needs: configuration, weights in safetensors, tokenizer or image processor; an adapter's folder too. */
export const modelFiles: readonly string[] = [
  'config.json', 'generation_config.json', 'adapter_config.json',
  'model*.safetensors', 'adapter_model*.safetensors', '*.safetensors.index.json',
  'modules.json', '*_Pooling/config.json', // of sentence encoders
  ...allTokenizerFiles, ...imageProcessorFiles,
]

/**
 * The local path of one file of a repository on the Hub, downloaded unless the cache has it. The cache is the one of
 * Python's huggingface_hub.
 *
 * @throws HubError when the file cannot be had, with the HTTP status where there was an answer; InputError for a name
 * that cannot be on the Hub
 * @example
 * const path = await hubFile('sentence-transformers/all-MiniLM-L6-v2', 'config.json')
 */
export async function hubFile(repo: string, file: string, options: HubOptions = {}): Promise<string> {
  checkNames('hubFile', options, HUB_OPTIONS)
  const problem = pathProblem(file) ?? (isTooLong(file) ? `${shown(file)}: no file can have such a long name` : undefined)
  if (problem !== undefined) throw new InputError(problem)
  const settings = await hubSettings(repo, options)
  return join(await withTokenConcealed(settings, () => snapshot(settings, (path) => path === file, [file])), file)
}

/**
 * The local folder with a repository's files at one commit, downloaded as far as the cache does not have them.
 * When the Hub cannot be asked, the cache is used if it holds all that is wanted.
 *
 * @throws HubError, InputError as `hubFile`
 * @example
 * const folder = await hubSnapshot('sentence-transformers/all-MiniLM-L6-v2', { allow: ['config.json', '*.safetensors'] })
 */
export async function hubSnapshot(repo: string, options: SnapshotOptions = {}): Promise<string> {
  const settings = await hubSettings(repo, options)
  const patterns = options.allow?.map(toPattern)
  const wants = (path: string): boolean => patterns?.some((pattern) => pattern.test(path)) ?? true
  return await withTokenConcealed(settings, () => snapshot(settings, wants, options.allow ?? []))
}

/**
 * The names of a repository's files at one commit.
 *
 * @throws HubError, InputError as `hubFile`
 * @example
 * const names = await hubFiles('sentence-transformers/all-MiniLM-L6-v2')
 */
export async function hubFiles(repo: string, options: HubOptions = {}): Promise<string[]> {
  const settings = await hubSettings(repo, options)
  return await withTokenConcealed(settings, () => fileNames(settings))
}

async function fileNames(settings: HubSettings): Promise<string[]> {
  let failure: HubError | undefined
  if (!settings.offline) {
    try {
      return [...(await findTree(settings, () => true, 5)).tree.keys()]
    } catch (error) {
      if (!(error instanceof TransientError)) throw error
      failure = error
    }
  }
  const commit = await readRef(settings)
  const tree = commit === undefined ? undefined : await readTree(settings, commit)
  if (tree !== undefined) return [...tree.keys()]
  throw notCached(settings, [], failure?.message ?? 'the Hub is not to be asked (offline)', failure)
}

/**
 * The folder a user means: a local one, or the snapshot of a Hub id. What starts with `.`, `/`, `~` or a drive letter
 * is a path; anything else is one if that folder exists.
 *
 * @param options as for `hubSnapshot`; `allow` defaults to `modelFiles`
 * @throws InputError when a path is no folder or the text is neither a path nor an id; HubError as `hubSnapshot`
 * @example
 * const folder = await resolveSource('./models/bert')
 * const same = await resolveSource('google-bert/bert-base-uncased', { revision: 'main' })
 */
export async function resolveSource(source: string, options: SnapshotOptions = {}): Promise<string> {
  const path = expandHome(source)
  const status = await stat(path).catch(() => undefined)
  if (status?.isDirectory() === true) {
    await finishSave(path)
    return path
  }
  if (status !== undefined) throw new InputError(`${source}: expected a folder, got a file`)
  if (/^(\.|[\\/]|~|[A-Za-z]:)/.test(source)) throw new InputError(`${source}: there is no such folder`)
  const problem = repoIdProblem(source)
  if (problem !== undefined) throw new InputError(`${source}: expected a folder or the id of a repository on the Hub`, ['there is no such folder', problem])
  return await hubSnapshot(source, { allow: modelFiles, ...options }).catch((error: unknown) => {
    if (!(error instanceof HubError) || (error.status !== undefined && error.status !== 401 && error.status !== 404)) throw error
    throw new HubError(`There is no folder ${shown(source)} in ${process.cwd()}, and the Hub does not give it either: ${error.message}`, error.status, { cause: error.cause })
  })
}

/** Brings the wanted files of one commit into the cache; `asked` names them in errors. */
async function snapshot(settings: HubSettings, wants: (path: string) => boolean, asked: readonly string[]): Promise<string> {
  const cached = await cachedSnapshot(settings, wants)
  if (settings.offline) {
    if (cached !== undefined) return cached
    throw notCached(settings, asked, 'the Hub is not to be asked (offline)')
  }
  const found = await findTree(settings, wants, cached === undefined ? 5 : 0).catch((error: unknown) => {
    if (!(error instanceof HubError)) throw error
    const noAnswer = error instanceof TransientError
    if (cached !== undefined && (noAnswer || error.status === 401 || error.status === 403)) return undefined
    throw noAnswer ? notCached(settings, asked, error.message, error) : error
  })
  if (found === undefined) return cached as string // known above
  const { commit, tree } = found
  const wanted = [...tree.values()].filter(({ path }) => wants(path))
  if (wanted.length === 0) {
    const has = [...tree.keys()].slice(0, 30).join(', ')
    throw new HubError(`${settings.repo} has no file ${asked.join(', ')} at revision "${settings.revision}". It has ${has}`, 404)
  }
  const long = wanted.filter(({ path }) => isTooLong(path))
  if (long.length > 0) throw new HubError(`${settings.repo} has files with longer names than a file can have: ${long.map(({ path }) => shown(path)).join(', ')}. Ask for the others alone`)
  const cache = repoCache(settings)
  const folder = cache.snapshot(commit)
  for (const file of wanted) {
    const place = join(folder, file.path)
    if (await isThere(place, file.size)) continue
    const blob = join(cache.blobs, file.etag)
    await onDisk(blob, async () => {
      if (!await isThere(blob, file.size)) await downloadBlob(settings, commit, file)
    })
    await onDisk(place, () => linkIntoSnapshot(blob, place))
  }
  await checkSpelling(settings, folder, wanted)
  await onDisk(folder, () => writeRef(settings, commit)) // last: a branch never points to a snapshot that lacks what was asked for
  return folder
}

/** @throws HubError when files whose names differ in case or accents alone are one file here, as on most disks of macOS and Windows */
async function checkSpelling(settings: HubSettings, folder: string, wanted: readonly RemoteFile[]): Promise<void> {
  for (const paths of alike(wanted.map(({ path }) => path))) {
    const there = await readdir(folder, { recursive: true })
    const lost = paths.filter((path) => !there.includes(join(path)))
    if (lost.length > 0) throw new HubError(`${settings.repo} has the files ${paths.map(shown).join(' and ')}, which are one file on the disk of ${folder}. Ask for one of them alone, or keep the cache on a disk that tells them apart (HF_HUB_CACHE)`)
  }
}

/** Groups of paths that differ in case or in how accents are written, and in nothing else. */
function alike(paths: readonly string[]): string[][] {
  const groups = new Map<string, string[]>()
  for (const path of paths) {
    const key = path.normalize('NFC').toLowerCase()
    groups.set(key, [...(groups.get(key) ?? []), path])
  }
  return [...groups.values()].filter((group) => group.length > 1)
}

/** The snapshot in the cache when it holds all wanted files; without a list of the commit's files, when it holds one. */
async function cachedSnapshot(settings: HubSettings, wants: (path: string) => boolean): Promise<string | undefined> {
  const commit = await readRef(settings)
  if (commit === undefined) return undefined
  const folder = repoCache(settings).snapshot(commit)
  const tree = await readTree(settings, commit)
  if (tree === undefined) {
    const files = await readdir(folder, { recursive: true }).catch(() => [])
    return files.some((file) => wants(file.replaceAll('\\', '/'))) ? folder : undefined
  }
  const wanted = [...tree.values()].filter(({ path }) => wants(path))
  const there = await Promise.all(wanted.map(({ path, size }) => isThere(join(folder, path), size)))
  return wanted.length > 0 && there.every(Boolean) ? folder : undefined
}

function notCached({ repo, revision, cacheFolder }: HubSettings, asked: readonly string[], reason: string, cause?: HubError): HubError {
  const isMany = asked.length > 3 // as of a model, whose files have a dozen names
  const what = asked.length === 0 ? 'the repository' : isMany ? `what is needed of it (${asked.slice(0, 2).join(', ')} and others)` : asked.join(', ')
  const patterns = isMany ? [...new Set(asked.map((file) => `*${extname(file)}`))] : asked
  const files = patterns.some((file) => file.includes('*')) ? patterns.map((file) => ` --include "${file}"`) : patterns.map((file) => ` ${file}`)
  const command = `hf download ${repo}${files.join('')}${revision === 'main' ? '' : ` --revision ${revision}`}`
  return new HubError(`${repo}: ${what} at revision "${revision}" is not in the cache ${cacheFolder}, and ${reason}. With a connection, this fetches it: ${command}`,
    cause?.status, cause === undefined ? {} : { cause })
}

/** `*` stands for any characters but `/`. */
function toPattern(allowed: string): RegExp {
  return new RegExp(`^${allowed.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*')}$`)
}
