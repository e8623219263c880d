// Classes of pictures against the pipelines of transformers: golden/make_picture_answers.py.

import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { classifyImages } from '../../src/answers/classify-images.ts'
import { classifyZeroShot } from '../../src/answers/classify-zero-shot.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { LoadOptions } from '../../src/base/checkpoint/load.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { loadImageProcessor } from '../../src/base/image/processor.ts'
import type { ImageProcessor } from '../../src/base/image/processor.ts'
import type { Model } from '../../src/base/model.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { lora } from '../../src/lora/lora.ts'
import { goldenPath } from '../golden.ts'

interface Golden {
  readonly picture: string
  readonly template?: string | null
  readonly scores: Readonly<Record<string, number>>
}

const picture = (name: string): string => goldenPath(`images/${name}`)
const answersOf = async (name: string): Promise<readonly Golden[]> => JSON.parse(await readFile(goldenPath(`answers/${name}/answers.json`), 'utf8')) as Golden[]
const near = (scores: Golden['scores']): object => Object.fromEntries(Object.entries(scores).map(([label, score]) => [label, expect.closeTo(score, 5) as number]))
const likeliest = (scores: Golden['scores']): string | undefined => Object.keys(scores).sort((a, b) => (scores[b] ?? NaN) - (scores[a] ?? NaN))[0]

let tokenizer: Tokenizer
beforeAll(async () => {
  await loadEngine()
  tokenizer = await loadTokenizer(goldenPath('answers/pieces'))
})

let model: Model
afterEach(() => model.dispose())

async function open(name: string, options: LoadOptions): Promise<ImageProcessor> {
  model = await loadModel(goldenPath(`answers/${name}`), options)
  return await loadImageProcessor(goldenPath(`answers/${name}`))
}

describe('classifyImages', () => {
  it('gives the label and the probabilities of transformers, for files, bytes and several batches', async () => {
    const processor = await open('vit', { task: 'image-classification' })
    const tensors = tf.memory().numTensors
    const rows = await answersOf('vit')
    const pictures = await Promise.all(rows.map(async (row, i) => (i === 1 ? await readFile(picture(row.picture)) : picture(row.picture))))
    for (const batchSize of [1, 3, 32]) {
      const found = await classifyImages(model, processor, pictures, { batchSize })
      expect(found.map(({ probabilities }) => probabilities)).toEqual(rows.map(({ scores }) => near(scores)))
      expect(found.map(({ label, labels }) => [label, labels])).toEqual(rows.map(({ scores }) => [likeliest(scores), [likeliest(scores)]]))
      expect(found.every(({ label, probability, probabilities }) => probabilities[label] === probability)).toBe(true)
    }
    expect(await classifyImages(model, processor, [])).toEqual([])
    expect(tf.memory().numTensors).toBe(tensors)
  })

  it('of several labels gives those that hold, each with a probability of its own', async () => {
    const processor = await open('vit', { task: 'image-classification', problemType: 'multi_label_classification' })
    const [found] = await classifyImages(model, processor, [picture('rgb.png')])
    const { probabilities = {}, labels = [] } = found ?? {}
    expect([...labels].sort()).toEqual(Object.keys(probabilities).filter((label) => (probabilities[label] ?? NaN) > 0.5).sort())
    expect(Object.values(probabilities).reduce((sum, value) => sum + value, 0)).not.toBeCloseTo(1, 3)
  })

  it('tells of pictures that cannot be used by their path, or their place among all', async () => {
    const processor = await open('vit', { task: 'image-classification' })
    await expect(classifyImages(model, processor, [picture('rgb.png'), new Uint8Array(0), Buffer.from('no picture')], { batchSize: 1 })).rejects.toThrow('picture 1 is empty')
    await expect(classifyImages(model, processor, picture('rgb.png') as never)).rejects.toThrow('classifyImages: expected a list of pictures, got "')
    await expect(classifyImages(model, tokenizer as never, [])).rejects.toThrow('Expected an image processor, as loadImageProcessor gives it, got a tokenizer.')
    await expect(classifyImages(model, Promise.resolve(processor) as never, [])).rejects.toThrow('Expected an image processor, got a Promise of one: write `await` before what gives it, as in await loadImageProcessor(…).')
    await expect(classifyZeroShot(model, tokenizer, processor, [], { labels: ['a'] })).rejects.toThrow("classifyZeroShot: expected a model loaded for 'image-text', got one for 'image-classification'; use classifyImages.")
  })

  it('answers with the adapter that is asked for, and warns of a head that nobody has trained', async () => {
    const processor = await open('vit', { task: 'image-classification', labels: ['ham', 'spam'], newHead: true })
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    try {
      attach(model, lora(), { name: 'mine' })
      expect(Object.keys((await classifyImages(model, processor, [picture('rgb.png')], { adapter: 'mine' }))[0]?.probabilities ?? {})).toEqual(['ham', 'spam'])
      expect(warn.mock.calls.join('\n')).toContain("classifyImages: nobody has trained the head of 'mine'")
      await expect(classifyImages(model, processor, [picture('rgb.png')], { adapter: 'other' })).rejects.toThrow("'other'")
    } finally {
      warn.mockRestore()
    }
  })
})

describe.each(['clip', 'siglip'])('classifyZeroShot with %s', (family) => {
  it('gives the probabilities of transformers for each label', async () => {
    const processor = await open(family, { task: 'image-text' })
    const tensors = tf.memory().numTensors
    for (const template of [null, 'a photo of a {}']) {
      const rows = (await answersOf(family)).filter((row) => row.template === template)
      const labels = Object.keys(rows[0]?.scores ?? {})
      const options = { labels, ...(template === null ? {} : { template }), batchSize: 3 }
      const found = await classifyZeroShot(model, tokenizer, processor, rows.map((row) => picture(row.picture)), options)
      expect(found.map(({ probabilities }) => probabilities)).toEqual(rows.map(({ scores }) => near(scores)))
      expect(found.map(({ label }) => label)).toEqual(rows.map(({ scores }) => likeliest(scores)))
      const holding = (scores: Golden['scores']): number => (family === 'clip' ? 1 : Object.values(scores).filter((score) => score > 0.5).length)
      expect(found.map(({ labels: own }) => own.length)).toEqual(rows.map(({ scores }) => holding(scores)))
    }
    expect(tf.memory().numTensors).toBe(tensors)
  })
})

it('classifyZeroShot tells everything that is wrong with its options', async () => {
  const processor = await open('clip', { task: 'image-text' })
  await expect(classifyZeroShot(model, tokenizer, processor, [picture('rgb.png')], { labels: ['a', 'a'], template: 'a photo' })).rejects.toThrow(
    'classifyZeroShot: the options cannot be used:\n  - labels: expected what the pictures may show, texts that differ, got ["a","a"]\n  - template: expected a text with {} where the label stands, got "a photo"',
  )
})
