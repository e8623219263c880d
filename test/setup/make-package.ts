import { copyFile, mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { vi } from 'vitest'
import { enginePackages, linkedBinding } from '../../src/setup/link.ts'
import { installNative } from '../../src/setup/native.ts'
import type { Progress } from '../../src/setup/report.ts'

/** A package with a copy of the engine's binding, whose TensorFlow is the real one or missing. */
export async function makePackage(folder: string, withTensorFlow: boolean): Promise<string> {
  const engine = (await linkedBinding((await enginePackages(process.cwd()))[0] ?? '')) ?? ''
  const binding = join(folder, 'lib', 'napi-v8')
  await mkdir(binding, { recursive: true })
  await copyFile(join(engine, 'tfjs_binding.node'), join(binding, 'tfjs_binding.node'))
  if (withTensorFlow) await symlink(join(engine, 'tensorflow'), join(binding, 'tensorflow'))
  return dirname(dirname(binding))
}

/** What the set-up of the kernels says. */
export async function install(packageFolder: string, cache: string, force = false): Promise<string[]> {
  vi.stubEnv('TFJS_PEFT_CACHE', cache)
  const texts: string[] = []
  const report = (progress: Progress): void => {
    if (progress.kind !== 'bytes') texts.push(progress.text)
  }
  await installNative([packageFolder], force, { report, signal: new AbortController().signal })
  return texts
}
