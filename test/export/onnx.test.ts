import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Batch } from '../../src/base/batch.ts'
import { loadModel, type LoadOptions } from '../../src/base/checkpoint/load.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import type { Task } from '../../src/base/tasks/task.ts'
import { adapterNamed, attach, bottleneck, dora, exportOnnx, exportOnnxAdapter, generate, lora, prefix, prompt, withAdapters } from '../../src/index.ts'
import { moduleKeys } from '../../src/base/adapter/file-format.ts'
import { OTHER_WAY } from '../../src/export/onnx/form.ts'
import type { OnnxDtype } from '../../src/export/onnx/narrow.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { answerOnnx, runOnnx, writeOnnx } from './runtime.ts'

const folderFor = temporaryFolder()
const open: Model[] = []
async function load(folder: string, options: LoadOptions): Promise<Model> {
  const model = await loadModel(goldenPath(folder), options)
  open.push(model)
  return model
}
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

/** Rows with padding. */
function rows(batch: number, length: number, vocabSize: number): Batch {
  const ids = Int32Array.from({ length: batch * length }, (_, i) => (i * 7 + 3) % vocabSize)
  const mask = Int32Array.from({ length: batch * length }, (_, i) => (i % length < length - Math.floor(i / length) ? 1 : 0))
  return { ids, mask, batch, length }
}

/** How far the numbers of the graph are from the model's own, over real tokens, at sizes that it was not recorded at. */
async function farthest(model: Model, folder: string, output = 0): Promise<number> {
  let most = 0
  for (const [batch, length] of [[1, 1], [1, 9], [4, 6]] as const) {
    const given = rows(batch, length, model.limits?.vocabSize ?? 0)
    const own = tf.tidy(() => (model.parts.task === 'question-answering' ? tf.unstack(model.forward(given), 2)[output] as tf.Tensor : model.forward(given)))
    const theirs = Object.values(await runOnnx(folder, given))[output]
    expect(theirs?.dims).toEqual(own.shape)
    const isByToken = own.shape[1] === length
    const each = own.size / (isByToken ? batch * length : batch)
    own.dataSync().forEach((value, i) => {
      if (!isByToken || given.mask?.[Math.floor(i / each)] === 1) most = Math.max(most, Math.abs(value - Number(theirs?.data[i])))
    })
    own.dispose()
  }
  return most
}

const CASES: readonly (readonly [folder: string, task: Task])[] = [
  ['bert/sequence_classification', 'sequence-classification'], ['bert/token_classification', 'token-classification'],
  ['bert/question_answering', 'question-answering'], ['bert/masked_lm', 'masked-lm'], ['bert/base', 'feature-extraction'],
  ['relatives/camembert_sequence_classification', 'sequence-classification'], ['distilbert/sequence_classification', 'sequence-classification'],
  ['albert/masked_lm', 'masked-lm'], ['mpnet/base', 'feature-extraction'], ['deberta-v2/sequence_classification', 'sequence-classification'], ['deberta-v2/masked_lm_v2', 'masked-lm'],
]

describe('a model in ONNX gives the numbers that it gives here', () => {
  it.each(CASES)('%s', async (folder, task) => {
    const model = await load(folder, { task })
    await exportOnnx(model, folderFor(folder))
    expect(await farthest(model, folderFor(folder))).toBeLessThan(1e-4)
  })

  it('the ends of answers too, and vectors of sentences beside those of their tokens', async () => {
    const reader = await load('bert/question_answering', { task: 'question-answering' })
    await exportOnnx(reader, folderFor('reader'))
    expect(await farthest(reader, folderFor('reader'), 1)).toBeLessThan(1e-4)
    const encoder = await load('bert/base', { task: 'sentence-embedding', pooling: 'mean' })
    await exportOnnx(encoder, folderFor('sentences'))
    expect(await farthest(encoder, folderFor('sentences'), 1)).toBeLessThan(1e-4)
  })

  it.each<readonly [string, () => Method]>([
    ['lora', () => lora({ rank: 2 })], ['dora', () => dora({ rank: 2 })], ['bottleneck', () => bottleneck()],
    ['prefix', () => prefix({ virtualTokens: 2 })], ['prompt', () => prompt({ virtualTokens: 2 })],
  ])('with what is attached: %s', async (name, method) => {
    const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
    attachTrained(model, name, method(), { enabled: true })
    await exportOnnx(model, folderFor(name))
    expect(await farthest(model, folderFor(name))).toBeLessThan(1e-4)
  })
})

/** The likeliest tokens behind a prompt, by the model itself. */
async function written(model: Model, prompt: readonly number[], count: number): Promise<number[]> {
  const tokens: number[] = []
  for await (const [token] of generate(model, prompt, { maxNewTokens: count, stop: [] })) if (token !== undefined) tokens.push(token)
  return tokens
}

describe('a decoder writes the tokens that it writes here, from the keys and values that its graph gives', () => {
  const PROMPT = [3, 1, 2, 5]

  it.each([
    'gpt2/causal_lm', 'llama/causal_lm', 'mistral/window', 'qwen2/window', 'qwen3/causal_lm', 'relatives/gemma2_causal_lm', 'relatives/gemma4_text_causal_lm',
    'relatives/gpt_oss_causal_lm', 'relatives/mixtral_causal_lm', 'relatives/olmo3_causal_lm', 'relatives/smollm3_causal_lm',
  ])('%s', async (folder) => {
    const model = await load(folder, { task: 'causal-lm' })
    await exportOnnx(model, folderFor(folder))
    expect(await writeOnnx(folderFor(folder), PROMPT, 8)).toEqual(await written(model, PROMPT, 8))
  })

  it.each<readonly [string, () => Method]>([['lora', () => lora({ rank: 2 })], ['prefix', () => prefix({ virtualTokens: 2 })]])('with what is attached: %s', async (name, method) => {
    const model = await load('llama/causal_lm', { task: 'causal-lm' })
    attachTrained(model, name, method(), { enabled: true })
    await exportOnnx(model, folderFor('decoder', name))
    expect(await writeOnnx(folderFor('decoder', name), PROMPT, 8)).toEqual(await written(model, PROMPT, 8))
  })
})

it('a decoder whose positions change behind some tokens writes as here before them, and says so behind them', async () => {
  const model = await load('relatives/phi3_causal_lm', { task: 'causal-lm' })
  const limit = model.limits?.renewedAt ?? 0
  await exportOnnx(model, folderFor('limited'))
  expect(await writeOnnx(folderFor('limited'), [3, 1, 2, 5], limit - 3)).toEqual(await written(model, [3, 1, 2, 5], limit - 3))
  await expect(writeOnnx(folderFor('limited'), [3, 1, 2, 5], limit - 2)).rejects.toThrow(`idx=${limit} must be within the inclusive range [${-limit},${limit - 1}]`)
})

describe('an encoder-decoder writes the tokens that it writes here, from the keys and values that its graphs give', () => {
  const TEXT = [7, 4, 9, 3, 11, 5, 8, 2]

  it.each(['t5/tied', 't5/untied', 't5/mt5', 'bart/seq2seq'])('%s', async (folder) => {
    const model = await load(folder, { task: 'seq2seq-lm' })
    await exportOnnx(model, folderFor(folder))
    expect(await answerOnnx(folderFor(folder), TEXT, model.parts.architecture.decoderStart ?? NaN, 8)).toEqual(await written(model, TEXT, 8))
  })

  it.each<readonly [OnnxDtype, string]>([['fp16', '_fp16'], ['q8', '_quantized'], ['q4', '_q4']])('in fewer bits too, also where a later pass has nothing to read: %s', async (dtype, suffix) => {
    const model = await load('bart/seq2seq', { task: 'seq2seq-lm' })
    await exportOnnx(model, folderFor('few', dtype), { dtype })
    const [ours, theirs] = [await written(model, TEXT, 8), await answerOnnx(folderFor('few', dtype), TEXT, model.parts.architecture.decoderStart ?? NaN, 8, suffix)]
    expect(theirs).toHaveLength(8)
    if (dtype === 'fp16') expect(theirs).toEqual(ours)
  })

  it.each<readonly [string, () => Method]>([['lora', () => lora({ rank: 2 })], ['prefix', () => prefix({ virtualTokens: 2 })], ['prompt', () => prompt({ virtualTokens: 2 })]])('with what is attached: %s', async (name, method) => {
    const model = await load('t5/tied', { task: 'seq2seq-lm' })
    attachTrained(model, name, method(), { enabled: true })
    await exportOnnx(model, folderFor('answers', name))
    expect(await answerOnnx(folderFor('answers', name), TEXT, 0, 8)).toEqual(await written(model, TEXT, 8))
  })
})

it.each<readonly [string, Task]>([['bart/sequence_classification', 'sequence-classification'], ['bart/question_answering', 'question-answering'], ['bart/base', 'feature-extraction']])(
  'an encoder-decoder whose decoder reads the text again gives the numbers that it gives here: %s', async (folder, task) => {
    const model = await load(folder, { task })
    await exportOnnx(model, folderFor(folder))
    const own = { ids: Int32Array.of(5, 9, 4, 2, 7, 2, 1, 1), mask: Int32Array.of(1, 1, 1, 1, 1, 1, 0, 0), batch: 2, length: 4 }
    const ours = model.forward(own)
    const theirs = Object.values(await runOnnx(folderFor(folder), own))
    const numbers = tf.tidy(() => (task === 'question-answering' ? tf.unstack(ours, 2)[0] as tf.Tensor : ours).dataSync())
    expect(Math.max(...numbers.map((value, i) => Math.abs(value - Number(theirs[0]?.data[i]))))).toBeLessThan(1e-4)
    ours.dispose()
  })

describe('a model of pictures and texts holds them against each other as here', () => {
  it.each(['clip/base', 'clip/first_ends', 'siglip/base'])('%s', async (folder) => {
    const model = await load(folder, { task: 'image-text' })
    await exportOnnx(model, folderFor(folder))
    const { text, pictures } = model.parts.architecture
    const { channels, size: [height, width] } = pictures ?? { channels: 0, size: [0, 0] }
    const [texts, images] = [{ batch: 3, length: text?.filled === true ? text.maxLength : 6 }, { batch: 2, length: 0 }]
    const words = Int32Array.from({ length: texts.batch * texts.length }, (_, i) => ((i * 7 + 3) % (model.limits?.vocabSize ?? 0)))
    const pixels = Float32Array.from({ length: images.batch * channels * height * width }, (_, i) => Math.sin(i))
    const theirs = await runOnnx(folderFor(folder), { ids: words, pixels, ...texts }, 'model.onnx', images.batch)
    const unit = (batch: Batch): number[][] => tf.tidy(() => { const rows = model.forward(batch); return tf.div(rows, tf.norm(rows, 2, 1, true)).arraySync() as number[][] })
    const [left, right] = [unit({ pixels, ...images }), unit({ ids: words, ...texts })]
    const [factor = NaN, bias = 0] = ['logit_scale', 'logit_bias'].map((name) => tf.tidy(() => model.parts.params.get(name)?.float32().dataSync()[0]))
    const logits = left.map((image) => right.map((caption) => Math.exp(factor) * image.reduce((sum, value, i) => sum + value * (caption[i] ?? NaN), 0) + bias))
    expect(theirs['logits_per_image']?.dims).toEqual([2, 3])
    logits.flat().forEach((value, i) => { expect(Math.abs(value - Number(theirs['logits_per_image']?.data[i]))).toBeLessThan(1e-4) })
    const alone = await runOnnx(folderFor(folder), { ids: words, ...texts }, 'text_model.onnx')
    const vectors = model.forward({ ids: words, ...texts })
    vectors.dataSync().forEach((value, i) => { expect(Math.abs(value - Number(alone['text_embeds']?.data[i]))).toBeLessThan(1e-4) })
    const seen = await runOnnx(folderFor(folder), { pixels, ...images }, 'vision_model.onnx')
    const features = model.forward({ pixels, ...images })
    features.dataSync().forEach((value, i) => { expect(Math.abs(value - Number(seen['image_embeds']?.data[i]))).toBeLessThan(1e-4) })
    tf.dispose([vectors, features])
  })
})

describe('a model of pictures gives the numbers that it gives here', () => {
  it.each<readonly [string, Task, string]>([
    ['vit/image_classification', 'image-classification', 'logits'], ['vit/base', 'image-embedding', 'pooler_output'], ['dinov2/base', 'feature-extraction', 'last_hidden_state'],
  ])('%s', async (folder, task, output) => {
    const model = await load(folder, { task })
    await exportOnnx(model, folderFor(folder, task))
    const [channels, [height, width]] = [model.parts.architecture.pictures?.channels ?? 0, model.parts.architecture.pictures?.size ?? [0, 0]]
    for (const batch of [1, 4]) {
      const given: Batch = { pixels: Float32Array.from({ length: batch * channels * height * width }, (_, i) => Math.sin(i)), batch, length: 0 }
      const own = model.forward(given)
      const theirs = (await runOnnx(folderFor(folder, task), given))[output]
      expect(theirs?.dims).toEqual(own.shape)
      expect(Math.max(...own.dataSync().map((value, i) => Math.abs(value - Number(theirs?.data[i]))))).toBeLessThan(1e-4)
      own.dispose()
    }
  })
})

describe('weights in fewer bits', () => {
  it('take less room, and the graph gives nearly the same numbers', async () => {
    const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
    const out = folderFor('narrow')
    const given = rows(4, 6, model.limits?.vocabSize ?? 0)
    const own = tf.tidy(() => model.forward(given).dataSync())
    const spread = Math.max(...own.map(Math.abs))
    const sizes: number[] = []
    for (const [dtype, file, share] of [['fp32', 'model.onnx', 1e-5], ['fp16', 'model_fp16.onnx', 0.01], ['q8', 'model_quantized.onnx', 0.1], ['q4', 'model_q4.onnx', 0.5]] as const) {
      await exportOnnx(model, out, { dtype })
      const [logits] = Object.values(await runOnnx(out, given, file))
      const farthest = Math.max(...own.map((value, i) => Math.abs(value - Number(logits?.data[i]))))
      expect(farthest / spread, dtype).toBeLessThan(share)
      sizes.push((await stat(join(out, 'onnx', file))).size)
    }
    expect((await readdir(join(out, 'onnx'))).sort()).toEqual(['model.onnx', 'model_fp16.onnx', 'model_q4.onnx', 'model_quantized.onnx'])
    expect(sizes[1]).toBeLessThan(sizes[0] as number)
  })

  it('a table that is the head too is there once', async () => {
    const model = await load('gpt2/causal_lm', { task: 'causal-lm' })
    await exportOnnx(model, folderFor('once'), { dtype: 'q8' })
    const graph = await readFile(folderFor('once', 'onnx', 'model_quantized.onnx'), 'latin1')
    expect([graph.includes('wte.weight_rows'), graph.includes('wte.weight_quantized')]).toEqual([true, false])
    expect(await writeOnnx(folderFor('once'), [3, 1, 2, 5], 8, 'model_quantized.onnx')).toHaveLength(8)
  })

  it('another name for them is refused', async () => {
    const model = await load('bert/base', { task: 'feature-extraction' })
    await expect(exportOnnx(model, folderFor('none'), { dtype: 'int8' as never })).rejects.toThrow("dtype: expected 'fp32', 'fp16', 'q8', 'q4'; got \"int8\".")
  })
})

it('the settings name each graph of the folder that has a file of weights beside it, those of other exports too', async () => {
  const folder = folderFor('beside')
  await mkdir(join(folder, 'onnx'), { recursive: true })
  await writeFile(join(folder, 'onnx', 'model_fp16.onnx_data'), '')
  await exportOnnx(await load('bert/sequence_classification', { task: 'sequence-classification' }), folder)
  expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({ 'transformers.js_config': { use_external_data_format: { 'model_fp16.onnx': 1 } } })
})

describe('adapters beside the graph', () => {
  it('are files, and the graph by itself is the model without them', async () => {
    const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
    attachTrained(model, 'kept', lora({ rank: 2, targets: ['key'] }), { enabled: true })
    attachTrained(model, 'spam', lora({ rank: 3, targets: ['query', 'key'] }), { enabled: true })
    const before = tf.memory().numTensors
    await exportOnnx(model, folderFor('slots'), { adapters: 'spam' })
    expect(tf.memory().numTensors).toBe(before)
    expect((await readdir(folderFor('slots', 'onnx'))).sort()).toEqual(['model.onnx', 'spam.onnx_adapter'])
    expect(await farthest(withAdapters(model, ['kept']), folderFor('slots'))).toBeLessThan(1e-4)
  })

  it('that do more than a graph has places for are refused, with what that is', async () => {
    const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
    attachTrained(model, 'd', dora({ rank: 2 }), { enabled: false })
    await expect(exportOnnx(model, folderFor('no'), { adapters: ['d'] })).rejects.toThrow("exportOnnx: adapter 'd' does more than to add B A to products and to bring parameters of the model's shapes (what dora does)")
    attachTrained(model, 'e', lora({ rank: 2, targets: ['word_embeddings'] }), { enabled: false })
    await expect(exportOnnxAdapter(adapterNamed(model, 'e'), folderFor('e.onnx_adapter'))).rejects.toThrow('(bert.embeddings.word_embeddings)')
    attachTrained(model, 'a/b', lora({ rank: 2 }), { enabled: false })
    await expect(exportOnnx(model, folderFor('no'), { adapters: ['a/b'] })).rejects.toThrow("adapters: expected names that files can have, got 'a/b'")
    const t5 = await load('t5/tied', { task: 'seq2seq-lm' })
    attachTrained(t5, 'l', lora({ rank: 2 }), { enabled: false })
    await expect(exportOnnx(t5, folderFor('no'), { adapters: ['l'] })).rejects.toThrow('adapters: expected none for a model of several graphs (encoder_model, decoder_model_merged)')
    expect(await readdir(folderFor('no')).catch(() => 'none')).toBe('none')
  })
})

it('norms, activations and rotary positions are the operators that ONNX has for them, and products take their biases', async () => {
  const operators = async (folder: string, task: Task): Promise<(name: string) => boolean> => {
    await exportOnnx(await load(folder, { task }), folderFor('operators', folder))
    const graph = await readFile(folderFor('operators', folder, 'onnx', 'model.onnx'), 'latin1')
    return (name) => graph.includes(`${name}:${name}_`) // what nodes are called
  }
  const ofBert = await operators('bert/sequence_classification', 'sequence-classification')
  expect(['LayerNormalization', 'Gelu', 'Gemm'].map(ofBert)).toEqual([true, true, true])
  expect(['ReduceMean', 'Erf', 'Sqrt'].map(ofBert)).toEqual([false, false, false])
  const ofQwen = await operators('qwen3/causal_lm', 'causal-lm')
  expect(['RMSNormalization', 'RotaryEmbedding'].map(ofQwen)).toEqual([true, true])
  expect(['ReduceMean', 'Neg', 'Split'].map(ofQwen)).toEqual([false, false, false])
})

it('the folder holds the settings and what goes along, and nothing is left in memory', async () => {
  const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
  const before = [tf.memory().numTensors, tf.getBackend(), tf.engine().backendNames()]
  await exportOnnx(model, folderFor('whole'))
  expect([tf.memory().numTensors, tf.getBackend(), tf.engine().backendNames()]).toEqual(before)
  expect((await readdir(folderFor('whole'), { recursive: true })).sort()).toEqual(['config.json', 'onnx', join('onnx', 'model.onnx')])
  expect(JSON.parse(await readFile(folderFor('whole', 'config.json'), 'utf8'))).toMatchObject({ model_type: 'bert', architectures: ['BertForSequenceClassification'] })
})

describe('what cannot be exported is told before anything is written', () => {
  async function refused(folder: string, options: LoadOptions): Promise<string> {
    const model = await load(folder, options)
    const out = folderFor('kept', folder)
    await mkdir(join(out, 'onnx'), { recursive: true })
    await writeFile(join(out, 'onnx', 'model.onnx'), 'old')
    const message = await exportOnnx(model, out).then(() => 'nothing', (error: unknown) => (error as Error).message)
    expect(await readdir(out, { recursive: true })).toEqual(['onnx', join('onnx', 'model.onnx')])
    expect(await readFile(join(out, 'onnx', 'model.onnx'), 'utf8')).toBe('old')
    expect(tf.getBackend()).toBe('tensorflow')
    return message
  }

  it('weights that are quantised', async () => {
    expect(await refused('quantised/bert_int8', { task: 'feature-extraction' })).toBe(
      `exportOnnx: the weights of the model (${goldenPath('quantised/bert_int8')}) are held as int8, which has no form in ONNX here. ` +
      "Load the model with its weights in float32, load the adapter onto it, and export that: loadModel(source, { dtype: 'float32' }).")
  })

  it('numbers that depend on the length in ways of their own', async () => {
    expect(await refused('llama/rope_dynamic', { task: 'feature-extraction' })).toBe(
      `exportOnnx: these operations of the model depend on the size of a batch in a way that a graph here cannot follow. ${OTHER_WAY}\n` +
      '  - numbers [3] that the model makes in JavaScript: they follow no rule that is known here at batch_size 2 and sequence_length 8; ' +
      'batch_size 3 and sequence_length 15; batch_size 5 and sequence_length 16')
  })

  it.each<readonly [string, (y: tf.Tensor2D) => tf.Tensor2D, string]>([
    ['an operation that has no form in ONNX', (y) => tf.cast(tf.isNaN(y), 'float32'), 'the operation IsNan'],
    ['numbers that are read in the middle of a pass', (y) => tf.mul(y, y.dataSync()[0] ?? 0), 'the model, or what is attached to it, reads numbers in the middle of its pass'],
  ])('%s, with the nearest way', async (_, step, expected) => {
    const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
    attach(model, {
      name: 'own', select: (sites) => sites.filter((site) => site.kind === 'linear').slice(0, 1), init: () => ({ s: { shape: [1], values: new Float32Array(1) } }),
      linear: () => (x, next) => step(next(x)), format: { type: 'OWN', kind: 'own', config: () => ({}), ...moduleKeys({ at: { s: 'own' } }) },
    })
    const message = await exportOnnx(model, folderFor('own')).then(() => 'nothing', (error: unknown) => (error as Error).message)
    expect(message).toContain(`exportOnnx: ${expected}`)
    expect(message).toContain(OTHER_WAY)
    expect(await readdir(folderFor('own')).catch(() => 'none')).toBe('none')
    expect(tf.getBackend()).toBe('tensorflow')
  })

  it('a folder that cannot be written is left as it was', async () => {
    const [model, out] = [await load('bert/sequence_classification', { task: 'sequence-classification' }), folderFor('blocked')]
    await mkdir(join(out, 'config.json', 'in-the-way'), { recursive: true })
    await mkdir(join(out, 'onnx'))
    await writeFile(join(out, 'onnx', 'model.onnx'), 'old')
    await expect(exportOnnx(model, out)).rejects.toThrow('cannot be written')
    expect(await readdir(join(out, 'onnx'))).toEqual(['model.onnx'])
    expect(await readFile(join(out, 'onnx', 'model.onnx'), 'utf8')).toBe('old')
  })

  it('prompts of a decoder', async () => {
    const model = await load('gpt2/causal_lm', { task: 'causal-lm' })
    attachTrained(model, 'p', prompt({ virtualTokens: 2 }), { enabled: true })
    await expect(exportOnnx(model, folderFor('prompted'))).rejects.toThrow(
      'exportOnnx: an adapter puts rows before the text, which is no part of a graph that goes on from earlier tokens; detach the adapter, or disable it.')
  })

  it('a recurrence', async () => {
    expect(await refused('relatives/qwen3_5_text_causal_lm', { task: 'causal-lm' })).toBe(`exportOnnx: a model that reads its text by a recurrence cannot be exported. ${OTHER_WAY}`)
  })

  it('rows of a decoder that was given another text than its encoder', async () => {
    expect(await refused('t5/base', { task: 'feature-extraction' })).toBe(`exportOnnx: a model for 'feature-extraction' of the family T5 cannot be exported: it reads two texts. ${OTHER_WAY}`)
  })
})
