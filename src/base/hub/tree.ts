// Which commit a revision stands for, and what files it has: from the cache, or asked of the Hub.

import { HubError, shown } from '../../errors.ts'
import { commitPattern, isSafe, readTree, writeTree, type RemoteFile, type Tree } from './cache.ts'
import { hubFetch, retry, TransientError, unusable } from './http.ts'
import type { HubSettings } from './options.ts'

/** The commit that the revision stands for, and its files. A commit never changes: a list in the cache is right. */
export async function findTree(settings: HubSettings, wants: (path: string) => boolean, retries: number): Promise<{ commit: string; tree: Tree }> {
  const commit = commitPattern.test(settings.revision) ? settings.revision : await findCommit(settings, retries)
  return { commit, tree: await readTree(settings, commit) ?? await listTree(settings, commit, wants, retries) }
}

async function findCommit(settings: HubSettings, retries: number): Promise<string> {
  const { datasetInfo, modelInfo, spaceInfo } = await import('@huggingface/hub')
  const { repo, repoType, revision, endpoint } = settings
  const info = { model: modelInfo, dataset: datasetInfo, space: spaceInfo }[repoType] as typeof modelInfo
  const { sha } = await ask(settings, retries, (fetch) => info({ name: repo, revision, hubUrl: endpoint, fetch, additionalFields: ['sha'] }))
  if (!commitPattern.test(sha)) throw new HubError(`${endpoint} named ${shown(sha)} as the commit of ${repo}, which is none. Check HF_ENDPOINT`)
  return sha
}

async function listTree(settings: HubSettings, commit: string, wants: (path: string) => boolean, retries: number): Promise<Tree> {
  const { listFiles } = await import('@huggingface/hub')
  const { repo, repoType, endpoint } = settings
  const tree = new Map<string, RemoteFile>()
  const unsafe: string[] = []
  await ask(settings, retries, async (fetch) => {
    const repoId = { type: repoType, name: repo }
    for await (const { type, path, size, oid, lfs } of listFiles({ repo: repoId, revision: commit, recursive: true, hubUrl: endpoint, fetch })) {
      if (type !== 'file') continue
      const file = { path, size: lfs?.size ?? size, blobId: oid ?? '', etag: lfs?.oid ?? oid ?? '' }
      if (isSafe(file)) tree.set(path, file)
      else unsafe.push(path)
    }
  })
  const refused = unsafe.filter(wants)
  if (refused.length > 0) {
    throw new HubError(`${repo} lists files whose names or hashes could lead outside the cache folder: ${refused.map(shown).join(', ')}. Do not use this repository`)
  }
  if (unsafe.length === 0) await writeTree(settings, commit, tree)
  return tree
}

/** One request to the Hub through its client library, repeated while it fails in passing. */
async function ask<T>(settings: HubSettings, retries: number, work: (fetch: typeof globalThis.fetch) => Promise<T>): Promise<T> {
  return await retry(settings, async () => {
    try {
      return await work(eachOnce(settings, hubFetch(settings)))
    } catch (error) {
      settings.signal?.throwIfAborted()
      if (error instanceof HubError) throw error
      const { reason, ...cause } = unusable(error)
      throw new TransientError(`${settings.endpoint} did not answer as the Hub does: ${reason}. Check HF_ENDPOINT and the proxy`, undefined, cause)
    }
  }, retries)
}

/** Most pages of a list of files; the Hub puts a thousand files on one. */
const MOST_PAGES = 10_000

/** A fetch that refuses to go round in circles: pages that follow one another without end would be read without end. */
function eachOnce({ endpoint, repo }: HubSettings, ask: typeof fetch): typeof fetch {
  const asked = new Set<string>()
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    if (asked.has(url) || asked.size >= MOST_PAGES) throw new HubError(`${endpoint} lists the files of ${repo} without end. Check HF_ENDPOINT`)
    asked.add(url)
    return await ask(input, init)
  }
}
