// A job of every task, from its rows to what is said of them.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import sharp from 'sharp'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import * as tf from '@tensorflow/tfjs-core'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { createImageProcessor } from '../../src/base/image/processor.ts'
import { evaluateCommand } from '../../src/cli/commands/eval.ts'
import { predictCommand } from '../../src/cli/commands/predict.ts'
import { checkJob } from '../../src/cli/job/read.ts'
import { close, prepare, run } from '../../src/cli/job/run.ts'
import { readReport } from '../../src/report/html-report.ts'
import { writeTiny } from './tiny.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'

type Json = Readonly<Record<string, unknown>>

beforeAll(() => { process.env['HF_HUB_OFFLINE'] = '1' })
afterEach(() => void vi.restoreAllMocks())

/** Rows as JSON lines, trained for two steps, measured and answered. @returns the first answer */
async function through(name: string, rows: readonly Json[], columns: Json, job: Json = {}): Promise<Json> {
  const file = temporary(`${name}.jsonl`)
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const output = temporary(name)
  const prepared = await prepare(checkJob({ model: MODEL, data: { train: file, evaluate: file, ...columns }, training: { maxSteps: 2, batchSize: 2 }, output, ...job }, name), () => undefined)
  const end = await run(prepared, AbortSignal.timeout(60_000))
  close(prepared)
  expect(end.end).toBe('finished')
  expect((await readReport(`${output}/report.html`))?.steps).toHaveLength(prepared.trainer.steps)
  let printed = ''
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => void (printed += `${String(text)}\n`))
  expect(await evaluateCommand([output, '--json'])).toBe(0)
  expect(Number((JSON.parse(printed) as Json)['loss'])).toBeGreaterThan(0)
  if (prepared.model.parts.task === 'masked-lm') return {}
  const answers = temporary(`${name}-answers.jsonl`)
  expect(await predictCommand([output, '--data', file, '--out', answers, '--max-tokens', '4'])).toBe(0)
  const lines = readFileSync(answers, 'utf8').trim().split('\n')
  expect(lines).toHaveLength(rows.length)
  return (JSON.parse(lines[0] ?? '{}') as { readonly prediction: Json }).prediction
}

describe('a job of', { timeout: 60_000 }, () => {
  it('numbers', async () => {
    const rows = ['bad', 'good', 'fine', 'awful'].map((word, i) => ({ text: `It was ${word}.`, stars: 1 + (i * 7) % 5 }))
    expect(await through('numbers', rows, { text: 'text', number: 'stars' })).toEqual({ stars: expect.any(Number) as number })
  })

  it('sets of labels', async () => {
    const rows = [['music'], ['music', 'sport'], ['sport'], []].map((topics, i) => ({ text: `A text about ${topics.join(' and ')} ${i}`, topics }))
    expect(await through('sets', rows, { text: 'text', labelSet: 'topics' })).toMatchObject({ probabilities: { music: expect.any(Number) as number, sport: expect.any(Number) as number } })
  })

  it('pairs of texts', async () => {
    const rows = ['yes', 'no'].flatMap((label) => [1, 2].map((n) => ({ a: `The cat sleeps ${n}`, b: label === 'yes' ? 'An animal sleeps' : 'Nobody sleeps', label })))
    expect(await through('pairs', rows, { text: ['a', 'b'], label: 'label' })).toMatchObject({ label: expect.stringMatching(/^(yes|no)$/) as string })
  })

  it('tags of words', async () => {
    const rows = ['Oslo', 'Rome'].map((city) => ({ tokens: ['She', 'lives', 'in', city], tags: ['O', 'O', 'O', 'B-LOC'] }))
    expect(await through('tags', rows, { words: 'tokens', tags: 'tags' })).toEqual({ entities: expect.any(Array) as unknown[] })
  })

  it('questions', async () => {
    const rows = ['Oslo', 'Rome'].map((city) => ({ question: 'Where does she live?', context: `She lives in ${city} now.`, answers: { text: [city], answer_start: [13] } }))
    expect(await through('questions', rows, { text: ['question', 'context'], answer: 'answers' })).toMatchObject({ answer: expect.any(String) as string, start: expect.any(Number) as number })
  })

  it('sentences that belong together', async () => {
    const rows = ['cat', 'ship', 'tree', 'song'].map((word) => ({ a: `A ${word}`, b: `The ${word}s` }))
    expect((await through('sentences', rows, { text: 'a', positive: 'b' }))['embedding']).toHaveLength(384)
  })

  it('masked words', async () => {
    const rows = ['cat', 'ship', 'tree', 'song'].map((word) => ({ text: `The ${word} is old and the ${word} is here.` }))
    await through('masked', rows, { text: 'text' }, { task: 'masked-lm', newHead: true, training: { maxSteps: 2, batchSize: 2, bucketWindow: 2 } })
  })

  it('texts from texts', async () => {
    const t5 = temporary('t5')
    await writeTiny(t5, { model_type: 't5', d_model: 32, d_kv: 8, d_ff: 64, num_heads: 4, num_layers: 1, pad_token_id: 0, decoder_start_token_id: 0 }, 'seq2seq-lm')
    const rows = [['Rome', 'Italy'], ['Oslo', 'Norway']].map(([city, land]) => ({ asked: `Where is ${city ?? ''} ?`, written: `In ${land ?? ''} !` }))
    expect(await through('written', rows, { text: 'asked', target: 'written' }, { model: t5 })).toEqual({ text: expect.any(String) as string })
  })

  it('texts alone, of an encoder-decoder: spans are taken out, and written again', async () => {
    const t5 = temporary('t5-spans')
    await writeTiny(t5, { model_type: 't5', d_model: 32, d_kv: 8, d_ff: 64, num_heads: 4, num_layers: 1, pad_token_id: 0, decoder_start_token_id: 0 }, 'seq2seq-lm', ['<extra_id_0>'])
    const rows = ['Rome', 'Oslo'].map((city) => ({ text: `Where is ${city} ? In Italy , matey !` }))
    expect(await through('spans', rows, { text: 'text' }, { model: t5, task: 'seq2seq-lm' })).toEqual({ text: expect.any(String) as string })
  })

  it('pictures in folders', async () => {
    const vit = temporary('vit')
    const config = { model_type: 'vit', hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, image_size: 16, patch_size: 8, num_channels: 3 }
    const model = await createModel(config, { task: 'image-classification', labels: ['dark', 'light'] })
    await model.save(vit)
    model.dispose()
    await createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 16 }).save(vit)
    for (const [label, value] of [['dark', 20], ['light', 230]] as const) {
      mkdirSync(temporary('pictures', label), { recursive: true })
      for (const n of [1, 2]) await sharp({ create: { width: 16, height: 16, channels: 3, background: { r: value, g: value, b: value } } }).png().toFile(temporary('pictures', label, `${n}.png`))
    }
    const prepared = await prepare(checkJob({ model: vit, data: { train: temporary('pictures'), evaluate: temporary('pictures'), image: 'image', label: 'label' }, training: { maxSteps: 2, batchSize: 2 }, output: temporary('lightness') }, 'pictures'), () => undefined)
    await run(prepared, AbortSignal.timeout(60_000))
    close(prepared)
    expect((await readReport(temporary('lightness', 'report.html')))?.examples).toHaveLength(4)
    vi.spyOn(console, 'log').mockImplementation(() => undefined)
    expect(await predictCommand([temporary('lightness'), '--data', temporary('pictures'), '--out', temporary('light.jsonl')])).toBe(0)
    expect(JSON.parse(readFileSync(temporary('light.jsonl'), 'utf8').split('\n')[0] ?? '')).toMatchObject({ prediction: { label: expect.stringMatching(/^(dark|light)$/) as string } })
  })

  it('masked words with a guard is refused before its first step, as is AdaLoRA with one, and numbers', async () => {
    const rows = ['cat', 'ship'].map((word, i) => ({ text: `The ${word} is old.`, label: word, stars: i }))
    const guard = { guard: { name: 'ewc', strength: 1 } }
    await expect(through('guarded', rows, { text: 'text' }, { task: 'masked-lm', newHead: true, ...guard })).rejects.toThrow('guard: it cannot remember what this job learns:\n  - expected tokenLabels')
    await expect(through('guarded', rows, { text: 'text', label: 'label' }, { method: { name: 'adalora' }, ...guard })).rejects.toThrow('expected none beside adalora')
    await expect(through('guarded', rows, { text: 'text', number: 'stars' }, guard)).rejects.toThrow('which gives no probabilities')
  })

  it('texts to write with a guard remembers them', async () => {
    const t5 = temporary('t5-guarded')
    await writeTiny(t5, { model_type: 't5', d_model: 32, d_kv: 8, d_ff: 64, num_heads: 4, num_layers: 1, pad_token_id: 0, decoder_start_token_id: 0 }, 'seq2seq-lm')
    await through('remembered', [{ a: 'Where is Rome ?', b: 'In Italy !' }, { a: 'Where is Oslo ?', b: 'In Norway !' }], { text: 'a', target: 'b' }, { model: t5, guard: { name: 'ewc', strength: 1 } })
    expect(existsSync(temporary('remembered', 'guards.safetensors'))).toBe(true)
  })

  it('a single step of AdaLoRA takes no ranks', async () => {
    const rows = ['ham', 'spam'].flatMap((label) => [1, 2].map((n) => ({ text: `${label} ${n}`, label })))
    await through('one-step', rows, { text: 'text', label: 'label' }, { method: { name: 'adalora', initRank: 4 }, training: { maxSteps: 1, batchSize: 2 } })
    expect(JSON.parse(readFileSync(temporary('one-step', 'adapter_config.json'), 'utf8'))).toMatchObject({ rank_pattern: null })
  })

  it('texts alone is refused with what says it', async () => {
    await expect(through('alone', [{ text: 'a' }], { text: 'text' })).rejects.toThrow("task: expected one, such as 'causal-lm', 'masked-lm' or 'seq2seq-lm', beside columns that say nothing of what is learned")
  })
})

it('jobs that are closed leave no tensor behind', async () => {
  const rows = ['ham', 'spam'].flatMap((label) => [1, 2].map((n) => ({ text: `${label} ${n}`, label })))
  await through('first', rows, { text: 'text', label: 'label' })
  const before = tf.memory().numTensors
  await through('second', rows, { text: 'text', label: 'label' }, { guard: { name: 'ewc', strength: 1 } })
  expect(tf.memory().numTensors).toBe(before)
})
