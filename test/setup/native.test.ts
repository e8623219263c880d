import { readdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, expect, it, vi } from 'vitest'
import { nativeSources } from '../../src/base/engine/load-native.ts'
import { checkEngine } from '../../src/setup/check-engine.ts'
import { linkedBinding } from '../../src/setup/link.ts'
import { nativeFailure } from '../../src/setup/native.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { install, makePackage } from './make-package.ts'

const folder = temporaryFolder()
afterEach(() => void vi.unstubAllEnvs())

it('kernels which are not those that this version calls are refused by name, before any of them runs', { timeout: 60_000 }, async () => {
  vi.stubEnv('NODE_OPTIONS', `--import=${pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href}`)
  const addon = folder('of-another-version.cjs')
  await writeFile(addon, `module.exports = { instructionSets: ['avx2'], threads: 1, register: () => 'OfAnotherVersion', misalignment: () => 0 }`)
  const check = await checkEngine({ binding: (await linkedBinding(await makePackage(folder('misfit'), true))) ?? '', addon })
  expect(check).toMatchObject({ works: true, native: { loaded: false, reason: `${addon}: the fused kernels were compiled from the sources of an older version, this version of the library has ${nativeSources().hash}; run \`npx tfjs-peft setup --force\`` } })
})

it('the set-up says why there are no kernels, remembers it, and tries again when told to', async () => {
  const made = await makePackage(folder('bare'), false)
  const binding = (await linkedBinding(made)) ?? ''
  const library = process.platform === 'darwin' ? 'libtensorflow_framework.2.dylib' : 'libtensorflow_framework.so.2'
  const reason = `${binding}: expected ${library} in its folder tensorflow or in ../../deps/lib, and it is in neither.`
  const texts = ['Compiling the fused kernels', `The fused kernels cannot be had, and training is slower without them: ${reason}`]
  expect(await nativeFailure(binding)).toBeUndefined()
  await writeFile(join(binding, 'tfjs_peft_native-0123abcd.node'), 'which works for an older version')
  expect(await install(made, folder('cache'))).toEqual(texts)
  expect(await nativeFailure(binding)).toBe(reason)
  expect(await readdir(binding)).toContain('tfjs_peft_native-0123abcd.node') // it was not replaced
  expect(await install(made, folder('cache'))).toEqual([])
  expect(await install(made, folder('cache'), true)).toEqual(texts)
})

it('the set-up does not remember that a compiler was missing, which may be installed the next day', async () => {
  const made = await makePackage(folder('without-compiler'), false)
  vi.stubEnv('CXX', undefined)
  vi.stubEnv('PATH', folder())
  expect((await install(made, folder('cache')))[1]).toMatch(/no C\+\+17 compiler \(CXX, g\+\+ or clang\+\+\) was found\.$/)
  expect(await nativeFailure((await linkedBinding(made)) ?? '')).toBeUndefined()
})
