import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { withLock } from '../base/files/lock.ts'
import { cacheFolder } from './cache.ts'
import type { SetupContext } from './report.ts'

/** Milliseconds of waiting after which the user is told. */
const PATIENCE = 1_000

/**
 * Runs `work` while no other set-up works on this cache; waits, and says so, as long as another one does.
 *
 * @example
 * await withSetupLock(context, async () => install())
 */
export async function withSetupLock<T>({ report, signal }: SetupContext, work: () => Promise<T>): Promise<T> {
  const path = join(cacheFolder(), 'setup.lock')
  await mkdir(cacheFolder(), { recursive: true })
  const text = `Another set-up is at work (it holds ${path}); waiting for it.`
  const waiting = setTimeout(() => report({ kind: 'note', text }), PATIENCE)
  try {
    return await withLock(path, signal, async () => {
      clearTimeout(waiting)
      return work()
    })
  } finally {
    clearTimeout(waiting)
  }
}
