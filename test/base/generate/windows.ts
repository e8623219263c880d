// Against transformers and HF PEFT: golden/make_windows.py.

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../../src/base/batch.ts'
import { generate } from '../../../src/base/generate/generate.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { goldenPath } from '../../golden.ts'

interface Case {
  readonly family: string
  readonly method?: string
  readonly window: number
  readonly ids: readonly (readonly number[])[]
  readonly newTokens: number
  readonly tokens: readonly (readonly number[])[]
}

let golden: { readonly cases: readonly Case[]; readonly virtual: readonly Case[] }
let folder: string

/** The family's model with another window. */
async function load({ family, window }: Case): Promise<Model> {
  await cp(goldenPath(`${family}/window`), folder, { recursive: true })
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, sliding_window: window }))
  return await loadModel(folder, { task: 'causal-lm' })
}

/** Rows filled up on one side. */
function padded(rows: Case['ids'], side: 'left' | 'right'): Batch {
  const length = Math.max(...rows.map((row) => row.length))
  const fill = (of: (row: readonly number[]) => readonly number[]): Int32Array => Int32Array.from(rows.flatMap((row) => {
    const padding = new Array<number>(length - row.length).fill(0)
    return side === 'left' ? [...padding, ...of(row)] : [...of(row), ...padding]
  }))
  return { ids: fill((row) => row), mask: fill((row) => row.map(() => 1)), batch: rows.length, length }
}

async function collect(model: Model, from: Batch, maxNewTokens: number): Promise<number[][]> {
  const rows: number[][] = Array.from({ length: from.batch }, () => [])
  for await (const tokens of generate(model, from, { maxNewTokens, stop: [] })) tokens.forEach((token, i) => rows[i]?.push(token ?? NaN))
  return rows
}

/** @param every of the cases the first of so many, where there is no time for all */
export function generatesWithin(every: number): void {
  beforeAll(async () => {
    golden = JSON.parse(await readFile(goldenPath('generation/windows.json'), 'utf8')) as typeof golden
    folder = await mkdtemp(join(tmpdir(), 'windows-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const nth = (cases: readonly Case[]): readonly Case[] => cases.filter((_, i) => i % every === 0)

  describe.each(['mistral', 'qwen2'])('generate with a sliding window, %s', (family) => {
    it('gives the tokens of transformers, whatever is longer of window, prompt, new tokens and the room in the cache', async () => {
      const cases = golden.cases.filter((one) => one.family === family)
      expect(cases).toHaveLength(56)
      for (const one of nth(cases)) {
        const model = await load(one)
        const { window, ids, newTokens } = one
        for (const side of ids.length === 1 ? (['left'] as const) : (['left', 'right'] as const)) {
          const before = tf.memory().numTensors
          const tokens = await collect(model, padded(ids, side), newTokens)
          expect({ window, ids, newTokens, tokens }).toEqual({ window, ids, newTokens, tokens: one.tokens })
          expect(tf.memory().numTensors).toBe(before)
        }
        model.dispose()
      }
    })

    it.each(['prefix', 'prompt', 'p_tuning'])('gives the tokens of HF PEFT with virtual tokens that come into the window and leave it: %s', async (method) => {
      const cases = golden.virtual.filter((one) => one.family === family && one.method === method)
      expect(cases).toHaveLength(15)
      for (const one of nth(cases)) {
        const model = await load(one)
        await loadAdapter(model, goldenPath(`generation/${family}_${method}`))
        const { window, ids, newTokens } = one
        expect({ window, ids, newTokens, tokens: await collect(model, padded(ids, 'left'), newTokens) }).toEqual({ window, ids, newTokens, tokens: one.tokens })
        model.dispose()
      }
    })
  })
}
