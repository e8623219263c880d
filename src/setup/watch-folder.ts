import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from './report.ts'

/** Milliseconds between two looks. */
const LOOK_EVERY = 500

/**
 * Reports the size of the largest file in a folder, again and again: the progress of a download by another program.
 *
 * @param total gives the bytes expected, once they are known
 * @returns a function that ends it
 */
export function watchFolder(folder: string, report: Report, total: () => number | undefined = () => undefined): () => void {
  const look = async (): Promise<void> => {
    const done = await largestFile(folder)
    if (done > 0) report({ kind: 'bytes', done, total: total() })
  }
  const timer = setInterval(() => void look(), LOOK_EVERY)
  return () => clearInterval(timer)
}

async function largestFile(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []) // a folder may vanish meanwhile
  const files = entries.filter((entry) => entry.isFile())
  const sizes = files.map((file) => stat(join(file.parentPath, file.name)).then(({ size }) => size, () => 0))
  return Math.max(0, ...(await Promise.all(sizes)))
}
