import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'

/** A folder for one test file, removed with all that is in it at the end; the function joins a name to its path. */
export function temporaryFolder(): (...names: string[]) => string {
  let path: string | undefined
  beforeAll(async () => {
    path = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  })
  afterAll(async () => {
    if (path !== undefined) await rm(path, { recursive: true, force: true })
  })
  return (...names) => {
    if (path === undefined) throw new Error('the folder exists only while tests run')
    return join(path, ...names)
  }
}
