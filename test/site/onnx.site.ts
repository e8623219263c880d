// The program at the other end, in a page: transformers.js runs exported folders through its pipelines, by wasm.

import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  attach, classify, classifyImages, createImageProcessor, createModel, exportOnnx, generate, loadModel, loadTokenizer, lora, predictTokens, type Model, type Task, type Tokenizer,
} from '../../src/index.ts'
import type { OnnxDtype } from '../../src/export/onnx/narrow.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { chromium } from './chromium.ts'
import { serve, type Site } from './serve.ts'

const folderFor = temporaryFolder()
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))
let site: Site
let browser: Browser
let page: Page

beforeAll(async () => {
  const root = folderFor('site')
  await mkdir(join(root, 'models'), { recursive: true })
  await symlink(join(modules, '@huggingface/transformers/dist'), join(root, 'transformers'))
  await symlink(join(modules, 'onnxruntime-web/dist'), join(root, 'ort'))
  await writeFile(join(root, 'index.html'), `<!doctype html><script type="module">
    import { env, pipeline } from '/transformers/transformers.js'
    Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: '/models/', useBrowserCache: false, useWasmCache: false })
    env.backends.onnx.wasm.wasmPaths = '/ort/'
    window.answer = async (task, name, dtype, given, options) => {
      const result = await (await pipeline(task, name, { dtype, device: 'wasm' }))(given, options)
      return result.dims === undefined ? result : Array.from(result.data) // of a tensor
    }
    window.ready = true
  </script>`)
  site = await serve(root)
  browser = await playwright.launch({ executablePath: chromium(), args: ['--no-sandbox'] }) // root has no sandbox
  page = await browser.newPage()
  await page.goto(site.url)
  await page.waitForFunction('window.ready === true')
}, 60_000)
afterAll(async () => {
  await browser.close()
  site.close()
})

/** A small model with a tokenizer and a LoRA, and exported to where the page looks. */
async function exported(name: string, config: object, task: Task, { dtype = 'fp32', ...more }: { readonly dtype?: OnnxDtype; readonly labels?: readonly string[] } = {}): Promise<{ readonly model: Model; readonly tokenizer: Tokenizer }> {
  const [own, tokens] = [folderFor('own', name), goldenPath('answers/pieces')]
  const made = await createModel({ ...config, vocab_size: 400 }, { task, seed: 3, ...more })
  await made.save(own)
  made.dispose()
  await copyFile(join(tokens, 'tokenizer.json'), join(own, 'tokenizer.json'))
  await writeFile(join(own, 'tokenizer_config.json'), await readFile(join(tokens, 'tokenizer_config.json')))
  if (made.parts.architecture.pictures !== undefined) await writeFile(join(own, 'preprocessor_config.json'), JSON.stringify(PICTURES))
  const model = await loadModel(own, { task })
  attach(model, lora({ rank: 4, targets: 'all-linear' }))
  await exportOnnx(model, folderFor('site', 'models', name), { dtype })
  return { model, tokenizer: await loadTokenizer(own) }
}

/** What a pipeline in the page gives. @param call of a text, or a picture's address */
async function asked<T>(...call: readonly [task: string, name: string, dtype: OnnxDtype, given: string, options?: object]): Promise<T> {
  return await page.evaluate<T>(`window.answer(...${JSON.stringify(call)})`)
}

const PICTURES = {
  do_convert_rgb: true, do_normalize: true, do_rescale: true, do_resize: true, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], image_processor_type: 'ViTImageProcessor', resample: 2,
  rescale_factor: 1 / 255, size: { height: 16, width: 16 },
}
const SIZES = { hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64, max_position_embeddings: 64, initializer_range: 0.5 }
const TEXT = 'Ada Lovelace lived in London.'

it.each<readonly [OnnxDtype, number]>([['fp32', 1e-4], ['q8', 0.1]])('text-classification in Chromium, of weights in %s, in the probabilities of classify', { timeout: 60_000 }, async (dtype, allowed) => {
  const { model, tokenizer } = await exported('classifier', { model_type: 'bert', ...SIZES }, 'sequence-classification', { labels: ['ham', 'spam', 'eggs'], dtype })
  const [own] = await classify(model, tokenizer, [TEXT])
  const [theirs] = await asked<{ label: string; score: number }[]>('text-classification', 'classifier', dtype, TEXT)
  expect(theirs?.label).toBe(own?.label)
  expect(Math.abs((theirs?.score ?? NaN) - (own?.probability ?? NaN))).toBeLessThan(allowed)
})

it('text-generation in Chromium, in the tokens of generate', { timeout: 60_000 }, async () => {
  const { model, tokenizer } = await exported('writer', { model_type: 'llama', num_key_value_heads: 2, ...SIZES }, 'causal-lm')
  const { ids: [ids = []] } = tokenizer.encode(['Ada Lovelace lived'], { specialTokens: false })
  const own: number[] = []
  for await (const [token] of generate(model, Array.from(ids), { maxNewTokens: 8, stop: [] })) own.push(token as number)
  const [theirs] = await asked<{ generated_text: string }[]>('text-generation', 'writer', 'fp32', 'Ada Lovelace lived', { max_new_tokens: 8, do_sample: false, return_full_text: false })
  expect(theirs?.generated_text.trim()).toBe(tokenizer.decode(own).trim())
})

it('text2text-generation in Chromium, in the tokens of generate', { timeout: 60_000 }, async () => {
  const { model, tokenizer } = await exported('answerer', { model_type: 't5', d_model: 32, num_layers: 2, num_decoder_layers: 2, num_heads: 4, d_kv: 8, d_ff: 64, decoder_start_token_id: 0, eos_token_id: 399 }, 'seq2seq-lm')
  const { ids: [ids = []] } = tokenizer.encode([TEXT])
  const own: number[] = []
  for await (const [token] of generate(model, Array.from(ids), { maxNewTokens: 8, stop: [] })) own.push(token as number)
  const [theirs] = await asked<{ generated_text: string }[]>('text2text-generation', 'answerer', 'fp32', TEXT, { max_new_tokens: 8, do_sample: false })
  expect(theirs?.generated_text.trim()).toBe(tokenizer.decode(own).trim())
})

it('token-classification in Chromium, in the classes of predictTokens', { timeout: 60_000 }, async () => {
  const { model, tokenizer } = await exported('tagger', { model_type: 'bert', ...SIZES }, 'token-classification', { labels: ['O', 'B-A', 'I-A'] })
  const { classes: [classes = Int32Array.of()] } = await predictTokens(model, { ids: tokenizer.encode([TEXT]).ids })
  const theirs = await asked<{ entity: string }[]>('token-classification', 'tagger', 'fp32', TEXT, { ignore_labels: [] })
  expect(theirs.map(({ entity }) => entity)).toEqual(Array.from(classes, (id) => model.labels[id]).slice(1, -1))
})

it('feature-extraction in Chromium, in the numbers of forward', { timeout: 60_000 }, async () => {
  const { model, tokenizer } = await exported('features', { model_type: 'bert', ...SIZES }, 'feature-extraction')
  const { ids: [ids = []] } = tokenizer.encode([TEXT])
  const own = await model.forward({ ids: Int32Array.from(ids), batch: 1, length: ids.length }).data()
  const theirs = await asked<number[]>('feature-extraction', 'features', 'fp32', TEXT)
  expect(theirs).toHaveLength(own.length)
  expect(Math.max(...theirs.map((value, i) => Math.abs(value - (own[i] ?? NaN))))).toBeLessThan(1e-4)
})

it('fill-mask in Chromium, with the likeliest word of the model', { timeout: 60_000 }, async () => {
  const { model, tokenizer } = await exported('words', { model_type: 'bert', ...SIZES }, 'masked-lm')
  const text = 'Ada Lovelace lived in [MASK].'
  const { ids: [ids = []] } = tokenizer.encode([text])
  const { classes: [likeliest = Int32Array.of()] } = await predictTokens(model, { ids: [ids] })
  const theirs = await asked<{ token: number }[]>('fill-mask', 'words', 'fp32', text)
  expect(theirs[0]?.token).toBe(likeliest[Array.from(ids).indexOf(tokenizer.maskId as number)])
})

it('image-classification in Chromium, in the probabilities of classifyImages', { timeout: 60_000 }, async () => {
  const { model } = await exported('pets', { model_type: 'vit', ...SIZES, image_size: 16, patch_size: 8, num_channels: 3 }, 'image-classification', { labels: ['cat', 'dog', 'owl'] })
  const picture = folderFor('site', 'picture.png')
  await sharp(Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256), { raw: { width: 16, height: 16, channels: 3 } }).png().toFile(picture)
  const [own] = await classifyImages(model, createImageProcessor(PICTURES), [picture])
  const theirs = await asked<{ label: string; score: number }[]>('image-classification', 'pets', 'fp32', '/picture.png')
  expect(theirs[0]?.label).toBe(own?.label)
  for (const { label, score } of theirs) expect(score).toBeCloseTo(own?.probabilities[label] ?? NaN, 4)
})
