import { readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, expect, it, vi } from 'vitest'
import { nativeSources } from '../../src/base/engine/load-native.ts'
import { linkedBinding } from '../../src/setup/link.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { install, makePackage } from './make-package.ts'

const folder = temporaryFolder()
afterEach(() => void vi.unstubAllEnvs())

it('the set-up compiles the kernels beside the engine, once, and removes those of other sources that no set-up has asked for in 90 days', async () => {
  // the process that tries them runs this library's TypeScript
  vi.stubEnv('NODE_OPTIONS', `--import=${pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href}`)
  const made = await makePackage(folder('whole'), true)
  const binding = (await linkedBinding(made)) ?? ''
  await writeFile(join(binding, `${nativeSources().addon}.partial-1`), 'of a killed process')
  const daysAgo = (days: number): Date => new Date(Date.now() - days * 24 * 3600 * 1000)
  for (const [name, days] of [['0123abcd.node', 91], ['0123abcd.failed.txt', 91], ['4567cdef.node', 89]] as const) {
    await writeFile(join(binding, `tfjs_peft_native-${name}`), 'of another version')
    await utimes(join(binding, `tfjs_peft_native-${name}`), daysAgo(days), daysAgo(days))
  }
  expect(await install(made, folder('cache'))).toEqual(['Compiling the fused kernels'])
  expect((await readdir(binding)).sort()).toEqual(['tensorflow', 'tfjs_binding.node', nativeSources().addon, 'tfjs_peft_native-4567cdef.node'].sort())
  await utimes(join(binding, nativeSources().addon), daysAgo(91), daysAgo(91))
  expect(await install(made, folder('cache'))).toEqual([])
  expect((await stat(join(binding, nativeSources().addon))).mtime.getTime()).toBeGreaterThan(daysAgo(1).getTime()) // asked for again
})
