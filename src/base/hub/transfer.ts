import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../../errors.ts'
import { isThere, onDisk, repoCache } from './cache.ts'
import type { RemoteFile } from './cache.ts'
import { hubFetch, retry, TransientError, unreachable } from './http.ts'
import type { HubSettings } from './options.ts'
import { withLock } from '../files/lock.ts'

/**
 * Brings a file's blob into the cache. A part left by an earlier run is continued; the file enters the cache under
 * its name only when its size and its hash are those the Hub announced.
 */
export async function downloadBlob(settings: HubSettings, commit: string, file: RemoteFile): Promise<string> {
  const { blobs } = repoCache(settings)
  const blob = join(blobs, file.etag)
  await mkdir(blobs, { recursive: true })
  await withLock(`${blob}.incomplete.lock`, settings.signal, async () => {
    if (await isThere(blob, file.size)) return // another process was faster
    const part = `${blob}.incomplete`
    const resumed = await fillPart(settings, commit, file, part)
    if (await hashOf(part, file) !== file.etag) {
      await rm(part)
      // The part of the earlier run may be the bad one (power cut): once more from the start.
      if (resumed) await fillPart(settings, commit, file, part)
      if (!resumed || await hashOf(part, file) !== file.etag) {
        await rm(part, { force: true })
        throw new HubError(`${settings.repo}: ${file.path} arrived with other content than the Hub announced (its hash is not ${file.etag}) and was deleted. Try again; if it stays so, a proxy or mirror changes the file`)
      }
    }
    await rename(part, blob)
  })
  return blob
}

/** Requests until all bytes are there; true when the part was begun by an earlier run. */
async function fillPart(settings: HubSettings, commit: string, file: RemoteFile, part: string): Promise<boolean> {
  const handle = await open(part, 'a+') // made when it is not there, kept when it is
  try {
    let have = (await handle.stat()).size
    if (have > file.size) have = await restart()
    const resumed = have > 0
    let most = have
    await retry(settings, async (progressed) => {
      if (have === file.size) return
      const response = await hubFetch(settings, file.path)(fileUrl(settings, commit, file), have === 0 ? {} : { headers: { Range: `bytes=${have}-` } })
      if (have > 0 && response.status !== 206) have = await restart() // the server knows no ranges
      if (response.status === 206 && response.headers.get('Content-Range')?.startsWith(`bytes ${have}-`) !== true) {
        throw new TransientError(`${settings.endpoint} sent another part of ${file.path} than bytes ${have} and on`)
      }
      try {
        for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
          if (have + chunk.length > file.size) {
            have = await restart()
            throw new TransientError(`${settings.repo}: ${file.path} is longer than the ${file.size} bytes the Hub announced`)
          }
          await onDisk(part, () => handle.appendFile(chunk))
          have += chunk.length
          settings.onProgress({ file: file.path, loaded: have, total: file.size })
        }
      } catch (cause) {
        settings.signal?.throwIfAborted()
        throw unreachable(settings, cause)
      } finally {
        if (have > most) progressed() // what was thrown away is not counted
        most = Math.max(most, have)
      }
      if (have !== file.size) throw new TransientError(`${settings.repo}: ${file.path} broke off: expected ${file.size} bytes, got ${have}`)
    })
    await handle.sync()
    return resumed
  } finally {
    await handle.close()
  }

  async function restart(): Promise<number> {
    await handle.truncate()
    return 0
  }
}

function fileUrl({ endpoint, repo, repoType }: HubSettings, commit: string, file: RemoteFile): string {
  const path = file.path.split('/').map(encodeURIComponent).join('/')
  return `${endpoint}/${repoType === 'model' ? '' : `${repoType}s/`}${repo}/resolve/${commit}/${path}`
}

/** The file's hash in the kind of its etag: sha256 of the content, or git's sha1 of "blob <size>\0" and the content. */
async function hashOf(path: string, { etag, size }: RemoteFile): Promise<string> {
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
