import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { cacheFolder } from '../../src/setup/cache.ts'

describe('the cache folder', () => {
  beforeEach(() => {
    for (const name of ['TFJS_PEFT_CACHE', 'XDG_CACHE_HOME']) vi.stubEnv(name, undefined)
  })
  afterEach(() => void vi.unstubAllEnvs())

  it('is TFJS_PEFT_CACHE before all else', () => {
    vi.stubEnv('XDG_CACHE_HOME', '/xdg')
    vi.stubEnv('TFJS_PEFT_CACHE', '/mine')
    expect(cacheFolder()).toBe(resolve('/mine'))
    vi.stubEnv('TFJS_PEFT_CACHE', 'mine')
    expect(cacheFolder()).toBe(resolve('mine'))
  })

  it('is in XDG_CACHE_HOME when that is an absolute path', () => {
    vi.stubEnv('XDG_CACHE_HOME', '/xdg')
    expect(cacheFolder()).toBe(join('/xdg', 'tfjs-peft'))
    vi.stubEnv('XDG_CACHE_HOME', 'relative')
    expect(cacheFolder()).not.toContain('relative')
  })

  it.runIf(process.platform === 'linux')('is ~/.cache/tfjs-peft on a plain Linux', () => {
    expect(cacheFolder()).toBe(join(homedir(), '.cache', 'tfjs-peft'))
  })
})
