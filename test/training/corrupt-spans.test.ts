import { describe, expect, it } from 'vitest'
import * as tf from '@tensorflow/tfjs-core'
import { attach } from '../../src/base/adapter/attach.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { InputError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import { prepareBatches, type PaddedBatch } from '../../src/training/batches.ts'
import { corruptSpans, type CorruptionOptions } from '../../src/training/corrupt-spans.ts'
import { evaluate } from '../../src/training/measure.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath } from '../golden.ts'

const PAD = 0, END = 1, BEGIN = 2, MASK = 3, START = 9, FIRST = 900
const model = { attached: [], parts: { task: 'seq2seq-lm', architecture: { decoderStart: START } } } as unknown as CorruptionOptions['model']
const tokenizer = { encodeWords: () => undefined, padId: PAD } // as tokenizers are known
const sentinels: CorruptionOptions['tokenizer'] = {
  ...tokenizer, maskId: undefined, specialIds: [PAD, END, ...Array.from({ length: 100 }, (_, i) => FIRST + i)],
  tokenToId: (token) => { const i = Number(/^<extra_id_(\d+)>$/.exec(token)?.[1] ?? NaN); return i < 100 ? FIRST + i : undefined },
}
const masks: CorruptionOptions['tokenizer'] = { ...tokenizer, maskId: MASK, specialIds: [PAD, END, BEGIN, MASK], tokenToId: () => undefined }

/** Texts of unlike tokens, so that each has one place. */
const texts = Array.from({ length: 300 }, (_, row) => Array.from({ length: 1 + (row % 60) }, (_, i) => 10 + ((row * 131 + i * 37) % 800)))

interface Row {
  readonly number: number
  readonly ids: readonly number[]
  readonly given: readonly number[]
  readonly labels: readonly number[]
}

function corrupted(rows: readonly (readonly number[])[], options: Partial<CorruptionOptions> = {}, batching: Readonly<Record<string, unknown>> = {}, epoch = 0): Row[] {
  const transform = corruptSpans({ model, tokenizer: sentinels, ...options })
  return [...prepareBatches({ ids: rows }, { batchSize: 16, transform, ...batching }).epoch(epoch)].flatMap(byRow).sort((a, b) => a.number - b.number)
}

/** The rows of a batch, padding left out. */
function byRow({ ids, mask, decoderIds, decoderMask, labels, rows, batch, length }: PaddedBatch): Row[] {
  const cut = (values: Int32Array | Float32Array | undefined, real: Int32Array | undefined, width: number, i: number): number[] =>
    Array.from(values ?? []).slice(i * width, (i + 1) * width).filter((_, t) => real?.[i * width + t] === 1)
  const width = (decoderIds?.length ?? 0) / batch
  expect(Array.from(labels ?? []).every((label, i) => (label === -100) === (decoderMask?.[i] === 0))).toBe(true)
  return Array.from(rows, (number, i) => ({ number, ids: cut(ids, mask, length, i), given: cut(decoderIds, decoderMask, width, i), labels: cut(labels, decoderMask, width, i) }))
}

const isSentinel = (id: number): boolean => id >= FIRST

/** What stands behind each sentinel, up to the next. */
function spansOf(ids: readonly number[]): number[][] {
  const spans: number[][] = []
  for (const id of ids) {
    if (isSentinel(id)) spans.push([])
    else spans.at(-1)?.push(id)
  }
  return spans
}

/** Input and target put together again. */
function restored({ ids, labels }: Row): number[] {
  const spans = spansOf(labels)
  return ids.flatMap((id) => (isSentinel(id) ? spans[id - FIRST] ?? [NaN] : [id]))
}

describe('corruptSpans with sentinels', () => {
  const rows = corrupted(texts)

  it('puts a sentinel for each span, in their order, and has the decoder write what stood there', () => {
    expect(rows.map(restored)).toEqual(texts)
    for (const { ids, labels } of rows) {
      const signs = ids.filter(isSentinel)
      expect(signs).toEqual(signs.map((_, i) => FIRST + i))
      const goesOn = isSentinel(ids.at(-1) ?? NaN) ? [] : [FIRST + signs.length] // a last one where the row goes on behind its last span
      expect(labels.filter(isSentinel)).toEqual([...signs, ...goesOn])
    }
  })

  it('takes out 15 % in spans of 3 in the mean, none at the beginning, none beside another', () => {
    for (const { ids, labels, number } of rows) {
      const [total, spans] = [texts[number]?.length ?? 0, spansOf(labels).filter((span) => span.length > 0)]
      const taken = Math.max(1, Math.min(Math.round(total * 0.15), total - 1))
      expect(spans.flat()).toHaveLength(taken)
      expect(spans).toHaveLength(Math.max(1, Math.round(taken / 3)))
      if (total > 1) expect(isSentinel(ids[0] ?? NaN)).toBe(false)
      expect(ids.some((id, i) => isSentinel(id) && isSentinel(ids[i + 1] ?? NaN))).toBe(false)
    }
  })

  it('cuts in every way equally often', () => {
    const row = Array.from({ length: 8 }, (_, i) => 10 + i) // half of 8 tokens in 2 spans: 1 + 3, 2 + 2, 3 + 1; and 6 ways to keep 4 before, between and, or not, behind them
    const counts = new Map<string, number>()
    const many = 3600
    for (const { ids } of corrupted(Array.from({ length: many }, () => row), { probability: 0.5, meanLength: 2 })) counts.set(ids.join(), (counts.get(ids.join()) ?? 0) + 1)
    expect(counts.size).toBe(18)
    for (const count of counts.values()) expect(Math.abs(count - many / 18)).toBeLessThan(4 * Math.sqrt(many * (1 / 18) * (17 / 18))) // four standard deviations
  })

  it('takes other words of a short row in each epoch, and sooner or later all but the first', () => {
    const row = [[10, 11, 12, 13, 14, 15]]
    const taken = new Set(Array.from({ length: 60 }, (_, epoch) => corrupted(row, {}, {}, epoch)[0]?.labels.filter((id) => !isSentinel(id)).join()))
    expect([...taken].sort()).toEqual(['11', '12', '13', '14', '15'])
  })

  it('gives the decoder its start and then what it has written', () => {
    for (const { given, labels } of rows) expect(given).toEqual([START, ...labels.slice(0, -1)])
  })

  it('leaves the end of a row where it is, and the decoder writes one too', () => {
    const ended = corrupted(texts.map((row) => [...row, END]))
    expect(ended.map(({ ids, labels }) => [ids.at(-1), labels.at(-1)])).toEqual(texts.map(() => [END, END]))
    expect(ended.map((row) => restored({ ...row, labels: row.labels.slice(0, -1) }).slice(0, -1))).toEqual(texts)
    expect(corrupted([[END]])).toEqual([{ number: 0, ids: [END], given: [START], labels: [END] }])
  })

  it('chooses others in each epoch and for each seed, and the same ones again, whatever batch the row is in and wherever it is filled up', () => {
    expect(corrupted(texts)).toEqual(rows)
    expect(corrupted(texts, {}, {}, 1)).not.toEqual(rows)
    expect(corrupted(texts, { seed: 1 })).not.toEqual(rows)
    expect(corrupted(texts, {}, { batchSize: 7, paddingSide: 'left', order: Array.from(texts, (_, i) => texts.length - 1 - i) })).toEqual(rows)
  })

  it('knows the sentinels of mT5, which have the sign of a blank before them', () => {
    expect(corrupted(texts, { tokenizer: { ...sentinels, tokenToId: (token) => (token.startsWith('▁') ? sentinels.tokenToId(token.slice(1)) : undefined) } })).toEqual(rows)
  })

  it('takes out as much in fewer spans where there are too few sentinels', () => {
    const few = { ...sentinels, tokenToId: (token: string) => (/^<extra_id_[0-2]>$/.test(token) ? FIRST + Number(token.at(-2)) : undefined) }
    const long = Array.from({ length: 60 }, (_, i) => 10 + i)
    for (const { ids, labels } of corrupted([long, long, long], { tokenizer: few, probability: 0.4 })) {
      expect(ids.filter(isSentinel)).toEqual([FIRST, FIRST + 1])
      expect(spansOf(labels).flat()).toHaveLength(24)
    }
  })
})

describe('corruptSpans with a mask token', () => {
  it('puts one for each span, and has the decoder write the whole row', () => {
    const whole = texts.map((row) => [BEGIN, ...row, END])
    const rows = corrupted(whole, { tokenizer: masks })
    expect(rows.map(({ labels }) => labels)).toEqual(whole)
    for (const { ids, number } of rows) {
      const total = texts[number]?.length ?? 0
      const taken = Math.max(1, Math.min(Math.round(total * 0.3), total - 1))
      expect(ids.filter((id) => id === MASK)).toHaveLength(Math.max(1, Math.round(taken / 3)))
      expect(ids.filter((id) => id !== MASK)).toEqual([BEGIN, ...(texts[number] ?? []), END].filter((id) => ids.includes(id)))
      expect(ids.filter((id) => id !== MASK)).toHaveLength(total - taken + 2)
    }
  })
})

it('refuses options that make no sense, all at once', () => {
  const encoder = { attached: [], parts: { task: 'masked-lm', architecture: {} } } as unknown as CorruptionOptions['model']
  expect(() => corruptSpans({ model: encoder, tokenizer: { ...masks, maskId: undefined }, probability: 1, meanLength: 0.5, seed: 0.5 })).toThrow([
    'corruptSpans: the options cannot be used:',
    "  - model: expected an encoder-decoder (T5, BART) for 'seq2seq-lm', whose decoder writes what the encoder lacks, got a model for 'masked-lm'; others learn by maskTokens or from the ids themselves",
    '  - tokenizer: expected one with sentinels (<extra_id_0> and on), or with a mask token; add them, as in tokenizer.withTokens',
    '  - probability: expected a share between 0 and 1, got 1',
    '  - meanLength: expected a number of at least 1, got 0.5',
    '  - seed: expected an integer, got 0.5',
  ].join('\n'))
})

it('refuses a tokenizer that was not awaited', () => {
  expect(() => corruptSpans({ model, tokenizer: Promise.resolve(sentinels) as never })).toThrow('Expected a tokenizer, got a Promise of one')
})

it('refuses rows that have their targets already', () => {
  const transform = corruptSpans({ model, tokenizer: sentinels })
  expect(() => [...prepareBatches({ ids: [[10, 11]], targets: [[12]] }, { batchSize: 1, decoderStart: START, transform }).epoch(0)]).toThrow(
    new InputError('corruptSpans: expected a batch without labels, which it makes itself; leave them out of the examples.'))
})

describe('an encoder-decoder learns from texts alone', () => {
  it.each([['t5/base', { ...sentinels, specialIds: [PAD, END], tokenToId: (token: string) => (/^<extra_id_[0-3]>$/.test(token) ? 25 + Number(token.at(-2)) : undefined) }], ['bart/base', masks]] as const)('%s', async (path, tokenizer) => {
    const model = await loadModel(goldenPath(path), { task: 'seq2seq-lm' })
    attach(model, lora({ rank: 4, targets: 'all-linear' }))
    const ids = Array.from({ length: 16 }, (_, i) => [...Array.from({ length: 8 + (i % 3) }, (_, t) => 4 + ((i + t) % 21)), END]) // each token follows from the one before
    const batches = prepareBatches({ ids }, { batchSize: 8, order: { seed: 0 }, transform: corruptSpans({ model, tokenizer }) })
    const held = prepareBatches({ ids }, { batchSize: 8, transform: corruptSpans({ model, tokenizer, seed: 1 }) })
    const { loss: before = NaN } = await evaluate(model, held)
    const counts = new Set<number>()
    for await (const event of new Trainer({ model, train: batches, epochs: 30, learningRate: 2e-2 }).run()) if (event.type === 'step') counts.add(tf.memory().numTensors)
    expect(counts.size).toBe(1)
    expect((await evaluate(model, held)).loss).toBeLessThan(0.9 * before)
    model.dispose()
  })
})
