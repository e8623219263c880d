import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate } from '../../../src/base/generate/generate.ts'
import { stopStringCheck } from '../../../src/base/generate/stop.ts'
import { generateText } from '../../../src/base/generate/text.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { textStream } from '../../../src/base/tokenizer/stream.ts'
import { loadTokenizer, type Tokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { goldenPath } from '../../golden.ts'

let bytes: Tokenizer
beforeAll(async () => {
  bytes = await loadTokenizer(goldenPath('tokenizer/bytes'))
})

const idsOf = (tokenizer: Tokenizer, text: string): number[] => [...(tokenizer.encode([text], { specialTokens: false }).ids[0] ?? [])]

describe('the stream of a text', () => {
  it.each(['bytes', 'unigram'])('gives whole characters and in the end the whole text, %s', async (name) => {
    const tokenizer = await loadTokenizer(goldenPath(`tokenizer/${name}`))
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a cat', ' ', '日本語', '😀', 'é', '👩‍👩‍👧', '\n', 'zß', '\u0301'), { maxLength: 12 }), fc.nat(8), (parts, cut) => {
        const ids = idsOf(tokenizer, parts.join(''))
        const before = ids.slice(0, cut)
        const stream = textStream(tokenizer, before)
        const pieces = [...ids.slice(cut).map((id) => stream.push(id)), stream.end()]
        const begun = tokenizer.decode(before).replace(/\uFFFD+$/, '') // the stream completes a character that was cut
        expect(begun + pieces.join('')).toBe(tokenizer.decode(ids))
        if (name === 'bytes') expect(pieces.some((piece) => piece.includes('\uFFFD'))).toBe(false)
      }),
      { seed: 1, numRuns: 200 },
    )
  })

  it('leaves special tokens out and gives what never became a character at the end', () => {
    const [half = 0, ...rest] = idsOf(bytes, '𝄞')
    expect(rest.length).toBeGreaterThan(0)
    const stream = textStream(bytes)
    const pieces = [...idsOf(bytes, 'on'), 2, half].map((id) => stream.push(id))
    expect(pieces.join('')).toBe('on')
    expect(stream.end()).toBe('\uFFFD')
  })
})

describe('stop strings', () => {
  it('end a text at the token they end it at in transformers', async () => {
    const { stops } = JSON.parse(await readFile(goldenPath('generation/golden.json'), 'utf8')) as {
      stops: { text: string; stops: string[]; ids: number[]; matched: boolean[] }[]
    }
    for (const { text, stops: strings, ids, matched } of stops) {
      const check = stopStringCheck(bytes, strings)
      expect({ text, found: ids.map((_, i) => check(ids.slice(0, i + 1))) }).toEqual({ text, found: matched })
    }
  })

  it('are found where characters take several tokens, and in special tokens', () => {
    const check = stopStringCheck(bytes, ['é😀', '</s>'])
    const ids = idsOf(bytes, 'café😀')
    expect(ids.map((_, i) => check(ids.slice(0, i + 1))).indexOf(true)).toBe(ids.length - 1)
    expect(check([...ids, 2])).toBe(true)
    expect(check([...ids, 2, ...idsOf(bytes, 'a')])).toBe(false)
  })
})

describe('generateText', () => {
  let folder: string
  let model: Model
  let tokenizer: Tokenizer
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'text-'))
    await cp(goldenPath('tokenizer/bytes'), folder, { recursive: true })
    const config = JSON.parse(await readFile(join(folder, 'tokenizer_config.json'), 'utf8')) as object
    const template = "<s>{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: template }))
    tokenizer = await loadTokenizer(folder)
    model = await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm' })
    expect(model.parts.architecture.text?.vocabSize).toBeLessThanOrEqual(tokenizer.vocabSize) // its tokens are all of the tokenizer's
  })
  afterAll(async () => {
    model.dispose()
    await rm(folder, { recursive: true })
  })

  /** Ids the small model knows; the tokenizer's own are more. */
  const known = (): Tokenizer => ({
    ...tokenizer,
    encode: (texts, options) => {
      const encoded = tokenizer.encode(texts, options)
      return { ...encoded, ids: encoded.ids.map((ids) => ids.map((id) => id % (model.parts.architecture.text?.vocabSize ?? 0))) }
    },
  })

  async function textOf(prompt: Parameters<typeof generateText>[2], options: Parameters<typeof generateText>[3]): Promise<string> {
    let text = ''
    for await (const piece of generateText(model, known(), prompt, options)) {
      expect(piece).not.toBe('')
      text += piece
    }
    return text
  }

  async function tokensOf(prompt: string, specialTokens: boolean, maxNewTokens: number): Promise<number[]> {
    const ids: number[] = []
    const [start = []] = known().encode([prompt], { specialTokens }).ids
    for await (const [id] of generate(model, [...start], { maxNewTokens, stop: [] })) if (id !== undefined) ids.push(id)
    return ids
  }

  it('gives the text of the tokens that generate gives, for a text and for a conversation', async () => {
    expect(await textOf('the cat', { maxNewTokens: 24, stop: [] })).toBe(tokenizer.decode(await tokensOf('the cat', true, 24)))
    const chat = [{ role: 'user', content: 'hello' }]
    const written = '<s>user: hello\nassistant: '
    expect(await textOf(chat, { maxNewTokens: 24, stop: [] })).toBe(tokenizer.decode(await tokensOf(written, false, 24)))
  })

  it('ends behind a stop string', async () => {
    const whole = await textOf('the cat', { maxNewTokens: 24, stop: [] })
    const stop = whole.slice(5, 8)
    const text = await textOf('the cat', { maxNewTokens: 24, stop: [], stopStrings: [stop] })
    expect(whole.startsWith(text)).toBe(true)
    expect(text.indexOf(stop)).toBeGreaterThanOrEqual(0)
    expect(text.length).toBeLessThan(whole.length)
  })

  it('keeps no tensor where it is left early', async () => {
    const before = tf.memory().numTensors
    for await (const piece of generateText(model, known(), 'the cat', { maxNewTokens: 24, stop: [] })) if (piece !== '') break
    expect(tf.memory().numTensors).toBe(before)
  })
})
