import { spawnSync } from 'node:child_process'
import { access, mkdir, readdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { withSetupLock } from '../../src/setup/lock.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { recordingContext } from './fake-wheel.ts'

describe('two set-ups at once', () => {
  const folder = temporaryFolder()
  let cache: string

  beforeEach(({ task }) => {
    cache = folder(task.id)
    vi.stubEnv('TFJS_PEFT_CACHE', cache)
  })
  afterEach(() => void vi.unstubAllEnvs())

  it('work one after the other, and the second says that it waits', async () => {
    const order: string[] = []
    const first = withSetupLock(recordingContext(), async () => {
      await sleep(1500)
      order.push('first')
    })
    await sleep(50)
    const context = recordingContext()
    await Promise.all([first, withSetupLock(context, () => Promise.resolve(order.push('second')))])
    expect(order).toEqual(['first', 'second'])
    expect(context.texts()).toEqual([`Another set-up is at work (it holds ${cache}/setup.lock); waiting for it.`])
    await expect(access(`${cache}/setup.lock`)).rejects.toThrow('ENOENT')
  })

  it('do not wait for one that was killed', async () => {
    const dead = spawnSync(process.execPath, ['--version']).pid
    await mkdir(cache)
    await writeFile(`${cache}/setup.lock`, JSON.stringify({ pid: dead, host: hostname(), id: 'x' }))
    const context = recordingContext()
    expect(await withSetupLock(context, () => Promise.resolve('done'))).toBe('done')
    expect(context.texts()).toEqual([])
  })

  it('that find the lock of a killed one at the same time still work one after the other', async () => {
    const dead = spawnSync(process.execPath, ['--version']).pid
    await mkdir(cache)
    await writeFile(`${cache}/setup.lock`, JSON.stringify({ pid: dead, host: hostname(), id: 'x' }))
    let working = 0
    const most: number[] = []
    await Promise.all(Array.from({ length: 12 }, () => withSetupLock(recordingContext(), async () => {
      most.push(++working)
      await sleep(20)
      working--
    })))
    expect(most).toEqual(Array.from({ length: 12 }, () => 1))
    expect(await readdir(cache)).toEqual([])
  })

  it('release the lock when their work fails', async () => {
    const failing = withSetupLock(recordingContext(), () => Promise.reject(new Error('disk full')))
    await expect(failing).rejects.toThrow('disk full')
    await expect(access(`${cache}/setup.lock`)).rejects.toThrow('ENOENT')
  })
})
