// Uses the built package: the thread that tokenizes loads it by itself, and nothing compiles TypeScript there.

import { attach, loadModel, loadTokenizer, lora, streamBatches, Trainer } from 'tfjs-peft'
import { datasetOf, InputError, shuffleRows, type Dataset, type PaddedBatch, type StepEvent } from 'tfjs-peft/advanced'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { goldenPath } from '../golden.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
interface Mail { readonly text: string; readonly label: number }
const mails: Mail[] = Array.from({ length: 70 }, (_, i) => ({ text: `mail number ${i} ${'word '.repeat((i * 7) % 23)}`, label: i % 2 }))
const options = { tokenizer: MODEL, maxLength: 16, batchSize: 4, window: 3, text: ({ text }: Mail) => text, label: ({ label }: Mail) => label }

let offline: string | undefined
beforeAll(() => {
  offline = process.env['HF_HUB_OFFLINE']
  process.env['HF_HUB_OFFLINE'] = '1'
})
afterAll(() => {
  if (offline === undefined) delete process.env['HF_HUB_OFFLINE']
  else process.env['HF_HUB_OFFLINE'] = offline
})

async function batches(data: Dataset<Mail>, epoch = 0, from?: number, more = {}): Promise<PaddedBatch[]> {
  const all: PaddedBatch[] = []
  for await (const batch of (await streamBatches(data, { ...options, ...more })).epoch(epoch, from)) all.push(batch)
  return all
}

describe('streamed batches', () => {
  it('hold every row once, with the tokens and the label of its own', async () => {
    const tokenizer = await loadTokenizer(MODEL)
    const { ids } = tokenizer.encode(mails.map(({ text }) => text), { maxLength: 16 })
    const all = await batches(datasetOf(mails))
    expect(all.map(({ index }) => index)).toEqual(Array.from({ length: 18 }, (_, i) => i))
    expect(all.flatMap(({ rows }) => [...rows]).sort((a, b) => a - b)).toEqual(mails.map((_, i) => i))
    for (const batch of all) {
      batch.rows.forEach((row, i) => {
        const begin = i * batch.length
        const tokens = batch.ids?.slice(begin, begin + batch.length).filter((_, t) => batch.mask?.[begin + t] === 1)
        expect(tokens).toEqual(ids[row])
        expect(batch.labels?.[i]).toBe(row % 2)
      })
    }
  })

  it('are the same each time, others in another epoch, and go on from any batch', async () => {
    const whole = await batches(datasetOf(mails), 1)
    expect(await batches(datasetOf(mails), 1)).toEqual(whole)
    expect((await batches(datasetOf(mails), 2)).map(({ rows }) => [...rows])).not.toEqual(whole.map(({ rows }) => [...rows]))
    for (const from of [1, 3, 7, 17]) expect(await batches(datasetOf(mails), 1, from)).toEqual(whole.slice(from))
  })

  it('pad less than the order of the rows would', async () => {
    const padding = (all: readonly PaddedBatch[]): number => all.reduce((sum, { mask = new Int32Array() }) => sum + mask.filter((bit) => bit === 0).length, 0)
    expect(padding(await batches(datasetOf(mails)))).toBeLessThan(0.7 * padding(await batches(datasetOf(mails), 0, 0, { window: 1 })))
  })

  it('read no more of a data set than is asked for and ahead', async () => {
    let read = 0
    const endless: Dataset<Mail> = {
      // eslint-disable-next-line @typescript-eslint/require-await -- has nothing to wait for
      async *rows(from = 0) {
        for (let i = from; ; i++) yield (read++, { text: `mail ${i}`, label: 0 })
      },
    }
    const source = await streamBatches(endless, { ...options, rows: 1e9, ahead: 1 })
    for await (const { index } of source.epoch(0, 30)) if (index === 33) break
    expect(source.count).toBe(250_000_000)
    expect(read).toBeLessThanOrEqual(5 * 12)
  })

  it('train a model, and it does not wait for them after the first', async () => {
    const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
    attach(model, lora())
    const vocabulary = { transform: <B extends PaddedBatch>(batch: B): B => ({ ...batch, ids: (batch.ids ?? new Int32Array()).map((id) => id % 30) }) }
    const train = await streamBatches((epoch) => shuffleRows(datasetOf(mails), { buffer: 20, seed: epoch }), { ...options, ...vocabulary, window: 6 })
    const steps: StepEvent[] = []
    await new Trainer({ model, train, epochs: 2 }).fit({ onEvent: (event) => event.type === 'step' && steps.push(event) })
    model.dispose()
    expect(steps).toHaveLength(36)
    expect(Math.max(...steps.slice(1, 18).map(({ waited }) => waited))).toBeLessThan(steps[0]?.waited ?? 0)
  })

  it('say what is wrong with the options, the data or the tokenizer', async () => {
    await expect(streamBatches(datasetOf(mails), { ...options, batchSize: 0, ahead: -1 })).rejects.toThrow(/batchSize: expected an integer of at least 1, got 0\n.*ahead: expected a natural number, got -1/)
    await expect(streamBatches(datasetOf<Mail>([]), options)).rejects.toThrow('expected at least one row, got an empty data set')
    await expect(batches(datasetOf(mails), 0, 0, { tokenizer: './nowhere' })).rejects.toThrow('the tokenizer ./nowhere refuses: ./nowhere: there is no such folder')
    await expect(batches(datasetOf([{ text: 'a', label: 7 }]), 0, 0, { classes: 2 })).rejects.toThrow(
      new InputError('streamBatches: labels that are not integers from 0 to 1: 7 in row 0.'))
    const late = mails.map((mail, i) => (i === 61 ? { ...mail, label: null as unknown as number } : mail))
    await expect(batches(datasetOf(late), 0, 13)).rejects.toThrow(new InputError('streamBatches: labels that are not natural numbers: null in row 61.'))
  })
})
