// Experts in files: single matrices there, one stack in memory.

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../src/base/checkpoint/checkpoint.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { writeSafetensors, type TensorToWrite } from '../../../src/base/checkpoint/safetensors.ts'
import type { Model } from '../../../src/base/model.ts'
import { goldenPath, largestDifference, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()

const BATCH = { ids: Int32Array.from({ length: 12 }, (_, i) => 1 + ((i * 7) % 28)), batch: 2, length: 6 }

const logitsOf = (model: Model, batch = BATCH): Float32Array => tf.tidy(() => valuesOf(model.forward(batch)))

/** A copy of a golden model with other tensors, or settings. */
async function changed(path: string, { tensors, config }: {
  readonly tensors?: (each: TensorToWrite) => readonly TensorToWrite[]
  readonly config?: (json: Record<string, unknown>) => Record<string, unknown>
}): Promise<string> {
  const folder = temporary(path.replaceAll('/', '_'))
  await cp(goldenPath(path), folder, { recursive: true })
  if (config !== undefined) {
    const file = join(folder, 'config.json')
    await writeFile(file, JSON.stringify(config(JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>)))
  }
  if (tensors !== undefined) {
    const checkpoint = await openCheckpoint(goldenPath(path))
    const all = await Promise.all([...checkpoint.entries.keys()].map(async (name) => ({ name, ...(await checkpoint.read(name)) })))
    await checkpoint.close()
    await writeSafetensors(join(folder, 'model.safetensors'), all.flatMap(tensors))
  }
  return folder
}

describe.each(['relatives/qwen3_moe_causal_lm', 'relatives/mixtral_causal_lm', 'relatives/gpt_oss_causal_lm'])('%s', (path) => {
  it('is saved as transformers writes it, bit for bit', async () => {
    const model = await loadModel(goldenPath(path), { task: 'causal-lm' })
    const folder = temporary('saved')
    await model.save(folder)
    model.dispose()
    const [before, after] = [await openCheckpoint(goldenPath(path)), await openCheckpoint(folder)]
    expect([...after.entries.keys()].sort()).toEqual([...before.entries.keys()].sort())
    for (const name of before.entries.keys()) expect(await after.read(name)).toEqual(await before.read(name))
    await Promise.all([before.close(), after.close()])
  })

  it.skipIf(path.includes('gpt_oss'))('tells of experts that are missing, a line for each stack', async () => {
    const folder = await changed(path, { tensors: (each) => (/layers\.1\..*experts\.[12]\./.test(each.name) ? [] : [each]) })
    await expect(loadModel(folder, { task: 'causal-lm' })).rejects.toThrow(/missing: 4 of the \d+ matrices of \d experts, model\.layers\.1\.mlp\.experts\.1\..*shard[^]*missing: 2 of the/)
  })

  it('is the same with rounded weights, held in bfloat16', async () => {
    const model = await loadModel(goldenPath(path), { task: 'causal-lm', dtype: 'bfloat16' })
    const folder = temporary('rounded')
    await model.save(folder)
    const wide = await loadModel(folder, { task: 'causal-lm' })
    const few = { ids: Int32Array.of(5, 9, 3), batch: 1, length: 3 } // of more rows, products may round x
    expect(largestDifference(logitsOf(model, few), logitsOf(wide, few))).toBeLessThan(1e-4)
    for (const each of [model, wide]) each.dispose()
  })
})

it('settings of older files say the same: num_experts, rope_theta', async () => {
  const path = 'relatives/qwen3_moe_causal_lm'
  const folder = await changed(path, { config: ({ num_local_experts: experts, ...others }) => ({ ...others, num_local_experts: undefined, num_experts: experts, rope_parameters: undefined, rope_theta: 10000 }) })
  const [model, older] = [await loadModel(goldenPath(path), { task: 'causal-lm' }), await loadModel(folder, { task: 'causal-lm' })]
  expect(logitsOf(older)).toEqual(logitsOf(model))
  for (const each of [model, older]) each.dispose()
})

it('more experts a token than there are is an error', async () => {
  const folder = await changed('relatives/mixtral_causal_lm', { config: (json) => ({ ...json, num_experts_per_tok: 4 }) })
  await expect(loadModel(folder, { task: 'causal-lm' })).rejects.toThrow('num_experts_per_tok: expected at most the 3 experts, got 4')
})

it('a loss that has the balance of experts in it refuses layers that run again', async () => {
  const model = await loadModel(goldenPath('relatives/qwen3_moe_causal_lm'), { task: 'causal-lm' })
  expect(() => model.loss({ ...BATCH, labels: BATCH.ids }, { gradientCheckpointing: true })).toThrow('gradientCheckpointing: expected false for a model whose config.json has output_router_logits: true')
  const before = tf.memory().numTensors
  model.loss({ ...BATCH, labels: BATCH.ids }).dispose()
  expect(tf.memory().numTensors).toBe(before)
  model.dispose()
})
