import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import { loadAdapter, loadModel } from '../../src/index.ts'
import { int, randomStream } from '../../src/base/random.ts'
import { replaceFiles } from '../../src/base/files/folder-save.ts'
import { readLatestCheckpoint, writeCheckpoint } from '../../src/training/checkpoint.ts'
import { VARIANTS, variantsIn, writeSource, type Kind } from './variants.ts'

const program = fileURLToPath(new URL('save-loop.ts', import.meta.url))

/** One of the files that the first save brings. */
const FIRST = /^(config\.json|adapter_config\.json|step-\d+\.safetensors)$/

/** Milliseconds of saving, several saves long, within which the kill comes. */
const LONGEST = 400

/** What was found after so many kills. */
export interface Count {
  readonly kills: number
  /** Of them, while files were on their way: something was left that the next save takes away. */
  midway: number
  /** Files of more than one save, or one missing or unreadable, for a program that knows nothing of how folders are saved. */
  mixed: number
  /** `loadAdapter` or `loadModel` took it. */
  loaded: number
  /** How often the folder held each variant. */
  readonly variants: Record<number, number>
  /** Files that are there after one more save. */
  left: readonly string[]
}

/** Kills a process that saves into one folder again and again, at random moments; another one goes on in the folder each time. */
export async function killSaves(kind: Kind, kills: number, temporary: (...names: string[]) => string): Promise<Count> {
  const folder = temporary(`${kind}-saved`)
  const sources = await Promise.all([...Array(VARIANTS).keys()].map((variant) => writeSource(temporary(`${kind}-source-${variant}`), variant)))
  const random = randomStream(0, 'kills', kind)
  const count: Count = { kills, midway: 0, mixed: 0, loaded: 0, variants: {}, left: [] }
  const start = (): { readonly child: ChildProcess; readonly ready: Promise<unknown> } => {
    const child = spawn(process.execPath, ['--import', 'tsx', program, kind, folder, ...sources], { stdio: ['pipe', 'pipe', 'inherit'] })
    const ended = once(child, 'close').then(() => Promise.reject(new Error('the saving process ended by itself')))
    ended.catch(() => undefined) // it is killed in the end
    return { child, ready: Promise.race([once(child.stdout, 'data'), ended]) }
  }
  const base = await loadModel(sources[0] ?? '', { task: 'sequence-classification', labels: ['a', 'b'] })
  const files = (): string[] => (existsSync(folder) ? readdirSync(folder) : [])
  await killAt(start(), 0, () => files().some((name) => FIRST.test(name) && existsSync(join(folder, name)))) // a link that leads nowhere is listed too
  let next = start()
  for (let i = 0; i < kills; i++) {
    const current = next
    if (i + 1 < kills) next = start() // gets ready meanwhile
    const until = int(random, LONGEST)
    await killAt(current, i + 1, until) // seldom the variant that the folder has
    if (files().some((name) => name === '.tfjs-peft-save' || name.endsWith('.tmp'))) count.midway++
    const variants = await variantsIn(folder, kind).catch(() => new Set<number>())
    const [variant = NaN] = variants
    if (variants.size !== 1 || Number.isNaN(variant)) count.mixed++
    count.variants[variant] = (count.variants[variant] ?? 0) + 1
    if (kind === 'checkpoint') tf.dispose((await readLatestCheckpoint(folder, (reason) => { throw new Error(reason) }))?.tensors ?? {})
    else if (kind === 'model' || kind === 'merged') (await loadModel(folder, { task: 'sequence-classification' })).dispose()
    else await loadAdapter(base, folder, { name: `after ${i}`, enabled: false })
    count.loaded++
  }
  base.dispose()
  // One more, with nothing new, takes away what the last one left.
  if (kind === 'checkpoint') await writeCheckpoint(folder, { step: 1e7, state: {}, tensors: {} }, { limit: 1 })
  else await replaceFiles(folder, () => Promise.resolve([]))
  count.left = files().sort()
  return count
}

async function killAt({ child, ready }: { readonly child: ChildProcess; readonly ready: Promise<unknown> }, first: number, when: number | (() => boolean)): Promise<void> {
  await ready
  const closed = once(child, 'close')
  child.stdin?.write(`${first}\n`)
  if (typeof when === 'number') await pause(when)
  else while (!when()) await pause(20)
  child.kill('SIGKILL')
  await closed
}
