// The program at the other end: transformers.js runs the folders through its pipelines, in Node.

import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { beforeAll, expect, it } from 'vitest'
import { attach, classify, createModel, exportOnnx, generate, loadModel, loadTokenizer, lora, predictTokens, type Task } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const folderFor = temporaryFolder()
const TEXTS = ['Ada Lovelace lived in London.', 'IBM, Apple and Microsoft agree.']

beforeAll(() => {
  env.localModelPath = folderFor()
  env.allowRemoteModels = false
})

/** A small model with a tokenizer beside it, in `own/NAME`, and exported to NAME. */
async function exported(name: string, config: object, task: Task, more: object = {}): Promise<{ readonly model: Awaited<ReturnType<typeof loadModel>>; readonly tokenizer: Awaited<ReturnType<typeof loadTokenizer>> }> {
  const [own, tokens] = [folderFor('own', name), goldenPath('answers/pieces')]
  const made = await createModel({ ...config, vocab_size: 400 }, { task, seed: 3, ...more })
  await made.save(own)
  made.dispose()
  await Promise.all(['tokenizer.json', 'tokenizer_config.json'].map((file) => copyFile(join(tokens, file), join(own, file))))
  const model = await loadModel(own, { task })
  attach(model, lora({ rank: 4, targets: 'all-linear' }))
  await exportOnnx(model, folderFor(name))
  return { model, tokenizer: await loadTokenizer(own) }
}
const BERT = { model_type: 'bert', hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64, max_position_embeddings: 64, initializer_range: 0.5 }

it('text-classification, in the probabilities of classify', async () => {
  const { model, tokenizer } = await exported('classifier', BERT, 'sequence-classification', { labels: ['ham', 'spam', 'eggs'] })
  const run = await pipeline('text-classification', 'classifier', { dtype: 'fp32', device: 'cpu' })
  const own = await classify(model, tokenizer, TEXTS)
  const theirs = (await run(TEXTS)) as unknown as { label: string; score: number }[]
  expect(theirs.map(({ label }) => label)).toEqual(own.map(({ label }) => label))
  theirs.forEach(({ score }, i) => { expect(score).toBeCloseTo(own[i]?.probability ?? NaN, 4) })
})

it('token-classification, in the classes of predictTokens', async () => {
  const { model, tokenizer } = await exported('tagger', BERT, 'token-classification', { labels: ['O', 'B-A', 'I-A'] })
  const run = await pipeline('token-classification', 'tagger', { dtype: 'fp32', device: 'cpu' })
  const [text = ''] = TEXTS
  const theirs = (await run(text, { ignore_labels: [] })) as unknown as { entity: string }[]
  const { ids } = tokenizer.encode([text])
  const { classes: [classes = Int32Array.of()] } = await predictTokens(model, { ids })
  expect(theirs.map(({ entity }) => entity)).toEqual(Array.from(classes, (id) => model.labels[id]).slice(1, -1))
})

it('feature-extraction, in the numbers of forward', async () => {
  const { model, tokenizer } = await exported('features', BERT, 'feature-extraction')
  const run = await pipeline('feature-extraction', 'features', { dtype: 'fp32', device: 'cpu' })
  const [text = ''] = TEXTS
  const { ids: [ids = []] } = tokenizer.encode([text])
  const own = model.forward({ ids: Int32Array.from(ids), batch: 1, length: ids.length })
  const theirs = await run(text)
  expect(theirs.dims).toEqual(own.shape)
  const numbers = await own.data()
  expect(Math.max(...Array.from(theirs.data as Float32Array, (value, i) => Math.abs(value - (numbers[i] ?? NaN))))).toBeLessThan(1e-4)
})

it('fill-mask, with the likeliest word of the model', async () => {
  const { model, tokenizer } = await exported('words', BERT, 'masked-lm')
  const run = await pipeline('fill-mask', 'words', { dtype: 'fp32', device: 'cpu' })
  const text = 'Ada Lovelace lived in [MASK].'
  const theirs = (await run(text)) as unknown as { token: number }[]
  const { ids: [ids = []] } = tokenizer.encode([text])
  const { classes: [likeliest = Int32Array.of()] } = await predictTokens(model, { ids: [ids] })
  expect(theirs[0]?.token).toBe(likeliest[Array.from(ids).indexOf(4)])
})

it('text-generation, in the tokens of generate', async () => {
  const { model, tokenizer } = await exported('writer', { model_type: 'llama', hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 64, max_position_embeddings: 64, initializer_range: 0.5 }, 'causal-lm')
  const run = await pipeline('text-generation', 'writer', { dtype: 'fp32', device: 'cpu' })
  const { ids: [ids = []] } = tokenizer.encode(['Ada Lovelace lived'])
  const own: number[] = []
  for await (const [token] of generate(model, Array.from(ids).slice(1, -1), { maxNewTokens: 8, stop: [] })) own.push(token as number) // without [CLS] and [SEP], as theirs
  const theirs = (await run('Ada Lovelace lived', { max_new_tokens: 8, do_sample: false, return_full_text: false })) as unknown as { generated_text: string }[]
  expect(theirs[0]?.generated_text.trim()).toBe(tokenizer.decode(own).trim())
})
