// Reading what the peers computed: see test/golden/README.md.

import { fileURLToPath } from 'node:url'
import type { Tensor } from '@tensorflow/tfjs-core'
import { expect } from 'vitest'
import { openSafetensors } from '../src/base/checkpoint/safetensors.ts'
import type { Batch } from '../src/base/batch.ts'
import { inFloat32, type FrozenWeight } from '../src/base/engine/frozen-weight.ts'

/** Absolute path of something in test/golden. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`golden/${name}`, import.meta.url))
}

/** Every tensor of a golden file as plain numbers. */
export interface Golden {
  readonly names: readonly string[]
  numbers(name: string): Float32Array | Int32Array
  shape(name: string): readonly number[]
  has(name: string): boolean
  /** `ids`, `attention_mask`, `token_type_ids` and labels under a prefix, as a batch. */
  batch(ids: string, mask?: string, types?: string, labels?: string): Batch & { readonly ids: Int32Array }
  /** Pictures, with labels, as a batch. */
  pictures(pixels: string, labels?: string): Batch
}

export async function readGolden(name: string): Promise<Golden> {
  const file = await openSafetensors(goldenPath(name))
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array | Int32Array }>()
  for (const [key, { shape }] of file.entries) {
    const { data } = await file.read(key)
    tensors.set(key, { shape, data: data instanceof Int32Array ? data : Float32Array.from(data as Float32Array) })
  }
  await file.close()
  const get = (key: string): { shape: readonly number[]; data: Float32Array | Int32Array } => {
    const tensor = tensors.get(key)
    if (tensor === undefined) throw new Error(`${name} has no '${key}'; it has ${[...tensors.keys()].join(', ')}`)
    return tensor
  }
  const ints = (key: string | undefined): Int32Array | undefined =>
    key === undefined ? undefined : Int32Array.from(get(key).data)
  return {
    names: [...tensors.keys()],
    numbers: (key) => get(key).data,
    shape: (key) => get(key).shape,
    has: (key) => tensors.has(key),
    batch: (ids, mask, types, labels) => {
      const [batch = 0, length = 0] = get(ids).shape
      const given = { mask: ints(mask), typeIds: ints(types), labels: ints(labels) }
      const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
      return { ids: Int32Array.from(get(ids).data), batch, length, ...present }
    },
    pictures: (pixels, labels) => {
      const { shape: [batch = 0, , height = 0, width = 0], data } = get(pixels)
      return { pixels: Float32Array.from(data), batch, length: 0, height, width, ...(labels === undefined ? {} : { labels: ints(labels) as Int32Array }) }
    },
  }
}

/** The largest absolute difference, over positions where `counts` is not 0. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>, counts?: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  const width = counts === undefined ? 1 : expected.length / counts.length
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    if (counts !== undefined && counts[Math.floor(i / width)] === 0) continue
    const difference = Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN))
    if (!(difference <= largest)) largest = difference // NaN counts as the largest of all
  }
  return largest
}

export function valuesOf(tensor: Tensor | FrozenWeight): Float32Array {
  return inFloat32(tensor).dataSync() as Float32Array
}

/** The number of a loss or penalty, which is freed where it is a tensor. */
export function numberOf(value: number | Tensor | undefined): number {
  if (value === undefined || typeof value === 'number') return value ?? NaN
  const [number = NaN] = valuesOf(value)
  value.dispose()
  return number
}
