import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Builds a folder aside and moves it into place only when `build` has succeeded, so that `target` is at all times
 * absent or complete. What builds of killed processes left is removed. The caller holds the lock of the cache.
 *
 * @param build fills the folder it is given
 * @throws whatever `build` throws; `target` is then as it was
 * @example
 * await buildFolder('/cache/engine/x', async (folder) => writeFile(join(folder, 'file'), 'content'))
 */
export async function buildFolder(target: string, build: (folder: string) => Promise<void>): Promise<void> {
  await removeLeftovers(target)
  const partial = `${target}.partial-${process.pid}`
  await mkdir(partial, { recursive: true })
  try {
    await build(partial)
    await rename(target, `${partial}-old`).catch(unlessAbsent)
    await rename(partial, target)
  } finally {
    await removeLeftovers(target)
  }
}

/** Removes every half-made folder or file `<target>.partial-…`. */
export async function removeLeftovers(target: string): Promise<void> {
  const names = await readdir(dirname(target)).catch(() => [])
  for (const name of names) {
    if (name.startsWith(`${basename(target)}.partial-`)) await remove(join(dirname(target), name))
  }
}

/** With a few tries: a program whose parent was killed may still write there for a moment. */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5 })
}

function unlessAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
