import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadModel, type LoadOptions } from '../../../src/base/checkpoint/load.ts'
import { openSafetensors, writeSafetensors, type TensorData, type TensorToWrite } from '../../../src/base/checkpoint/safetensors.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { lora } from '../../../src/lora/lora.ts'
import { goldenPath, readGolden, valuesOf } from '../../golden.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
})

afterEach(() => rm(folder, { recursive: true }))

const MASKED_LM = goldenPath('relatives/nomic_bert_masked_lm')

/** The outputs of the model in a folder on the golden batch of masked LM. */
async function outputs(from: string, options: LoadOptions = { task: 'masked-lm' }): Promise<Float32Array> {
  const golden = await readGolden('relatives/nomic_bert_masked_lm/golden.safetensors')
  const model = await loadModel(from, options)
  const values = tf.tidy(() => valuesOf(model.forward(golden.batch('input_ids', 'attention_mask', 'token_type_ids'))))
  model.dispose()
  return values
}

async function tensorsIn(from: string): Promise<Map<string, TensorData>> {
  const file = await openSafetensors(join(from, 'model.safetensors'))
  const tensors = new Map<string, TensorData>()
  for (const name of file.entries.keys()) tensors.set(name, await file.read(name))
  await file.close()
  return tensors
}

/** The golden model with other settings and tensors. */
async function altered(change: { readonly config?: (json: Record<string, unknown>) => object; readonly tensors?: (each: TensorToWrite) => TensorToWrite[] }): Promise<string> {
  await cp(MASKED_LM, folder, { recursive: true })
  const json = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
  await writeFile(join(folder, 'config.json'), JSON.stringify(change.config?.(json) ?? json))
  const tensors = [...(await tensorsIn(MASKED_LM))].map(([name, data]) => ({ name, ...data }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors.flatMap(change.tensors ?? ((each) => [each])))
  return folder
}

/** Names that transformers has in memory, with queries, keys and values apart. */
function inMemory(tensor: TensorToWrite): TensorToWrite[] {
  const names = { 'encoder.layers': 'layers', 'emb_ln': 'embeddings.LayerNorm', 'attn.out_proj': 'self_attn.o_proj', 'fc11': 'up_proj', 'fc12': 'gate_proj', 'fc2': 'down_proj' }
  const name = Object.entries(names).reduce((key, [from, to]) => key.replace(`${from}.`, `${to}.`), tensor.name)
  if (!name.includes('Wqkv')) return [{ ...tensor, name }]
  const [data, [rows = 0, width = 0]] = [tensor.data as Float32Array, tensor.shape]
  return ['q_proj', 'k_proj', 'v_proj'].map((part, i) => {
    return { ...tensor, name: name.replace('attn.Wqkv', `self_attn.${part}`), shape: [rows / 3, width], data: data.slice((i * data.length) / 3, ((i + 1) * data.length) / 3) }
  })
}

describe('a checkpoint of NomicBERT, whose queries, keys and values are one tensor', () => {
  it.each([['as it was loaded', false], ['with an adapter merged in and taken out again', true]])('is saved %s with the tensors that transformers wrote', async (_, merged) => {
    const model = await loadModel(MASKED_LM, { task: 'masked-lm' })
    const saved = merged ? merge(model, attach(model, lora({ rank: 2, targets: ['q_proj', 'v_proj'] }))) : model
    await saved.save(folder)
    for (const each of new Set([model, saved])) each.dispose()
    expect(await tensorsIn(folder)).toEqual(await tensorsIn(MASKED_LM))
  })

  it('is saved in bfloat16 as one tensor too', async () => {
    const options = { task: 'masked-lm', dtype: 'bfloat16' } as const
    const model = await loadModel(MASKED_LM, options)
    await model.save(folder)
    model.dispose()
    expect((await tensorsIn(folder)).get('nomic_bert.encoder.layers.0.attn.Wqkv.weight')).toMatchObject({ dtype: 'BF16', shape: [24, 12] })
    expect(await outputs(folder, options)).toEqual(await outputs(MASKED_LM, options))
  })

  it('loads by the names that transformers has in memory too', async () => {
    expect(await outputs(await altered({ tensors: inMemory }))).toEqual(await outputs(MASKED_LM))
  })

  it('loads as the first files on the Hub have it: settings in the words of GPT-2, and keys below bert', async () => {
    const first = await altered({
      config: ({ vocab_size: vocabulary, type_vocab_size: types, layer_norm_eps: epsilon }) => ({
        model_type: 'nomic_bert', activation_function: 'swiglu', attn_pdrop: 0, causal: false, embd_pdrop: 0, fused_bias_fc: true, layer_norm_epsilon: epsilon,
        mlp_fc1_bias: false, mlp_fc2_bias: false, n_embd: 12, n_head: 2, n_inner: 20, n_layer: 1, n_positions: 16, parallel_block: false, prenorm: false,
        qkv_proj_bias: false, resid_pdrop: 0, rotary_emb_base: 1000, rotary_emb_fraction: 1, rotary_emb_interleaved: false, rotary_emb_scale_base: null,
        rotary_scaling_factor: null, type_vocab_size: types, use_rms_norm: false, vocab_size: vocabulary, head_dim: 4,
      }),
      tensors: (tensor) => [{ ...tensor, name: tensor.name.replace(/^nomic_bert\./, 'bert.') }],
    })
    expect(await outputs(first)).toEqual(await outputs(MASKED_LM))
  })

  it('is refused by name where it would compute something else', async () => {
    const other = await altered({ config: (json) => ({ ...json, rotary_emb_fraction: 0.5, prenorm: true, moe_every_n_layers: 2, rotary_scaling_factor: 2, qkv_proj_bias: true }) })
    await expect(loadModel(other, { task: 'masked-lm' })).rejects.toMatchObject({
      problems: [
        'qkv_proj_bias: expected false, got true, which is not supported',
        'prenorm: expected false, got true, which is not supported',
        'rotary_emb_fraction: expected 1, got 0.5, which is not supported',
        'rotary_scaling_factor: expected none, got 2, which is not supported',
        'moe_every_n_layers: expected 0, got 2, which is not supported',
      ],
    })
  })

  it('says which of the three does not fit, and what does not split', async () => {
    const cut = await altered({ tensors: (tensor) => [tensor.name.includes('Wqkv') ? { ...tensor, shape: [23, 12], data: (tensor.data as Float32Array).slice(0, 23 * 12) } : tensor] })
    await expect(loadModel(cut, { task: 'masked-lm' })).rejects.toMatchObject({
      problems: [
        'unexpected: nomic_bert.encoder.layers.0.attn.Wqkv.weight [23, 12]',
        ...['q_proj', 'k_proj', 'v_proj'].map((part) => `missing: nomic_bert.layers.0.self_attn.${part}.weight`),
      ],
    })
  })
})
