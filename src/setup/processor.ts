import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { runCommand } from './command.ts'

/** Instruction sets that decide how fast TensorFlow multiplies: vector width, then bfloat16 products. */
const RELEVANT: Readonly<Record<string, readonly string[]>> = {
  x64: ['avx', 'avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'],
  arm64: ['asimd', 'bf16', 'sve'],
}

/** A processor and which of the relevant instruction sets it has. */
export interface Processor {
  readonly model: string
  readonly has: readonly string[]
  readonly lacks: readonly string[]
}

/** Reads the processor's features from /proc/cpuinfo, or from sysctl on macOS. */
export async function processor(): Promise<Processor> {
  const relevant = RELEVANT[process.arch] ?? []
  const flags = await readFlags()
  return {
    model: cpus()[0]?.model.trim() ?? process.arch,
    has: relevant.filter((name) => flags.has(name)),
    lacks: relevant.filter((name) => !flags.has(name)),
  }
}

async function readFlags(): Promise<ReadonlySet<string>> {
  if (process.platform === 'darwin') {
    const { output } = await runCommand('sysctl', ['hw.optional'])
    return macFlags(output)
  }
  return linuxFlags(await readFile('/proc/cpuinfo', 'utf8').catch(() => ''))
}

/** The words of the first processor's 'flags' line (x86) or 'Features' line (Arm). */
export function linuxFlags(cpuinfo: string): ReadonlySet<string> {
  return new Set(/^(?:flags|Features)\s*: (.*)$/m.exec(cpuinfo)?.[1]?.split(' '))
}

/** The features that `sysctl hw.optional` sets to 1, under Linux's names: 'hw.optional.arm.FEAT_BF16: 1' is bf16. */
export function macFlags(sysctl: string): ReadonlySet<string> {
  const names = [...sysctl.matchAll(/^hw\.optional\.(?:arm\.)?(?:FEAT_)?(\w+): 1$/gm)].map(([, name = '']) => name.toLowerCase())
  return new Set(names.map((name) => (name === 'advsimd' || name === 'neon' ? 'asimd' : name.replace(/_0$/, ''))))
}
