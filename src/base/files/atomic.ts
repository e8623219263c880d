import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Writes a file so that a reader sees the old content or the whole new one, never a part: a temporary file in the
 * same folder is filled, forced to disk and renamed. When anything fails the temporary file is removed, the old
 * file stays, and the error is passed on.
 *
 * @param content the whole content, or a function that writes it through the open handle
 * @example
 * await writeAtomic('adapter/adapter_config.json', JSON.stringify(config, null, 2))
 */
export async function writeAtomic(
  path: string,
  content: string | Uint8Array | ((handle: FileHandle) => Promise<void>),
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await open(temporary, 'wx')
  try {
    try {
      if (typeof content === 'function') await content(handle)
      else await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw withPath(error, path)
  }
  await syncFolder(folder)
}

/** The file system names no path where a write through an open file fails, as on a full disk. */
function withPath(cause: unknown, path: string): unknown {
  if (!(cause instanceof Error) || !('syscall' in cause) || 'path' in cause) return cause
  return Object.assign(new Error(`${cause.message} '${path}'`, { cause }), { code: (cause as NodeJS.ErrnoException).code, path })
}

/** Makes the rename itself survive a power cut. Windows cannot open a folder; the file is whole there all the same. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
