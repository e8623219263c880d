// One at a time under a lock, whatever became of the one before.

import { execFile } from 'node:child_process'
import { readdir, utimes, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { withLock } from '../../../src/base/files/lock.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()
const soon = 10_000 // a lock that nobody touches any more is waited for three times as long

it.each(['', '{"pid": 1', '[]'])('a lock that was not written to its end (%j) does not keep the next one waiting', async (content) => {
  await writeFile(inFolder('a.lock'), content)
  const before = performance.now()
  expect(await withLock(inFolder('a.lock'), undefined, () => Promise.resolve('done'))).toBe('done')
  expect(performance.now() - before).toBeLessThan(soon)
  expect(await readdir(inFolder())).toEqual([])
})

it('a lock of a running process on another machine is waited for, and taken over when it is not touched any more', async () => {
  await writeFile(inFolder('b.lock'), JSON.stringify({ pid: 1, host: 'elsewhere', id: 'x' }))
  const done = withLock(inFolder('b.lock'), undefined, () => Promise.resolve('done'))
  expect(await Promise.race([done, new Promise((later) => setTimeout(later, 1500, 'waits'))])).toBe('waits')
  const longAgo = new Date(Date.now() - 60_000)
  await utimes(inFolder('b.lock'), longAgo, longAgo)
  expect(await done).toBe('done')
})

it.skipIf(process.platform === 'win32')('no lock is left where there is no room for it', async () => {
  const program = `import { withLock } from './src/base/files/lock.ts'
    await withLock(process.argv[1], undefined, async () => console.log('never')).catch(({ code }) => console.log(code))`
  const script = 'ulimit -f 0; exec "$0" --import tsx --input-type=module -e "$1" "$2"' // no file may have a byte
  const { stdout } = await promisify(execFile)('bash', ['-c', script, process.execPath, program, inFolder('c.lock')], { env: { ...process.env, TSX_DISABLE_CACHE: '1' } })
  expect(stdout).toBe('EFBIG\n')
  expect(await readdir(inFolder())).toEqual([])
})
