// Adapters to and from mlx-lm, whose own code runs here on the CPU.

import { execFileSync } from 'node:child_process'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { peersPython } from '../../bench/process.ts'
import { exportMlxAdapter, loadAdapter, loadModel, lora, type Model } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { peerScript } from './python.ts'

const folderFor = temporaryFolder()
const IDS = [3, 1, 7, 5, 12]

/** What mlx-lm gives with an adapter, which it makes before where a kind is asked for. */
function theirs(base: string, adapter: string, ...made: readonly string[]): { readonly plain: number[]; readonly adapted: number[] } {
  return JSON.parse(execFileSync(peersPython('mlx'), [peerScript('mlx_adapter.py'), goldenPath(base), adapter, JSON.stringify(IDS), ...made], { encoding: 'utf8' })) as { plain: number[]; adapted: number[] }
}

function farthest(model: Model, numbers: readonly number[]): number {
  const own = tf.tidy(() => model.forward({ ids: Int32Array.from(IDS), batch: 1, length: IDS.length }).dataSync())
  expect(numbers).toHaveLength(own.length)
  return Math.max(...own.map((value, i) => Math.abs(value - (numbers[i] ?? NaN))))
}

const BASES = ['llama/causal_lm', 'qwen3/causal_lm', 'relatives/olmo2_causal_lm', 'mlx/llama_4bit']

it.each(BASES)('mlx-lm computes with an adapter of several ranks and places as here: %s', async (base) => {
  const model = await loadModel(goldenPath(base), { task: 'causal-lm' })
  const adapter = attachTrained(model, 'a', lora({ rank: 2, targets: 'all-linear', rankPattern: { q_proj: 4 }, alphaPattern: { v_proj: 6 }, layers: [1] }), { enabled: true })
  await exportMlxAdapter(adapter, folderFor(base))
  const { plain, adapted } = theirs(base, folderFor(base))
  expect(farthest(model, adapted)).toBeLessThan(1e-4)
  expect(farthest(model, plain)).toBeGreaterThan(0.01)
  model.dispose()
})

it.each(BASES.flatMap((base) => [[base, 'lora'], [base, 'dora']] as const))('an adapter that mlx-lm made computes here as there: %s, %s', async (base, kind) => {
  const folder = folderFor('theirs', base, kind)
  const { plain, adapted } = theirs(base, folder, kind, '["self_attn.q_proj", "mlp.down_proj"]')
  const model = await loadModel(goldenPath(base), { task: 'causal-lm' })
  expect(farthest(model, plain)).toBeLessThan(1e-4)
  await loadAdapter(model, folder)
  expect(farthest(model, adapted)).toBeLessThan(1e-4)
  expect(farthest(model, plain)).toBeGreaterThan(0.01)
  model.dispose()
})
