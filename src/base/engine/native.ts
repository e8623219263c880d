// Fused kernels: an addon beside the engine that adds operations to TensorFlow (sources in native/). Set-up compiles it;
// without it every operation has its composed form.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../../errors.ts'
import type { TensorFlow } from './engine.ts'

/** What native/addon.cc exports. */
export interface Addon {
  /** The hash of the sources it was compiled from. */
  readonly sources?: string
  /** Those of this processor that the addon was compiled for, the best first. */
  readonly instructionSets: readonly string[]
  readonly threads: number
  /** The processor multiplies bfloat16 numbers by itself. */
  readonly bfloat16Products: boolean
  /** Adds the operations for one set to TensorFlow; returns the prefix of their names. */
  register(instructionSet: string): string
  /** Bytes from the last address that is a multiple of 64. */
  misalignment(buffer: ArrayBuffer): number
}

/** Whether the fused kernels are in use, or why not. */
export type NativeState =
  | { readonly loaded: true; readonly instructionSet: string; readonly threads: number }
  | { readonly loaded: false; readonly reason: string }

/** The C++ sources of this package and the file that an addon made of exactly these has. */
export interface NativeSources {
  readonly folder: string
  readonly names: readonly string[]
  readonly hash: string
  /** Name of the addon's file; it lies beside `tfjs_binding.node`. */
  readonly addon: string
}

let addon: Addon | undefined
let prefix: string | undefined
let state: NativeState = { loaded: false, reason: 'no TensorFlow engine has been loaded' }

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
  if (addon !== undefined || engine === undefined) return
  if (engine.isUsingGpuDevice) {
    state = { loaded: false, reason: 'the fused kernels are for the CPU, and TensorFlow uses a GPU' }
    return
  }
  let path = file
  try {
    path ??= besideBinding(engine)
    if (path === undefined || !existsSync(path)) {
      state = { loaded: false, reason: 'not compiled' }
      return
    }
    addon = ofThisVersion(createRequire(import.meta.url)(path) as Addon)
    useNative(addon.instructionSets[0])
  } catch (error) {
    state = { loaded: false, reason: `${path ?? 'sources'}: ${error instanceof Error ? error.message : String(error)}` }
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

/**
 * Switches the fused kernels off, or to another instruction set; for tests and benchmarks.
 *
 * @param instructionSet one of `nativeInstructionSets()`, or undefined for the composed forms
 */
export function useNative(instructionSet: string | undefined): void {
  prefix = instructionSet === undefined ? undefined : addon?.register(instructionSet)
  state =
    instructionSet === undefined || addon === undefined
      ? { loaded: false, reason: 'switched off' }
      : { loaded: true, instructionSet, threads: addon.threads }
}

/** The instruction sets there are fused kernels for, the best first; none without the addon. */
export function nativeInstructionSets(): readonly string[] {
  return addon?.instructionSets ?? []
}

/** Whether the runtime's bfloat16 product is faster than its float32 product; without the addon, which alone can tell, no. */
export function hasBfloat16Products(): boolean {
  return addon?.bfloat16Products === true
}

/** Whether the fused kernels multiply bfloat16 numbers by the processor's own tiles. */
export function hasBfloat16Tiles(): boolean {
  return state.loaded && state.instructionSet === 'amx'
}

/** Before the name of each fused operation; undefined where the composed forms are in use. */
export function nativePrefix(): string | undefined {
  return prefix
}

/** Whether the fused kernels are in use, or why not. */
export function nativeState(): NativeState {
  return state
}

/** TensorFlow shares memory that is aligned to this many bytes and makes a copy of any other. */
const ALIGNMENT = 64

/**
 * Memory that TensorFlow can share. A weight in other memory would be there twice, until the garbage collector comes by.
 * Without the addon, which alone can tell, it is ordinary memory.
 *
 * @param length in bytes
 * @example
 * const { buffer, offset } = alignedMemory(4 * 1000)
 * const weight = new Float32Array(buffer, offset, 1000)
 */
export function alignedMemory(length: number): { readonly buffer: ArrayBuffer; readonly offset: number } {
  if (addon === undefined) return { buffer: new ArrayBuffer(length), offset: 0 }
  const buffer = new ArrayBuffer(length + ALIGNMENT)
  return { buffer, offset: (ALIGNMENT - addon.misalignment(buffer)) % ALIGNMENT }
}

/** Node keeps each loaded native module under its real path: the one whose exports the engine has is its binding. */
function besideBinding(engine: TensorFlow): string | undefined {
  const { cache } = createRequire(import.meta.url)
  const binding = Object.values(cache).find((module) => module !== undefined && module.exports === engine.binding)
  return binding === undefined ? undefined : join(dirname(binding.filename), nativeSources().addon)
}
