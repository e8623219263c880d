// Finds the addon with the fused kernels beside the engine, and makes sure that it is of this version.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../../errors.ts'
import { hasAddon, setNative, type Addon } from './native.ts'
import type { TensorFlow } from './tensorflow.ts'

/** The C++ sources of this package and the file that an addon made of exactly these has. */
export interface NativeSources {
  readonly folder: string
  readonly names: readonly string[]
  readonly hash: string
  /** Name of the addon's file; it lies beside `tfjs_binding.node`. */
  readonly addon: string
}

/** Reads the sources' names and their hash. */
export function nativeSources(): NativeSources {
  const folder = fileURLToPath(new URL('../../../native', import.meta.url))
  const names = readdirSync(folder).filter((name) => /\.(cc|h)$/.test(name)).sort()
  const hash = createHash('sha256')
  for (const name of names) hash.update(name).update('\0').update(readFileSync(join(folder, name))).update('\0')
  const short = hash.digest('hex').slice(0, 12)
  return { folder, names, hash: short, addon: `tfjs_peft_native-${short}.node` }
}

/**
 * Loads the addon that lies beside the engine's binding, if there is one; says in `nativeState` why if there is none.
 *
 * @param file of an addon that lies elsewhere; `TFJS_PEFT_NATIVE` in the environment names one too
 * @example
 * loadNative(tensorflow())
 */
export function loadNative(engine: TensorFlow | undefined, file: string | undefined = process.env['TFJS_PEFT_NATIVE']): void {
  if (hasAddon() || engine === undefined) return
  if (engine.isUsingGpuDevice) {
    setNative({ reason: 'the fused kernels are for the CPU, and TensorFlow uses a GPU' })
    return
  }
  setNative(findAddon(engine, file))
}

/** The addon that lies beside the engine's binding, of this version, or why there is none. @param file as of `loadNative` */
export function findAddon(engine: TensorFlow | undefined, file: string | undefined = process.env['TFJS_PEFT_NATIVE']): Addon | { readonly reason: string } {
  if (engine === undefined) return { reason: 'the engine is another than TensorFlow' }
  let path = file
  try {
    path ??= besideBinding(engine)
    if (path === undefined || !existsSync(path)) return { reason: 'not compiled' }
    return ofThisVersion(createRequire(import.meta.url)(path) as Addon)
  } catch (error) {
    return { reason: `${path ?? 'sources'}: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** @throws EngineError where it was compiled from other sources, whose operations may have other inputs */
function ofThisVersion(loaded: Addon): Addon {
  const { hash } = nativeSources()
  if (loaded.sources === hash) return loaded
  throw new EngineError(
    `the fused kernels were compiled from the sources ${loaded.sources ?? 'of an older version'}, this version of the library has ${hash}; run \`npx tfjs-peft setup --force\``,
  )
}

/** Node keeps each loaded native module under its real path: the one whose exports the engine has is its binding. */
function besideBinding(engine: TensorFlow): string | undefined {
  const { cache } = createRequire(import.meta.url)
  const binding = Object.values(cache).find((module) => module !== undefined && module.exports === engine.binding)
  return binding === undefined ? undefined : join(dirname(binding.filename), nativeSources().addon)
}
