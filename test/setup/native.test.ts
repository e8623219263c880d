import { copyFile, mkdir, readdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, expect, it, vi } from 'vitest'
import { nativeSources } from '../../src/base/engine/load-native.ts'
import { checkEngine } from '../../src/setup/check-engine.ts'
import { enginePackages, linkedBinding } from '../../src/setup/link.ts'
import { installNative, nativeFailure } from '../../src/setup/native.ts'
import type { Progress } from '../../src/setup/report.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const folder = temporaryFolder()
afterEach(() => void vi.unstubAllEnvs())

/** A package with a copy of the engine's binding, whose TensorFlow is the real one or missing. */
async function makePackage(name: string, withTensorFlow: boolean): Promise<string> {
  const engine = (await linkedBinding((await enginePackages(process.cwd()))[0] ?? '')) ?? ''
  const binding = folder(join(name, 'lib', 'napi-v8'))
  await mkdir(binding, { recursive: true })
  await copyFile(join(engine, 'tfjs_binding.node'), join(binding, 'tfjs_binding.node'))
  if (withTensorFlow) await symlink(join(engine, 'tensorflow'), join(binding, 'tensorflow'))
  return dirname(dirname(binding))
}

async function install(packageFolder: string, force = false): Promise<string[]> {
  vi.stubEnv('TFJS_PEFT_CACHE', folder('cache'))
  const texts: string[] = []
  const report = (progress: Progress): void => {
    if (progress.kind !== 'bytes') texts.push(progress.text)
  }
  await installNative([packageFolder], force, { report, signal: new AbortController().signal })
  return texts
}

it('compiles the kernels beside the engine, once, and removes those of other sources that no set-up has asked for in 90 days', { timeout: 240_000 }, async () => {
  // the process that tries them runs this library's TypeScript
  vi.stubEnv('NODE_OPTIONS', `--import=${pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href}`)
  const made = await makePackage('whole', true)
  const binding = (await linkedBinding(made)) ?? ''
  await writeFile(join(binding, `${nativeSources().addon}.partial-1`), 'of a killed process')
  const daysAgo = (days: number): Date => new Date(Date.now() - days * 24 * 3600 * 1000)
  for (const [name, days] of [['0123abcd.node', 91], ['0123abcd.failed.txt', 91], ['4567cdef.node', 89]] as const) {
    await writeFile(join(binding, `tfjs_peft_native-${name}`), 'of another version')
    await utimes(join(binding, `tfjs_peft_native-${name}`), daysAgo(days), daysAgo(days))
  }
  expect(await install(made)).toEqual(['Compiling the fused kernels'])
  expect((await readdir(binding)).sort()).toEqual(['tensorflow', 'tfjs_binding.node', nativeSources().addon, 'tfjs_peft_native-4567cdef.node'].sort())
  await utimes(join(binding, nativeSources().addon), daysAgo(91), daysAgo(91))
  expect(await install(made)).toEqual([])
  expect((await stat(join(binding, nativeSources().addon))).mtime.getTime()).toBeGreaterThan(daysAgo(1).getTime()) // asked for again
})

it('which are not those that this version calls are refused by name, before any of them runs', { timeout: 60_000 }, async () => {
  vi.stubEnv('NODE_OPTIONS', `--import=${pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href}`)
  const addon = folder('of-another-version.cjs')
  await writeFile(addon, `module.exports = { instructionSets: ['avx2'], threads: 1, register: () => 'OfAnotherVersion', misalignment: () => 0 }`)
  const check = await checkEngine({ binding: (await linkedBinding(await makePackage('misfit', true))) ?? '', addon })
  expect(check).toMatchObject({ works: true, native: { loaded: false, reason: `${addon}: the fused kernels were compiled from the sources of an older version, this version of the library has ${nativeSources().hash}; run \`npx tfjs-peft setup --force\`` } })
})

it('says why there are none, remembers it, and tries again when told to', async () => {
  const made = await makePackage('bare', false)
  const binding = (await linkedBinding(made)) ?? ''
  const library = process.platform === 'darwin' ? 'libtensorflow_framework.2.dylib' : 'libtensorflow_framework.so.2'
  const reason = `${binding}: expected ${library} in its folder tensorflow or in ../../deps/lib, and it is in neither.`
  const texts = ['Compiling the fused kernels', `The fused kernels cannot be had, and training is slower without them: ${reason}`]
  expect(await nativeFailure(binding)).toBeUndefined()
  await writeFile(join(binding, 'tfjs_peft_native-0123abcd.node'), 'which works for an older version')
  expect(await install(made)).toEqual(texts)
  expect(await nativeFailure(binding)).toBe(reason)
  expect(await readdir(binding)).toContain('tfjs_peft_native-0123abcd.node') // it was not replaced
  expect(await install(made)).toEqual([])
  expect(await install(made, true)).toEqual(texts)
})

it('does not remember that a compiler was missing, which may be installed the next day', async () => {
  const made = await makePackage('without-compiler', false)
  vi.stubEnv('CXX', undefined)
  vi.stubEnv('PATH', folder())
  expect((await install(made))[1]).toMatch(/no C\+\+17 compiler \(CXX, g\+\+ or clang\+\+\) was found\.$/)
  expect(await nativeFailure((await linkedBinding(made)) ?? '')).toBeUndefined()
})
