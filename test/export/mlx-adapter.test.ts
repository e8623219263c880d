import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { dora, exportMlxAdapter, loadAdapter, lora, withAdapters, type Task } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const folderFor = temporaryFolder()
const open: Model[] = []
async function load(folder: string, task: Task = 'causal-lm'): Promise<Model> {
  const model = await loadModel(goldenPath(folder), { task })
  open.push(model)
  return model
}
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

function logits(model: Model, ids: readonly number[] = [3, 1, 7, 5]): Float32Array {
  return tf.tidy(() => model.forward({ ids: Int32Array.from(ids), batch: 1, length: ids.length }).dataSync<'float32'>())
}

function farthest(a: Float32Array, b: ArrayLike<number>): number {
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? NaN))))
}

it("an adapter that mlx-lm made gives mlx-lm's numbers", async () => {
  const { ids, plain, adapted } = JSON.parse(await readFile(goldenPath('mlx/adapter/logits.json'), 'utf8')) as { ids: number[]; plain: number[]; adapted: number[] }
  const model = await load('llama/causal_lm')
  const adapter = await loadAdapter(model, goldenPath('mlx/adapter'))
  expect(adapter.method.name).toBe('dora')
  expect(farthest(logits(model, ids), adapted)).toBeLessThan(1e-4)
  expect(farthest(logits(withAdapters(model, []), ids), plain)).toBeLessThan(1e-4)
})

it('an adapter of several ranks and scales is written with one of each, and read again as the same', async () => {
  const model = await load('llama/causal_lm')
  const adapter = attachTrained(model, 'a', lora({ rank: 2, targets: ['q_proj', 'v_proj', 'lm_head'], rankPattern: { q_proj: 4 }, alphaPattern: { v_proj: 6 }, layers: [1] }), { enabled: true })
  const before = tf.memory().numTensors
  await exportMlxAdapter(adapter, folderFor('a'))
  expect(tf.memory().numTensors).toBe(before)
  expect((await readdir(folderFor('a'))).sort()).toEqual(['adapter_config.json', 'adapters.safetensors'])
  const config = JSON.parse(await readFile(folderFor('a', 'adapter_config.json'), 'utf8')) as { num_layers: number; lora_parameters: { rank: number; keys: string[] } }
  expect(config).toMatchObject({ fine_tune_type: 'lora', num_layers: 1, lora_parameters: { rank: 4, dropout: 0 } })
  const own = logits(model)
  await loadAdapter(model, folderFor('a'), { name: 'again', enabled: false })
  expect(farthest(own, logits(withAdapters(model, ['again'])))).toBeLessThan(1e-5)
  expect(farthest(own, logits(withAdapters(model, [])))).toBeGreaterThan(0.01)
})

describe('what mlx-lm would not compute so is told before anything is written', () => {
  async function refused(model: Model, name: string): Promise<string> {
    const out = folderFor('kept')
    await mkdir(out, { recursive: true })
    await writeFile(join(out, 'adapters.safetensors'), 'old')
    const adapter = adaptersOf(model).find((each) => each.name === name)
    const message = await exportMlxAdapter(adapter as NonNullable<typeof adapter>, out).then(() => 'nothing', (error: unknown) => (error as Error).message)
    expect(await readdir(out)).toEqual(['adapters.safetensors'])
    expect(await readFile(join(out, 'adapters.safetensors'), 'utf8')).toBe('old')
    return message
  }

  it('methods that do more than to add to products', async () => {
    const model = await load('llama/causal_lm')
    attachTrained(model, 'd', dora({ rank: 2 }), { enabled: false })
    expect(await refused(model, 'd')).toBe("exportMlxAdapter: adapter 'd' does more than to add B A to products (what dora does), which is all that is written here. Fold it into the model, merge(model, adapter).save(folder), which mlx_lm.convert reads.")
  })

  it('models of other kinds, and whose layers have other names there', async () => {
    const gpt2 = await load('gpt2/causal_lm')
    attachTrained(gpt2, 'g', lora({ rank: 2 }), { enabled: false })
    expect(await refused(gpt2, 'g')).toContain("expected a causal LM whose layers are model.layers.N, as mlx-lm calls them; this is a model for 'causal-lm' with transformer.h.0.attn.c_attn")
  })
})

describe('folders of mlx-lm that cannot be read', () => {
  async function read(config: object, weights = true): Promise<string> {
    const folder = folderFor('bad')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config))
    if (weights) await writeFile(join(folder, 'adapters.safetensors'), await readFile(goldenPath('mlx/adapter/adapters.safetensors')))
    return await loadAdapter(await load('llama/causal_lm'), folder).then(() => 'nothing', (error: unknown) => (error as Error).message.replaceAll(folder, 'FOLDER'))
  }

  it('say all that is wrong at once', async () => {
    expect(await read({ fine_tune_type: 'full', lora_parameters: { rank: 'many' } }, false)).toBe('FOLDER: this adapter of mlx-lm cannot be read:\n' +
      '  - fine_tune_type: expected lora or dora, got "full"; mlx_lm.fuse makes a model of it, which loadModel reads\n' +
      '  - lora_parameters.rank: expected an integer, got "many"\n  - lora_parameters.scale: expected a number, got undefined\n  - adapters.safetensors: is not there')
  })
})
