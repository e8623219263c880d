import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NativeState } from '../base/engine/native.ts'
import { lastLines, runCommand } from './command.ts'
import type { Device } from './wheels.ts'

/** What a loaded engine said of itself. */
export interface EngineFacts {
  /** Its TensorFlow version. */
  readonly version: string
  readonly gpu: boolean
  /** Whether its fused kernels work. */
  readonly native: NativeState
}

/** The facts of an engine that works, or why it does not. */
export type EngineCheck = ({ readonly works: true } & EngineFacts) | { readonly works: false; readonly reason: string }

/** What is checked, and for what. */
export interface CheckOptions {
  /** Folder that holds `tfjs_binding.node`; the engine that the library itself loads unless given. */
  readonly binding?: string
  /** The file of the fused kernels; those beside the engine unless given. */
  readonly addon?: string
  /** With 'cuda' an engine that sees no GPU does not count as working. @default 'cpu' */
  readonly device?: Device
  readonly signal?: AbortSignal
}

/** Seconds. A GPU newer than the engine makes the driver compile every kernel first, which takes far longer. */
const TIMEOUT = 120

/**
 * Loads an engine in a process of its own and multiplies two matrices with it: a broken native library ends that
 * process and not this one.
 *
 * @example
 * const check = await checkEngine()
 * if (!check.works) console.error(check.reason)
 */
export async function checkEngine(options: CheckOptions = {}): Promise<EngineCheck> {
  const { binding, addon, device = 'cpu', signal } = options
  const program = fileURLToPath(new URL(`./check-engine-child${extname(import.meta.url)}`, import.meta.url))
  const args = [...process.execArgv, program, binding ?? '', addon ?? '']
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '1' } // its warnings say why a GPU is not used
  const result = await runCommand(process.execPath, args, { timeout: TIMEOUT, env, ...(signal && { signal }) })
  const facts = /^engine-works (.*)$/m.exec(result.output)?.[1]
  if (!result.ok || facts === undefined) return { works: false, reason: whyBroken(result.ending, result.output) }
  const { version, gpu, native } = JSON.parse(facts) as EngineFacts
  if (device === 'cuda' && !gpu) return { works: false, reason: `TensorFlow ${version} uses no GPU${warnings(result.output)}` }
  return { works: true, version, gpu, native }
}

function whyBroken(ending: string, output: string): string {
  if (ending === 'signal SIGILL') return 'this processor lacks instructions that TensorFlow was compiled for (AVX)'
  return /^engine-error (.*)$/m.exec(output)?.[1] ?? `${ending} ${lastLines(output, 3)}`.trim()
}

/** TensorFlow's warnings and errors, one a line, without time stamp and source position. */
function warnings(output: string): string {
  const texts = [...output.matchAll(/^[\d-]+ [\d:.]+: [WE] \S+\] (.*)$/gm)].map(([, text]) => text)
  return texts.length === 0 ? '' : `: ${texts.join('; ')}`
}
