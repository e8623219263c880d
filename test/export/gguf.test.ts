// What is written as GGUF, and what is refused. What llama.cpp computes with it is in llama-cpp.long.ts.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, expect, it } from 'vitest'
import { openSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { TYPES, type GgufDtype } from '../../src/export/gguf/blocks.ts'
import { attach, createModel, detach, dora, exportGguf, loadModel, lora, prefix, type Model } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { closeModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { splitBy } from './tokenizers.ts'

const folderFor = temporaryFolder()
const open: Model[] = []
afterEach(() => { for (const model of open.splice(0)) closeModel(model) })

async function small(config: object, options: object = {}): Promise<Model> {
  const model = await createModel({
    model_type: 'llama', vocab_size: 420, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64, pad_token_id: 0, ...config,
  }, options)
  open.push(model)
  return model
}

it.each(Object.keys(TYPES).filter((name) => name !== 'F32') as GgufDtype[])('blocks of %s are bit for bit those of llama.cpp', async (dtype) => {
  const file = await openSafetensors(join(goldenPath('gguf'), 'blocks.safetensors'))
  const [rows, expected] = [await file.read('rows'), await file.read(dtype)]
  await file.close()
  expect(Buffer.from(TYPES[dtype].encode(rows.data as Float32Array)).equals(Buffer.from(expected.data as Uint8Array))).toBe(true)
})

it('a file begins with its version and the family, and tensors are at multiples of 32 bytes', async () => {
  const [model, path] = [await small({}), folderFor('model.gguf')]
  await exportGguf(model, path)
  const bytes = await readFile(path)
  expect(bytes.subarray(0, 8)).toEqual(Buffer.from([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0]))
  expect(bytes.includes('general.architecture')).toBe(true)
  expect(bytes.length % 32).toBe(0)
  expect((await readdir(folderFor())).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

it('what cannot be the same in llama.cpp is refused, with every difference', async () => {
  await expect(small({ model_type: 'smollm3', num_key_value_heads: 2 }).then((model) => exportGguf(model, folderFor('a.gguf')))).rejects.toThrow(
    'exportGguf: llama.cpp would compute otherwise than this model (a new smollm3). exportOnnx(model, folder) writes models of other families.\n' +
    '  - model_type: "smollm3" is none that is written here; those are gpt2, llama, mistral, qwen2, qwen3, phi3, gemma, gemma2, gemma3_text')
  await expect(small({ hidden_act: 'gelu', rope_parameters: { rope_type: 'dynamic', rope_theta: 10_000, factor: 2 } }, { task: 'sequence-classification', labels: ['a', 'b'] })
    .then((model) => exportGguf(model, folderFor('a.gguf')))).rejects.toThrow(
    'exportGguf: llama.cpp would compute otherwise than this model (a new llama). exportOnnx(model, folder) writes models of other families.\n' +
    "  - task: 'sequence-classification' is none that is written here; load the model as one that writes texts: loadModel(source, { task: 'causal-lm' })\n" +
    '  - hidden_act: gelu here, silu there\n' +
    '  - rope_parameters: long texts have other frequencies than short ones, which they have not there')
  await expect(small({ model_type: 'gemma2', num_key_value_heads: 1, head_dim: 16, query_pre_attn_scalar: 64, num_hidden_layers: 2, layer_types: ['full_attention', 'full_attention'] })
    .then((model) => exportGguf(model, folderFor('a.gguf')))).rejects.toThrow(
    'exportGguf: llama.cpp would compute otherwise than this model (a new gemma2). exportOnnx(model, folder) writes models of other families.\n' +
    '  - the scale of scores: 0.125 here, 0.25 there\n' +
    "  - layer_types: layer 0 attends to all tokens, where llama.cpp's does not")
  expect((await readdir(folderFor())).includes('a.gguf')).toBe(false)
})

it('an adapter that does more than to add B A to weights is refused, with what it does', async () => {
  const model = await small({ tie_word_embeddings: true })
  const folded = 'Export it folded into the model: exportGguf(model, file).'
  const cases = [
    [dora({ rank: 2, targets: ['q_proj'] }), `exportGguf: adapter 'one' does more than to add B A to weights (what dora does), which is all that llama.cpp reads of adapters. ${folded}`],
    [prefix({ virtualTokens: 2 }), `exportGguf: adapter 'one' does more than to add B A to weights (what prefix does), which is all that llama.cpp reads of adapters. ${folded}`],
    [lora({ rank: 2, targets: ['q_proj'] }), `exportGguf: adapter 'one' does more than to add B A to weights (model.norm.weight), which is all that llama.cpp reads of adapters. ${folded}`],
    [lora({ rank: 2, targets: ['embed_tokens'] }), `exportGguf: adapter 'one' does more than to add B A to weights (model.embed_tokens), which is all that llama.cpp reads of adapters. ${folded}`],
    [lora({ rank: 2, targets: ['lm_head'] }), `exportGguf: adapter 'one' changes lm_head, which is the table of the words too, and llama.cpp would change both. ${folded}`],
  ] as const
  for (const [method, message] of cases) {
    const adapter = attach(model, method, { name: 'one', enabled: false, ...(message.includes('norm') ? { train: ['norm'] } : {}) })
    await expect(exportGguf(adapter, folderFor('a.gguf')), method.name).rejects.toThrow(message)
    detach(adapter)
  }
})

it('a tokenizer that llama.cpp would read otherwise is refused, and the file that was there stays', async () => {
  const [folder, path] = [folderFor('model'), folderFor('model.gguf')]
  await (await small({})).save(folder)
  await splitBy('gpt-2', folder)
  const json = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as object
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...json, pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true } }))
  await writeFile(path, 'before')
  const model = await loadModel(folder, { task: 'causal-lm' })
  open.push(model)
  await expect(exportGguf(model, path)).rejects.toThrow(
    `exportGguf: the tokenizer of ${folder} would split texts otherwise in llama.cpp: it splits texts by ` +
    '{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}, which has no name among those that are written here: gpt-2, llama-bpe, qwen2, ' +
    "tekken, smollm. model.save(folder) writes what llama.cpp's own convert_hf_to_gguf.py reads.")
  expect(await readFile(path, 'utf8')).toBe('before')
  expect((await readdir(folderFor())).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

it('pieces whose merges are not those of SentencePiece are refused, with an example', async () => {
  const folder = folderFor('model')
  await (await small({})).save(folder)
  const vocab = Object.fromEntries(['<unk>', '▁', 'a', 'b', 'c', 'ab', 'bc', 'abc'].map((piece, id) => [piece, id]))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({
    version: '1.0', normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' }, model: { type: 'BPE', unk_token: '<unk>', byte_fallback: true, vocab, merges: [['a', 'b'], ['ab', 'c'], ['b', 'c']] },
  }))
  const model = await loadModel(folder, { task: 'causal-lm' })
  open.push(model)
  await expect(exportGguf(model, folderFor('model.gguf'))).rejects.toThrow(
    "its merges are not those of SentencePiece: 1 pairs of pieces make another there that do not here, such as 'a' and 'bc'.")
})

it('nothing stays behind, in memory or under way', async () => {
  const model = await small({})
  const adapter = attach(model, lora({ rank: 2, targets: ['q_proj'] }))
  const before = tf.memory().numTensors
  await exportGguf(model, folderFor('a.gguf'), { dtype: 'Q8_0' })
  await exportGguf(adapter, folderFor('b.gguf'))
  expect(tf.memory().numTensors).toBe(before)
})

it('a dtype that is none is refused', async () => {
  await expect(exportGguf(await small({}), folderFor('a.gguf'), { dtype: 'q4_k' as 'Q4_0' })).rejects.toThrow("dtype: expected 'F32', 'F16', 'BF16', 'Q8_0', 'Q4_0'; got \"q4_k\".")
})
