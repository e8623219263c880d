// What the saving loop saves: the same model with other numbers in every file, so that files of two saves are known for what they are.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openSafetensors, writeSafetensors } from '../../src/base/checkpoint/safetensors.ts'

const BASE = fileURLToPath(new URL('../golden/bert/base', import.meta.url))

export type Kind = 'adapter' | 'guards' | 'model' | 'merged' | 'checkpoint'

export const VARIANTS = 3
export const RANK = 2

export function alphaOf(variant: number): number {
  return variant + 1
}

/** The folder of a model all of whose weights are `variant` + 1; the last one has a file more. */
export async function writeSource(folder: string, variant: number): Promise<string> {
  await mkdir(folder)
  const base = await openSafetensors(join(BASE, 'model.safetensors'))
  const tensors = [...base.entries.values()].map(({ name, shape }) =>
    ({ name, dtype: 'F32' as const, shape, data: new Float32Array(shape.reduce((size, n) => size * n, 1)).fill(variant + 1) }))
  await base.close()
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  const config = JSON.parse(await readFile(join(BASE, 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, initializer_range: (variant + 1) / 100 }))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ variant }))
  if (variant === VARIANTS - 1) await writeFile(join(folder, 'vocab.txt'), String(variant))
  return folder
}

/**
 * The variants that the files of a folder are of, as any program would read them: more than one is a mix.
 *
 * @throws what reading says where a file is missing or cannot be read
 */
export async function variantsIn(folder: string, kind: Kind): Promise<ReadonlySet<number>> {
  if (kind === 'checkpoint') return new Set(await ofCheckpoint(folder))
  return new Set(await (kind === 'model' || kind === 'merged' ? ofModel(folder, kind) : ofAdapter(folder, kind)))
}

/** Of each of them: those that are there are whole. */
async function ofCheckpoint(folder: string): Promise<number[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('step-')).sort()
  let newest: number[] = []
  for (const name of names) {
    const file = await openSafetensors(join(folder, name))
    await file.close()
    newest = [(JSON.parse(file.metadata['state'] ?? '') as { variant: number }).variant, ...[...(await valuesIn(join(folder, name))).values()].map((value) => value * 8 - 1)]
  }
  return newest
}

async function ofModel(folder: string, kind: Kind): Promise<number[]> {
  const { initializer_range: range } = await json<{ initializer_range: number }>(join(folder, 'config.json'))
  const { variant } = await json<{ variant: number }>(join(folder, 'tokenizer.json'))
  const vocabulary = await readFile(join(folder, 'vocab.txt'), 'utf8').then(Number, () => undefined)
  const weights = await valuesIn(join(folder, 'model.safetensors'))
  const mergedIn = (name: string): boolean => kind === 'merged' && name.endsWith('query.weight')
  // what a LoRA whose values are all α/8 adds to each weight is α/r · r · (α/8)²
  const added = (value: number): number => [...Array(VARIANTS).keys()].find((v) => v + 1 + alphaOf(v) ** 3 / 64 === value) ?? NaN
  return [
    Math.round(range * 100) - 1,
    variant,
    ...[...weights].filter(([name]) => !name.startsWith('classifier')).map(([name, value]) => (mergedIn(name) ? added(value) : value - 1)),
    ...(vocabulary === undefined ? (variant === VARIANTS - 1 ? [NaN] : []) : [vocabulary]),
  ]
}

async function ofAdapter(folder: string, kind: Kind): Promise<number[]> {
  const { lora_alpha: alpha } = await json<{ lora_alpha: number }>(join(folder, 'adapter_config.json'))
  const weights = await valuesIn(join(folder, 'adapter_model.safetensors'))
  const guards = kind === 'guards' ? await valuesIn(join(folder, 'guards.safetensors')) : new Map<string, number>()
  return [alpha - 1, ...[...weights.values(), ...guards.values()].map((value) => value * 8 - 1)]
}

/** The value of each tensor; NaN where it has several. */
async function valuesIn(path: string): Promise<ReadonlyMap<string, number>> {
  const file = await openSafetensors(path)
  const values = new Map<string, number>()
  for (const name of file.entries.keys()) {
    const { data } = await file.read(name)
    values.set(name, data.every((value) => value === data[0]) ? Number(data[0]) : NaN)
  }
  await file.close()
  return values
}

async function json<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T
}
