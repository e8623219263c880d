// Rows that come one after the other, shared out among workers. Uses the built package, as in stream-batches.test.ts.

import { writeFileSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs-core'
import { attach, createModel, csv, evaluate, hubDataset, jsonLines, lora, streamBatches, Trainer } from 'tfjs-peft'
import { shuffleRows, type Dataset, type PaddedBatch, type StreamedBatches } from 'tfjs-peft/advanced'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Workers } from '../../src/training/workers.ts'
import { startHub, type HubServer } from '../hub-server.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { apart, BERT } from './shared-run.ts'
import { together } from './together.ts'

type Loss = NonNullable<ConstructorParameters<typeof Trainer>[0]['loss']>

const TOKENIZER = 'sentence-transformers/all-MiniLM-L6-v2'
const makeModel = (): ReturnType<typeof createModel> => createModel({ ...BERT, vocab_size: 30_522 }, { task: 'sequence-classification', labels: ['a', 'b'] })
const ROWS = Array.from({ length: 23 }, (_, i) => ({ text: `mail number ${i} ${'word '.repeat((i * 7) % 13)}`, label: ['a', 'b'][i % 2] ?? '' }))
const asLines = (rows: typeof ROWS): string => rows.map((row) => JSON.stringify(row)).join('\n')
const temporary = temporaryFolder()

let hub: HubServer
let offline: string | undefined
beforeAll(async () => {
  offline = process.env['HF_HUB_OFFLINE']
  process.env['HF_HUB_OFFLINE'] = '1'
  const parts = { 'train-00000-of-00002.jsonl': Buffer.from(asLines(ROWS.slice(0, 9))), 'train-00001-of-00002.jsonl': Buffer.from(asLines(ROWS.slice(9))) }
  hub = await startHub({ 'org/mails': { refs: { main: 'a'.repeat(40) }, commits: { ['a'.repeat(40)]: parts } } })
})
afterAll(async () => {
  await hub.close()
  if (offline === undefined) delete process.env['HF_HUB_OFFLINE']
  else process.env['HF_HUB_OFFLINE'] = offline
})

const SOURCES: Readonly<Record<string, () => Promise<Dataset>>> = {
  'lines of JSON'() {
    writeFileSync(temporary('mails.jsonl'), asLines(ROWS))
    return Promise.resolve(jsonLines(temporary('mails.jsonl')))
  },
  'a CSV file'() {
    writeFileSync(temporary('mails.csv'), ['text,label', ...ROWS.map(({ text, label }) => `${text},${label}`)].join('\n'))
    return Promise.resolve(csv(temporary('mails.csv')))
  },
  'a data set of the Hub'() {
    return hubDataset('org/mails', { endpoint: hub.endpoint, cacheFolder: temporary('cache'), offline: false })
  },
}

/** Six batches, the last of three rows, in an order that is another in each epoch. */
async function streamed(rows: Dataset): Promise<StreamedBatches> {
  return await streamBatches((epoch) => shuffleRows(rows, { buffer: 10, seed: epoch }), { tokenizer: TOKENIZER, text: 'text', label: 'label', labels: ['a', 'b'], maxLength: 16, batchSize: 4, window: 3 })
}

interface Run {
  /** Epoch and number of each; the way back may come to a row twice. */
  readonly rows: ReadonlySet<string>
  readonly weights: readonly Float32Array[]
}

async function run(train: StreamedBatches, distributed?: Workers): Promise<Run> {
  const model = await makeModel()
  const adapter = attach(model, lora({ rank: 2 }), { seed: 1 })
  const rows = new Set<string>()
  function noting(output: tf.Tensor, batch: PaddedBatch): tf.Scalar {
    for (const row of batch.rows) rows.add(`${batch.epoch} ${row}`)
    return tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d(batch.labels ?? [], 'int32'), 2), output)
  }
  try {
    await new Trainer({ model, train, epochs: 2, learningRate: 1e-3, loss: noting as Loss, ...(distributed === undefined ? {} : { distributed }) }).fit()
    return { rows, weights: Object.values(adapter.trainable).map((variable) => variable.dataSync<'float32'>().slice()) }
  } finally {
    model.dispose()
  }
}

describe('workers that share streamed rows', { timeout: 120_000 }, () => {
  it.each(Object.entries(SOURCES))('of %s compute each of them once in an epoch, and give the weights of one that has them all', async (_, open) => {
    const train = await streamed(await open())
    const whole = await run(train)
    const parts = await Promise.all(together(4).map((workers) => run(train, workers)))
    const all = [0, 1].flatMap((epoch) => ROWS.map((__, row) => `${epoch} ${row}`))
    expect(parts.flatMap(({ rows }) => [...rows]).sort()).toEqual(all.sort())
    expect(new Set(parts.map(({ rows }) => rows.size)).size).toBeGreaterThan(1) // the last batch has a row for three of four
    for (const { weights } of parts) expect(apart(weights, whole.weights)).toBeLessThan(1e-4)
  })

  it('measure them together, each in one of the workers', async () => {
    const model = await makeModel()
    const rows = await streamed(await SOURCES['a CSV file']?.() as Dataset)
    const alone = await evaluate(model, rows)
    const parts = await Promise.all(together(4).map((distributed) => evaluate(model, rows, { distributed })))
    for (const { loss, ...measures } of parts) {
      const { loss: right, ...others } = alone
      expect(loss).toBeCloseTo(right ?? NaN, 6)
      expect(measures).toEqual(others)
    }
    model.dispose()
  })
})
