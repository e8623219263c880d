// The program at the other end: transformers.js runs the folders through its pipelines, in Node.

import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline, RawImage } from '@huggingface/transformers'
import * as tf from '@tensorflow/tfjs-core'
import sharp from 'sharp'
import { beforeAll, expect, it } from 'vitest'
import { attach, classify, classifyZeroShot, createModel, exportOnnx, generate, loadImageProcessor, loadModel, loadTokenizer, lora, predictTokens, type Task } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const folderFor = temporaryFolder()
const TEXTS = ['Ada Lovelace lived in London.', 'IBM, Apple and Microsoft agree.']

beforeAll(() => {
  env.localModelPath = folderFor()
  env.allowRemoteModels = false
})

/** A small model with a tokenizer beside it, and how pictures are prepared, in `own/NAME`, and exported to NAME. */
async function exported(name: string, config: object, task: Task, more: object = {}): Promise<{ readonly model: Awaited<ReturnType<typeof loadModel>>; readonly tokenizer: Awaited<ReturnType<typeof loadTokenizer>> }> {
  const [own, tokens] = [folderFor('own', name), goldenPath('answers/pieces')]
  const made = await createModel({ ...config, vocab_size: 400 }, { task, seed: 3, ...more })
  await made.save(own)
  made.dispose()
  await copyFile(join(tokens, 'tokenizer.json'), join(own, 'tokenizer.json'))
  const settings = JSON.parse(await readFile(join(tokens, 'tokenizer_config.json'), 'utf8')) as object
  await writeFile(join(own, 'tokenizer_config.json'), JSON.stringify({ ...settings, model_max_length: made.parts.architecture.text?.maxLength === Infinity ? 64 : made.parts.architecture.text?.maxLength }))
  if (made.parts.architecture.pictures !== undefined) await writeFile(join(own, 'preprocessor_config.json'), JSON.stringify(PICTURES))
  const model = await loadModel(own, { task })
  attach(model, lora({ rank: 4, targets: 'all-linear' }))
  await exportOnnx(model, folderFor(name))
  return { model, tokenizer: await loadTokenizer(own) }
}
const PICTURES = {
  do_convert_rgb: true, do_normalize: true, do_rescale: true, do_resize: true, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], image_processor_type: 'ViTImageProcessor', resample: 2,
  rescale_factor: 1 / 255, size: { height: 16, width: 16 },
}
/** One that needs no resampling, which differs between programs, and the numbers of it. */
const BYTES = Uint8ClampedArray.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256)
const PICTURE = new RawImage(BYTES, 16, 16, 3)
const PIXELS = Float32Array.from({ length: BYTES.length }, (_, i) => ((BYTES[(i % 256) * 3 + Math.floor(i / 256)] ?? NaN) / 255 - 0.5) / 0.5)
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

it('question-answering, with the likeliest span of the scores of forward', async () => {
  const { model, tokenizer } = await exported('reader', BERT, 'question-answering')
  const run = await pipeline('question-answering', 'reader', { dtype: 'fp32', device: 'cpu' })
  const [question, context = ''] = ['Who lived there?', ...TEXTS]
  const theirs = (await run(question, context)) as unknown as { answer: string; score: number }
  const { ids: [ids = []], typeIds: [types = []] } = tokenizer.encode([[question, context]])
  const scores = model.forward({ ids: Int32Array.from(ids), batch: 1, length: ids.length }) // a plain tokenizer of theirs tells no segments
  const likely = tf.tidy(() => tf.softmax(tf.transpose(tf.reshape(scores, [ids.length, 2]))).arraySync() as number[][])
  const own = Array.from(ids, (_, i) => i).filter((i) => types[i] === 1 && i < ids.length - 1)
  const [starts = [], ends = []] = likely
  const sums = likely.map((row) => own.reduce((sum, i) => sum + (row[i] ?? 0), row[0] ?? 0)) // [CLS] counts too
  const spans = own.flatMap((start) => own.filter((end) => end >= start).map((end) => ({ start, end, score: ((starts[start] ?? 0) / (sums[0] ?? NaN)) * ((ends[end] ?? 0) / (sums[1] ?? NaN)) })))
  const best = spans.reduce((a, b) => (b.score > a.score ? b : a))
  expect(theirs.score).toBeCloseTo(best.score, 4)
  expect(theirs.answer).toBe(tokenizer.decode(Array.from(ids).slice(best.start, best.end + 1)))
})

const SMALL = { d_model: 32, num_layers: 2, num_decoder_layers: 2, num_heads: 4, d_kv: 8, d_ff: 64 }

it.each<readonly [string, object]>([
  ['t5', { model_type: 't5', ...SMALL, decoder_start_token_id: 0, eos_token_id: 399 }],
  ['bart', { model_type: 'bart', d_model: 32, encoder_layers: 2, decoder_layers: 2, encoder_attention_heads: 4, decoder_attention_heads: 4, encoder_ffn_dim: 64, decoder_ffn_dim: 64, max_position_embeddings: 64, init_std: 0.5, decoder_start_token_id: 2, eos_token_id: 399 }],
])('text2text-generation, in the tokens of generate: %s', async (name, config) => {
  const { model, tokenizer } = await exported(name, config, 'seq2seq-lm')
  const run = await pipeline('text2text-generation', name, { dtype: 'fp32', device: 'cpu' })
  const [text = ''] = TEXTS
  const { ids: [ids = []] } = tokenizer.encode([text])
  const own: number[] = []
  for await (const [token] of generate(model, Array.from(ids), { maxNewTokens: 8, stop: [] })) own.push(token as number)
  const theirs = (await run(text, { max_new_tokens: 8, do_sample: false })) as unknown as { generated_text: string }[]
  expect(new Set(own).size).toBeGreaterThan(1)
  expect(theirs[0]?.generated_text.trim()).toBe(tokenizer.decode(own).trim())
})

const TOWER = { hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64 }
const VISION = { ...TOWER, image_size: 16, patch_size: 8, num_channels: 3, initializer_range: 0.5 }

it.each<readonly [string, object]>([['vit', { model_type: 'vit', ...VISION }], ['dinov2', { model_type: 'dinov2', ...VISION }]])('image-classification, in the probabilities of forward: %s', async (name, config) => {
  const { model } = await exported(name, config, 'image-classification', { labels: ['cat', 'dog', 'owl'] })
  const run = await pipeline('image-classification', name, { dtype: 'fp32', device: 'cpu' })
  const theirs = (await run(PICTURE)) as unknown as { label: string; score: number }[]
  const own = tf.tidy(() => tf.softmax(model.forward({ pixels: PIXELS, batch: 1, length: 0 })).dataSync())
  for (const { label, score } of theirs) expect(score).toBeCloseTo(own[model.labels.indexOf(label)] ?? NaN, 4)
})

it('image-feature-extraction, in the numbers of forward', async () => {
  const { model } = await exported('pictures', { model_type: 'vit', ...VISION }, 'feature-extraction')
  const run = await pipeline('image-feature-extraction', 'pictures', { dtype: 'fp32', device: 'cpu' })
  const theirs = await run(PICTURE)
  const own = model.forward({ pixels: PIXELS, batch: 1, length: 0 })
  expect(theirs.dims).toEqual(own.shape)
  const numbers = await own.data()
  expect(Math.max(...Array.from(theirs.data as Float32Array, (value, i) => Math.abs(value - (numbers[i] ?? NaN))))).toBeLessThan(1e-4)
})

it.each<readonly [string, object, object]>([
  ['clip', { model_type: 'clip', projection_dim: 24 }, { max_position_embeddings: 24, eos_token_id: 3 }], ['siglip', { model_type: 'siglip' }, { max_position_embeddings: 24, projection_size: 32 }],
])('zero-shot-image-classification, in the probabilities of classifyZeroShot: %s', async (name, config, text) => {
  const { model, tokenizer } = await exported(name, { ...config, text_config: { ...TOWER, vocab_size: 400, ...text }, vision_config: VISION }, 'image-text')
  const run = await pipeline('zero-shot-image-classification', name, { dtype: 'fp32', device: 'cpu' })
  const labels = ['a cat', 'an old dog', 'owls']
  const theirs = (await run(PICTURE, labels, { hypothesis_template: '{}' })) as unknown as { label: string; score: number }[]
  const file = folderFor('picture.png')
  await sharp(BYTES, { raw: { width: 16, height: 16, channels: 3 } }).png().toFile(file)
  const [own] = await classifyZeroShot(model, tokenizer, await loadImageProcessor(folderFor('own', name)), [file], { labels, template: '{}' })
  for (const { label, score } of theirs) expect(score).toBeCloseTo(own?.probabilities[label] ?? NaN, 4)
})
