// Kinds of processors: times of one kind say little of another's, so that each kind has results and tables of its own.
//
// bench/results/<kind>/<name>.json holds what was timed on a kind; a run on another does not touch it.

import { mkdir, readFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { path } from './process.ts'

/** What a processor multiplies with decides how long a step takes: by its flag in /proc/cpuinfo, the best first. */
const UNITS = [
  { unit: 'amx', flag: 'amx_bf16', says: 'tiles of bfloat16' },
  { unit: 'avx512-bf16', flag: 'avx512_bf16', says: 'pairs of bfloat16, no tiles' },
  { unit: 'vnni', flag: 'avx512_vnni', says: 'AVX512-VNNI, no bfloat16, no tiles' },
  { unit: 'avx512', flag: 'avx512f', says: 'AVX512 without VNNI, no bfloat16, no tiles' },
  { unit: 'avx2', flag: 'avx2', says: 'AVX2' },
] as const
const VENDORS = [{ vendor: 'intel', id: 'GenuineIntel', says: 'Intel Xeon' }, { vendor: 'amd', id: 'AuthenticAMD', says: 'AMD EPYC' }] as const
const OTHER = 'other'

/** The kind of this machine's, as in `intel-amx`. */
export function processorKind(cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')): string {
  const vendor = VENDORS.find(({ id }) => cpuinfo.includes(id))?.vendor
  const unit = UNITS.find(({ flag }) => new RegExp(`\\b${flag}\\b`).test(cpuinfo))?.unit
  return vendor === undefined || unit === undefined ? OTHER : `${vendor}-${unit}`
}

/** What tables of a kind are called. */
export function processorTitle(kind: string): string {
  return KINDS.get(kind) ?? kind
}

/** Their titles, in the order of tables. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ...VENDORS.flatMap(({ vendor, says: name }) => UNITS.map(({ unit, says }) => [`${vendor}-${unit}`, `${name}, ${says}`] as const)),
  [OTHER, 'Another processor'],
])

/** What a kind of processor has in `<name>.json`; undefined where nothing was timed on it. */
export async function readTimes<T>(name: string, kind = processorKind()): Promise<T | undefined> {
  const text = await readFile(path(`results/${kind}/${name}.json`), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as T)
}

/** Keeps what was timed on this machine. */
export async function saveTimes(name: string, results: object): Promise<void> {
  const kind = processorKind()
  await mkdir(path(`results/${kind}`), { recursive: true })
  await writeAtomic(path(`results/${kind}/${name}.json`), `${JSON.stringify(results, null, 1)}\n`)
}

/** What is made of each kind, under its title; in the order of tables. */
export async function ofKinds<T>(make: (kind: string) => Promise<T>): Promise<readonly (readonly [title: string, made: T])[]> {
  return await Promise.all([...KINDS].map(async ([kind, title]) => [title, await make(kind)] as const))
}

/**
 * The text of a page about all kinds that have been timed: of each its name as a heading, and below what is made of it.
 *
 * @param textOf nothing where there is nothing to say of a kind
 */
export async function ofEachProcessor(textOf: (kind: string) => Promise<string | undefined>): Promise<string> {
  const found = (await ofKinds(textOf)).flatMap(([title, text]) => (text === undefined ? [] : [`### ${title}\n\n${text}`]))
  return found.length === 0 ? 'Not measured yet.' : found.join('\n\n')
}
