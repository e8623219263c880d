// Uses the built package: the thread that tokenizes loads it by itself, and nothing compiles TypeScript there.

import { attach, evaluate, loadModel, loadTokenizer, lora, prepareBatches, readExamples, streamBatches, Trainer } from 'tfjs-peft'
import { datasetOf, InputError, shuffleRows, type Dataset, type PaddedBatch, type Row, type RowOptions, type StepEvent } from 'tfjs-peft/advanced'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClassNumbers } from '../../src/training/class-names.ts'
import { goldenPath } from '../golden.ts'
import { together } from './together.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
interface Mail { readonly text: string; readonly label: number }
const mails: Mail[] = Array.from({ length: 70 }, (_, i) => ({ text: `mail number ${i} ${'word '.repeat((i * 7) % 23)}`, label: i % 2 }))
const options = { tokenizer: MODEL, maxLength: 16, batchSize: 4, window: 3, text: 'text', label: 'label', labels: ['a', 'b'] } as const

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

  it('are the same of workers that tokenize them together, also where these stop in between', { timeout: 30_000 }, async () => {
    const whole = await batches(datasetOf(mails), 1)
    for (const part of await Promise.all(together(2).map((distributed) => batches(datasetOf(mails), 1, 0, { distributed })))) expect(part).toEqual(whole)
    const firsts = await Promise.all(together(3).map(async (distributed) => {
      for await (const batch of (await streamBatches(datasetOf(mails), { ...options, distributed })).epoch(1)) return batch
    }))
    expect(firsts).toEqual([whole[0], whole[0], whole[0]])
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
    await expect(streamBatches(datasetOf(mails), { ...options, labels: undefined, missing: 'drop', rows: 70 } as never)).rejects.toThrow(
      new InputError('streamBatches: the options cannot be used:', [
        'labels: expected names of the classes beside rows; without rows the data are read once, and the names found',
        "missing: expected 'error' beside rows; without rows the data are read once, and those that are left counted",
      ]))
    const late = datasetOf<Row>(mails.map((mail, i) => (i === 61 ? { ...mail, label: null } : i === 62 ? { ...mail, label: 7 } : { ...mail })))
    const wrong = (bad: string): InputError => new InputError(
      `streamBatches: ${bad} rows cannot be used. Mend them, or leave out those that lack something with missing: 'drop':`,
      ['label: none in row 61', 'label: expected the number of one of 2 classes, from 0, got 7 in row 62'])
    await expect(streamBatches(late, options)).rejects.toThrow(wrong('2 of 70'))
    const unread = (await streamBatches(shuffleRows(late, { buffer: 1, seed: 0 }), { ...options, rows: 70 })).epoch(0, 13)
    await expect((async () => { for await (const batch of unread) expect(batch.index).toBeLessThan(15) })()).rejects.toThrow(wrong('2 of 10'))
  })

  it.each<[string, RowOptions<Row>, Row[]]>([
    ['classes', { text: 'text', label: 'label' }, [{ text: 'a b', label: 'x' }, { text: 'c', label: 'y' }, { text: 'd', label: 'x' }]],
    ['pairs', { text: ['a', 'b'], label: 'label' }, [{ a: 'one', b: 'two', label: 1 }, { a: 'three', b: 'four', label: 0 }, { a: 'five', b: 'six', label: -100 }]],
    ['sets of labels', { text: 'text', labelSet: 'topics' }, [{ text: 'a', topics: ['law', 'art'] }, { text: 'b', topics: [] }, { text: 'c d', topics: ['art'] }]],
    ['numbers', { text: 'text', number: ['x', 'y'] }, [{ text: 'a', x: '1.5', y: 2 }, { text: 'b c', x: '-1', y: 0 }]],
    ['tags', { words: 'words', tags: 'tags' }, [{ words: ['Ada', 'lives'], tags: ['PER', 'O'] }, { words: ['London'], tags: ['LOC'] }]],
    ['answers', { text: ['q', 'c'], answer: 'answer' }, [{ q: 'Who?', c: 'The visitors won.', answer: { text: 'visitors' } }, { q: 'Who else?', c: 'Nobody.', answer: { text: [] } }]],
    ['positives', { text: 'a', positive: 'b' }, [{ a: 'one', b: 'two' }, { a: 'three and four', b: 'five' }]],
    ['negatives', { text: 'a', positive: 'b', negative: 'c' }, [{ a: 'one', b: 'two', c: ['six', 'seven'] }, { a: 'three and four', b: 'five', c: 'eight' }]],
    ['scores', { text: 'a', positive: 'b', score: 's' }, [{ a: 'one', b: 'two', s: '0.5' }, { a: 'three and four', b: 'five', s: 1 }]],
  ])('are those of readExamples with the same options: %s', async (kind, rowOptions, rows) => {
    const stream = await streamBatches(datasetOf(rows), { ...rowOptions, tokenizer: MODEL, batchSize: 9, window: 1 })
    const read = await readExamples(datasetOf(rows), { ...rowOptions, tokenizer: MODEL })
    expect([stream.labels, stream.counts]).toEqual([read.labels, read.counts])
    const numeric = kind === 'numbers' || kind === 'sets of labels'
    const numbered = withClassNumbers({ labels: read.labels, record: { named: true, numeric } }, read.examples)
    const [batch] = prepareBatches(numbered, { batchSize: 9, order: { seed: 0 }, numeric }).epoch(0)
    const streamed: PaddedBatch[] = []
    for await (const each of stream.epoch(0)) streamed.push(each)
    expect(streamed).toEqual([batch])
  })

  it('leave out what lacks something where they are asked to, from any batch on', async () => {
    const rows = datasetOf(mails.map((mail, i) => ({ ...mail, label: i % 7 === 3 ? null : mail.label })))
    const stream = await streamBatches<Row>(rows, { ...options, missing: 'drop' })
    expect([stream.count, stream.dropped, stream.counts]).toEqual([15, 10, { a: 30, b: 30, '(none)': 10 }])
    expect(stream.warnings).toEqual(['10 of 70 rows were left out: label: none in row 3, row 10, row 17, row 24, row 31 and 5 more'])
    const [all, rest]: [PaddedBatch[], PaddedBatch[]] = [[], []]
    for await (const batch of stream.epoch(1)) all.push(batch)
    for await (const batch of stream.epoch(1, 8)) rest.push(batch)
    expect(all.reduce((sum, { batch }) => sum + batch, 0)).toBe(60)
    expect(rest).toEqual(all.slice(8))
  })

  it('have the texts that a decoder is to write, as those that are all there', async () => {
    const rows = datasetOf(mails.slice(0, 12))
    const given = { tokenizer: MODEL, maxLength: 16, text: 'text', target: 'text' } as const
    const stream = await streamBatches(rows, { ...given, batchSize: 4, window: 1, decoderStart: 5 })
    const { examples } = await readExamples(rows, given)
    const all: PaddedBatch[] = []
    for await (const batch of stream.epoch(0)) all.push(batch)
    const order = all.flatMap(({ rows: numbers }) => [...numbers])
    const labels = ({ labels: of }: PaddedBatch): number[] => Array.from(of ?? []).filter((label) => label !== -100)
    expect(all.flatMap(labels)).toEqual(order.flatMap((row) => Array.from(examples.targets?.[row] ?? [])))
    for (const { decoderIds = new Int32Array(), batch } of all) for (let i = 0; i < batch; i++) expect(decoderIds[(i * decoderIds.length) / batch]).toBe(5)
    await expect(streamBatches(rows, { ...given, batchSize: 4 })).rejects.toThrow('decoderStart: expected the token that the decoder is given before its targets: model.parts.architecture.decoderStart')
  })

  it('are measured as the rows themselves, and refused by a model of other classes', async () => {
    const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
    const transform = <B extends PaddedBatch>(batch: B): B => ({ ...batch, ids: (batch.ids ?? new Int32Array()).map((id) => id % 30) })
    const stream = await streamBatches(datasetOf(mails), { ...options, transform })
    const { examples } = await readExamples(datasetOf(mails), { tokenizer: MODEL, text: 'text', label: 'label', labels: ['a', 'b'], maxLength: 16 })
    const { ids = [] } = examples
    const expected = await evaluate(model, { ...examples, ids: ids.map((row) => Array.from(row, (id) => id % 30)) })
    const measured = await evaluate(model, stream)
    expect(measured.loss).toBeCloseTo(expected.loss ?? NaN, 5)
    expect(measured['accuracy']).toBe(expected['accuracy'])
    const other = await streamBatches(datasetOf(mails), { ...options, labels: ['b', 'a'] })
    const problem = 'its classes are "b", "a", those of the model "a", "b"; read the rows with { labels: model.labels }, or load the model with those of the rows'
    await expect(evaluate(model, other)).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [problem]))
    attach(model, lora())
    expect(() => new Trainer({ model, train: other, evaluate: other })).toThrow(
      new InputError('Trainer: the options cannot be used:', [`train: ${problem}`, `evaluate: ${problem}`]))
    model.dispose()
  })
})
