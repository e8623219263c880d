// What the comparisons with peers share: each run is a process of its own, so that each has its own peak memory.

import { execFile, execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { requiredCore } from '../scripts/required-core.mjs'

/** Absolute path of something in bench/. */
export function path(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

/**
 * A program, named as from bench/, as plain JavaScript, which runs as a user's does: a compiler on the way would count as start-up and as
 * memory. It lies as deep as src/base/engine, whose files look for native/ from there.
 */
export async function compiled(name: string): Promise<string> {
  const outfile = path(`../out/bench/programs/${basename(name)}.mjs`)
  await build({ entryPoints: [path(`${name}.ts`)], outfile, bundle: true, packages: 'external', platform: 'node', format: 'esm', plugins: [requiredCore], logLevel: 'warning' })
  return outfile
}

/** The Python that has the peers, or the one with AdapterHub's adapters, avalanche, bitsandbytes, onnxruntime or mlx-lm; sets them up the first time. */
export function peersPython(...environment: readonly ('adapters' | 'avalanche' | 'bnb' | 'codecarbon' | 'mlflow' | 'mlx' | 'onnx')[]): string {
  return execFileSync('node', [path('peers/setup.mjs'), ...environment], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
}

/** Runs a program whose last line, if it prints any, is its result, an object as JSON; `tfjs-peft launch` begins it with the worker's rank. */
export async function run(program: string, args: readonly string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(program, [...args], { maxBuffer: 1e8 })
  const line = stdout.trim().split('\n').at(-1) ?? ''
  return line === '' ? undefined : JSON.parse(line.slice(line.indexOf('{')))
}

export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN
}

/** Writes bench/results/<name>.json: the rows, and the machine and commit they come from. */
export async function writeResults(name: string, rows: readonly object[]): Promise<void> {
  await mkdir(path('results'), { recursive: true })
  await writeFile(path(`results/${name}.json`), `${JSON.stringify({ machine: machineNow(), rows }, null, 2)}\n`)
}

/** What results were made on, and of which commit. */
export type Machine = Readonly<Record<string, string | number>>

export function machineNow(): Machine {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: path('.') }).trim()
  return { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version, commit }
}

/** The same as a page says it. */
export function madeOn(machine: Machine): string {
  return Object.entries(machine).map(([name, value]) => `${name} ${value}`).join(', ')
}
