import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, it } from 'vitest'
import type { ConfigJson } from '../../../src/base/architecture.ts'
import type { Checkpoint } from '../../../src/base/checkpoint/checkpoint.ts'
import { toFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { unpacked } from '../../../src/base/checkpoint/mxfp4.ts'
import { openSafetensors, writeSafetensors, type TensorToWrite } from '../../../src/base/checkpoint/safetensors.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { paramOf } from '../../../src/base/parameters.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const FOLDER = goldenPath('mxfp4/model')
const task = 'causal-lm' as const
const temporary = temporaryFolder()

beforeAll(loadEngine)

/** The golden model with other tensors. */
async function changed(name: string, change: (tensor: TensorToWrite) => TensorToWrite[]): Promise<string> {
  const folder = temporary(name)
  await cp(FOLDER, folder, { recursive: true })
  const file = await openSafetensors(join(FOLDER, 'model.safetensors'))
  const tensors = await Promise.all([...file.entries.keys()].map(async (key) => ({ name: key, ...(await file.read(key)) })))
  await file.close()
  await writeSafetensors(join(folder, 'model.safetensors'), tensors.flatMap((tensor) => change(tensor)), { format: 'pt' })
  return folder
}

it.each(['float32', 'bfloat16'] as const)('a gpt-oss in MXFP4 has the weights that transformers unpacks, bit for bit, in %s', async (dtype) => {
  const golden = await readGolden('mxfp4/golden.safetensors')
  const before = tf.memory().numTensors
  const model = await loadModel(FOLDER, { task, dtype })
  for (const name of ['gate_up_proj', 'down_proj'].map((each) => `model.layers.0.mlp.experts.${each}`)) {
    const [count = 0, inSize = 0, outSize = 0] = golden.shape(name)
    const turned = tf.tidy(() => valuesOf(tf.transpose(paramOf(model, name), [0, 2, 1])))
    expect(turned).toHaveLength(count * inSize * outSize)
    expect(turned).toEqual(Float32Array.from(golden.numbers(name)))
  }
  model.dispose()
  expect(tf.memory().numTensors).toBe(before)
})

it('gives the logits of transformers, and is saved unpacked', async () => {
  const golden = await readGolden('mxfp4/golden.safetensors')
  const model = await loadModel(FOLDER, { task })
  const logits = tf.tidy(() => valuesOf(model.forward(golden.batch('input_ids'))))
  expect(largestDifference(logits, golden.numbers('logits')) / Math.max(...golden.numbers('logits').map(Math.abs))).toBeLessThan(1e-5)
  await model.save(temporary('saved'))
  expect(JSON.parse(await readFile(temporary('saved', 'config.json'), 'utf8')) as ConfigJson).not.toHaveProperty('quantization_config')
  const again = await loadModel(temporary('saved'), { task })
  expect(tf.tidy(() => valuesOf(again.forward(golden.batch('input_ids'))))).toEqual(logits)
  model.dispose()
  again.dispose()
})

it('unpacks every number with every scale as transformers does', async () => {
  const file = await openSafetensors(goldenPath('mxfp4/golden.safetensors'))
  const every = async (name: string): Promise<Uint8Array> => Uint8Array.from((await file.read(`every/${name}`)).data as Int32Array)
  const data = { x_blocks: await every('blocks'), x_scales: await every('scales') }
  const expected = toFloat32(await file.read('every/values'))
  await file.close()
  const shapes = { x_blocks: [1, 256, 1, 16], x_scales: [1, 256, 1] }
  const packed: Checkpoint = {
    path: 'here', metadata: {}, packed: new Map(), close: () => Promise.resolve(),
    entries: new Map(Object.entries(shapes).map(([name, shape]) => [name, { name, dtype: 'U8', shape, byteLength: 1 }])),
    read: (name) => Promise.resolve({ dtype: 'U8', shape: shapes[name as 'x_blocks'], data: data[name as 'x_blocks'] }),
  }
  for (const rounded of [false, true]) {
    const values = toFloat32(await unpacked(packed).read('x', rounded))
    const turned = Float32Array.from({ length: values.length }, (_, i) => values[(i % 256) * 32 + Math.floor(i / 256)] as number) // theirs is (in, out)
    expect(turned).toEqual(expected)
  }
})

it('names all blocks and scales that do not fit', async () => {
  const wrong = await changed('wrong', (tensor) => {
    if (tensor.name.endsWith('down_proj_scales')) return []
    return tensor.name.endsWith('gate_up_proj_blocks') ? [{ ...tensor, shape: [3, 128, 2, 8] }] : [tensor]
  })
  await expect(loadModel(wrong, { task })).rejects.toThrow(
    'model.layers.0.mlp.experts.down_proj_scales is missing beside model.layers.0.mlp.experts.down_proj_blocks')
  await expect(loadModel(wrong, { task })).rejects.toThrow(
    'model.layers.0.mlp.experts.gate_up_proj: expected blocks of U8 [count, out, blocks, 16] and scales of U8 [count, out, blocks], the file has U8 [3, 128, 2, 8] and U8 [3, 128, 1]')
})

it('refuses a stack of another size, and other models and schemes', async () => {
  const folder = temporary('other')
  await cp(FOLDER, folder, { recursive: true })
  const config = JSON.parse(await readFile(join(FOLDER, 'config.json'), 'utf8')) as ConfigJson
  const told = async (settings: ConfigJson): Promise<string> => {
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...settings }))
    return await loadModel(folder, { task }).then(() => 'nothing', (error: unknown) => String(error))
  }
  expect(await told({ intermediate_size: 32 })).toContain('model.layers.0.mlp.experts.gate_up_proj: expected [3, 64, 32], the file has [3, 128, 32]')
  expect(await told({ model_type: 'mixtral' })).toContain('the checkpoint is quantised (MXFP4)')
  expect(await told({ quantization_config: { quant_method: 'gptq' } })).toContain('the checkpoint is quantised (GPTQ)')
})
