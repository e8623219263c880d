import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/errors.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import type { Batches, BatchOptions, Examples } from '../../src/training/batches.ts'

/** Row i has the ids i + 1 repeated, and label i mod 2. */
function examples(lengths: readonly number[]): Examples & { ids: readonly ArrayLike<number>[]; labels: number[] } {
  return {
    ids: lengths.map((length, i) => new Array<number>(length).fill(i + 1)),
    labels: lengths.map((_, i) => i % 2),
  }
}

function rowsOf(batches: Batches, epoch: number, from = 0): number[][] {
  return [...batches.epoch(epoch, from)].map(({ rows }) => [...rows])
}

const ten = examples([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
const ascending = (a: number, b: number): number => a - b

describe('prepareBatches', () => {
  it('pads each batch at the end to its longest row', () => {
    const batches = prepareBatches({
      ids: [[5, 6, 7], Int32Array.of(8), [9, 10]],
      typeIds: [[0, 0, 1], [1], Int32Array.of(0, 1)],
      labels: Int32Array.of(1, 0, 2),
    }, { batchSize: 2, padId: 99 })
    expect(batches.count).toBe(2)
    expect([...batches.epoch(0)]).toEqual([
      {
        ids: Int32Array.of(5, 6, 7, 8, 99, 99),
        mask: Int32Array.of(1, 1, 1, 1, 0, 0),
        typeIds: Int32Array.of(0, 0, 1, 1, 0, 0),
        labels: Int32Array.of(1, 0),
        rows: Int32Array.of(0, 1),
        batch: 2, length: 3, epoch: 0, index: 0,
      },
      {
        ids: Int32Array.of(9, 10),
        mask: Int32Array.of(1, 1),
        typeIds: Int32Array.of(0, 1),
        labels: Int32Array.of(2),
        rows: Int32Array.of(2),
        batch: 1, length: 2, epoch: 0, index: 1,
      },
    ])
  })

  it('gives neither segments nor labels where there are none', () => {
    const [batch] = prepareBatches({ ids: [[1]] }, { batchSize: 1 }).epoch(0)
    expect(batch).not.toHaveProperty('typeIds')
    expect(batch).not.toHaveProperty('labels')
  })

  it('rounds the padded length up to a multiple', () => {
    const lengths = [...prepareBatches(examples([3, 8, 9]), { batchSize: 1, padToMultipleOf: 8 }).epoch(0)]
      .map(({ length, ids, mask }) => [length, ids?.length, mask?.reduce((a, b) => a + b)])
    expect(lengths).toEqual([[8, 8, 3], [8, 8, 8], [16, 16, 9]])
  })

  it('keeps the order of the examples unless told otherwise', () => {
    expect(rowsOf(prepareBatches(ten, { batchSize: 4 }), 3)).toEqual([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
  })

  it('leaves a short last batch out on request', () => {
    const batches = prepareBatches(ten, { batchSize: 4, dropLast: true })
    expect(batches.count).toBe(2)
    expect(rowsOf(batches, 0)).toEqual([[0, 1, 2, 3], [4, 5, 6, 7]])
    expect(rowsOf(prepareBatches(ten, { batchSize: 5, dropLast: true }), 0)).toHaveLength(2)
  })

  it('follows a given order of rows, which may leave out and repeat', () => {
    const batches = prepareBatches(ten, { batchSize: 2, order: [9, 0, 9] })
    expect(rowsOf(batches, 0)).toEqual([[9, 0], [9]])
    expect(rowsOf(batches, 1)).toEqual([[9, 0], [9]])
    expect(rowsOf(prepareBatches(ten, { batchSize: 2, order: Int32Array.of(4) }), 0)).toEqual([[4]])
  })

  it('shuffles anew in each epoch, and the same way for the same seed', () => {
    const options = { batchSize: 3, order: { seed: 0 } }
    const batches = prepareBatches(ten, options)
    const epochs = [0, 1, 2].map((epoch) => rowsOf(batches, epoch))
    for (const epoch of epochs) expect(epoch.flat().sort(ascending)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(new Set(epochs.map((epoch) => epoch.join())).size).toBe(3)
    expect(rowsOf(prepareBatches(ten, options), 1)).toEqual(epochs[1])
    expect(rowsOf(prepareBatches(ten, { batchSize: 3, order: { seed: 1 } }), 0)).not.toEqual(epochs[0])
  })

  it('makes batches of pictures, and of the two sides of an encoder-decoder, with a label for each token of the decoder', () => {
    const pictures = [...prepareBatches({ pixels: [[0.5, 1], Float32Array.of(2, 3), [4, 5]], labels: [1, 0, 1] }, { batchSize: 2 }).epoch(0)]
    expect(pictures[0]).toEqual({
      pixels: Float32Array.of(0.5, 1, 2, 3), labels: Int32Array.of(1, 0), rows: Int32Array.of(0, 1), batch: 2, length: 0, epoch: 0, index: 0,
    })
    const [pair] = prepareBatches({ ids: [[5, 6, 7], [8]], decoderIds: [[1], [2, 3]], tokenLabels: [[4], [3, 4]] }, { batchSize: 2, paddingSide: 'left' }).epoch(0)
    expect(pair).toMatchObject({ decoderIds: Int32Array.of(1, 0, 2, 3), decoderMask: Int32Array.of(1, 0, 1, 1), labels: Int32Array.of(4, -100, 3, 4), length: 3 })
  })

  it('names what is wrong with pictures and with the ids of a decoder', () => {
    expect(() => prepareBatches({ pixels: [[0.5, NaN], [1, 2]], decoderIds: [[1], [], [2]] }, { batchSize: 2 })).toThrow(new InputError(
      'prepareBatches: the examples do not make batches. Correct these:',
      ['pixels that are not finite numbers: NaN at number 1 of row 0', 'decoderIds: expected 2, one per row, got 3', 'decoderIds without a token: 1'],
    ))
    expect(() => prepareBatches({ labels: [1] }, { batchSize: 1 })).toThrow('ids: expected a list of rows, got undefined')
  })

  it('keeps ids, mask and labels with their row when shuffled', () => {
    for (const batch of prepareBatches(ten, { batchSize: 3, order: { seed: 5 }, bucketWindow: 2 }).epoch(0)) {
      batch.rows.forEach((row, i) => {
        const length = ten.ids[row]?.length ?? 0
        const ids = batch.ids?.subarray(i * batch.length, (i + 1) * batch.length)
        const mask = batch.mask?.subarray(i * batch.length, (i + 1) * batch.length)
        expect([...(ids ?? [])]).toEqual(Array.from({ length: batch.length }, (_, t) => t < length ? row + 1 : 0))
        expect([...(mask ?? [])]).toEqual(Array.from({ length: batch.length }, (_, t) => t < length ? 1 : 0))
        expect(batch.labels?.[i]).toBe(row % 2)
      })
    }
  })

  it('goes on at a position as if it had never stopped', () => {
    for (const bucketWindow of [1, 2]) {
      const batches = prepareBatches(ten, { batchSize: 2, order: { seed: 4 }, bucketWindow })
      const whole = [...batches.epoch(7)]
      expect(whole.map(({ epoch, index }) => [epoch, index])).toEqual([[7, 0], [7, 1], [7, 2], [7, 3], [7, 4]])
      expect([...batches.epoch(7, 3)]).toEqual(whole.slice(3))
      expect([...batches.epoch(7, 5)]).toEqual([])
    }
  })

  it('puts rows of about the same length together within a window', () => {
    const batches = prepareBatches(ten, { batchSize: 2, bucketWindow: 3 })
    // lengths of the first window 3 1 4 1 5 9, of the second 2 6 5 3
    expect(rowsOf(batches, 0)).toEqual([[1, 3], [0, 2], [4, 5], [6, 9], [8, 7]])
  })

  it('saves padding with buckets and still shuffles rows and batches', () => {
    const lengths = Array.from({ length: 640 }, (_, i) => 1 + (i * 37) % 128)
    const options: BatchOptions = { batchSize: 16, order: { seed: 2 } }
    const plain = prepareBatches(examples(lengths), options)
    const bucketed = prepareBatches(examples(lengths), { ...options, bucketWindow: 10 })
    const cells = (batches: Batches): number => [...batches.epoch(0)].reduce((sum, { ids }) => sum + (ids?.length ?? NaN), 0)
    const tokens = lengths.reduce((a, b) => a + b)
    expect(cells(plain) / tokens).toBeGreaterThan(1.7)
    expect(cells(bucketed) / tokens).toBeLessThan(1.15)
    expect(rowsOf(bucketed, 0).flat().sort(ascending)).toEqual(lengths.map((_, i) => i))
    expect(rowsOf(bucketed, 0)).not.toEqual(rowsOf(bucketed, 1))
    const widths = [...bucketed.epoch(0)].map(({ length }) => length)
    expect(widths.slice(0, 10)).not.toEqual(widths.slice(0, 10).sort(ascending))
  })

  it('lists all that is wrong with the examples, the first offenders by row', () => {
    const bad = (): Batches => prepareBatches({
      ids: [[], [1], [2, NaN], [], [], [], [], [-1], []],
      typeIds: [[], [0, 1], [0, 0.5], [], [], [], [], [0]],
      labels: [0, NaN, 5, -1, 0.5, undefined as unknown as number, 1, 1, 1, 1],
    }, { batchSize: 2, classes: 2 })
    expect(bad).toThrow(InputError)
    expect(bad).toThrow([
      'prepareBatches: the examples do not make batches. Correct these:',
      '  - rows without a token: 0, 3, 4, 5, 6 and 1 more',
      '  - ids that are not natural numbers: NaN at token 1 of row 2, -1 at token 0 of row 7',
      '  - typeIds: expected 9 rows as in ids, got 8',
      '  - typeIds that are not natural numbers: 0.5 at token 1 of row 2',
      '  - typeIds not as long as their ids: 2 for 1 in row 1',
      '  - labels: expected 9, one per row, got 10',
      '  - rows without a label: 1, 5',
      '  - labels that are not integers from 0 to 1 (numbers to learn are for a model loaded with { problemType: \'regression\' }): 5 in row 2, -1 in row 3, 0.5 in row 4',
    ].join('\n'))
    expect(() => prepareBatches({ ids: [[1]], labels: [0.5] }, { batchSize: 1 })).toThrow('labels that are not natural numbers (numbers to learn are for a model loaded with { problemType: \'regression\' }): 0.5 in row 0')
  })

  it('pads at the beginning on request, and moves answers along', () => {
    const [batch] = prepareBatches({ ids: [[5, 6, 7], [8]], typeIds: [[0, 1, 1], [1]], spans: [[1, 2], [0, 0]] }, {
      batchSize: 2, paddingSide: 'left', padId: 9, padToMultipleOf: 4,
    }).epoch(0)
    expect(batch).toEqual({
      ids: Int32Array.of(9, 5, 6, 7, 9, 9, 9, 8),
      mask: Int32Array.of(0, 1, 1, 1, 0, 0, 0, 1),
      typeIds: Int32Array.of(0, 0, 1, 1, 0, 0, 0, 1),
      labels: Int32Array.of(2, 3, 3, 3),
      rows: Int32Array.of(0, 1),
      batch: 2, length: 4, epoch: 0, index: 0,
    })
  })

  it('gives each token its label, and padding none', () => {
    const labelled = { ids: [[5, 6, 7], [8]], tokenLabels: [[-100, 1, 2], [0]] }
    const labelsOf = (paddingSide: 'left' | 'right'): unknown => [...prepareBatches(labelled, { batchSize: 2, paddingSide, classes: 3 }).epoch(0)][0]?.labels
    expect(labelsOf('right')).toEqual(Int32Array.of(-100, 1, 2, 0, -100, -100))
    expect(labelsOf('left')).toEqual(Int32Array.of(-100, 1, 2, -100, -100, 0))
  })

  it('leaves sides of an answer that do not count as they are', () => {
    const [batch] = prepareBatches({ ids: [[5, 6], [8]], spans: [[-100, 1], [-100, -100]] }, { batchSize: 2, paddingSide: 'left' }).epoch(0)
    expect(batch?.labels).toEqual(Int32Array.of(-100, 1, -100, -100))
  })

  it('puts the rows of a batch of pairs first and what belongs to them behind, in the same order', () => {
    const pairs = { ids: [[1], [2, 2], [3]], positives: [[11, 11, 11], [12], [13]] }
    const [first, second] = prepareBatches(pairs, { batchSize: 2, order: [2, 0, 1], bucketWindow: 1 }).epoch(0)
    expect(first).toEqual({
      ids: Int32Array.of(3, 0, 0, 1, 0, 0, 13, 0, 0, 11, 11, 11),
      mask: Int32Array.of(1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 1),
      labels: Int32Array.of(0, 1),
      rows: Int32Array.of(2, 0),
      batch: 4, length: 3, epoch: 0, index: 0,
    })
    expect(second).toMatchObject({ ids: Int32Array.of(2, 2, 12, 0), batch: 2, length: 2, labels: Int32Array.of(0) })
  })

  it('lists all that is wrong with labels of tokens, answers and pairs', () => {
    const bad = (): Batches => prepareBatches({
      ids: [[1, 2], [3], [4, 5, 6]],
      typeIds: [[0, 0], [0], [0, 0, 0]],
      tokenLabels: [[0, 1, 0], [2], [-1, 0, 0]],
      spans: [[0, 2], [-100, 0], [2, 1], [0, 0]],
      positives: [[], [1.5]],
    }, { batchSize: 2, classes: 2 })
    expect(bad).toThrow([
      '  - tokenLabels, spans, positives: expected one of them, for one task',
      '  - tokenLabels that are not integers from 0 to 1 or -100: 2 at token 0 of row 1, -1 at token 0 of row 2',
      '  - tokenLabels not as long as their ids: 3 for 2 in row 0',
      '  - spans: expected 3, one per row, got 4',
      '  - spans that do not lie in their row, first token before last: [0,2] in row 0 of 2 tokens, [2,1] in row 2 of 3 tokens',
      '  - positives: expected 3, one per row, got 2',
      '  - positives without a token: 0',
      '  - positives that are not natural numbers: 1.5 at token 0 of row 1',
      '  - typeIds: expected none beside positives; the two texts of a pair are rows of their own',
    ].join('\n'))
  })

  it('gives every batch the transform it is asked for, wherever the epoch begins', () => {
    const batches = prepareBatches(ten, { batchSize: 4, transform: (batch) => ({ ...batch, labels: Int32Array.of(batch.epoch, batch.index) }) })
    expect([...batches.epoch(3, 1)].map(({ labels }) => labels)).toEqual([Int32Array.of(3, 1), Int32Array.of(3, 2)])
  })

  it('says so when there are no rows at all', () => {
    expect(() => prepareBatches({ ids: [] }, { batchSize: 2 })).toThrow('ids: expected at least one row, got an empty data set')
    expect(() => prepareBatches({ ids: [[1]] }, { batchSize: 2, dropLast: true })).toThrow(
      'prepareBatches: 1 rows make no batch of 2 with dropLast. Lower batchSize or keep the last batch.')
  })

  it('lists options that are out of range', () => {
    expect(() => prepareBatches(ten, {
      batchSize: 0, bucketWindow: -1, padToMultipleOf: 1.5, padId: -1, classes: 0, order: [3, 10, -1],
    })).toThrow([
      '  - batchSize: expected an integer of at least 1, got 0',
      '  - bucketWindow: expected an integer of at least 1, got -1',
      '  - padToMultipleOf: expected an integer of at least 1, got 1.5',
      '  - classes: expected an integer of at least 1, got 0',
      '  - padId: expected a natural number, got -1',
      '  - order: expected row numbers from 0 to 9, got 10, -1',
    ].join('\n'))
    expect(() => prepareBatches(ten, { batchSize: 1, order: [] })).toThrow('order: expected at least one row, got none')
    expect(() => prepareBatches(ten, { batchSize: 1, order: { seed: 0.5 } })).toThrow('order.seed: expected an integer, got 0.5')
  })

  it('refuses positions that do not exist', () => {
    const batches = prepareBatches(ten, { batchSize: 4 })
    expect(() => batches.epoch(-1)).toThrow('epoch: expected a natural number, got -1.')
    expect(() => batches.epoch(0, 4)).toThrow('from: expected a batch from 0 to 3 of an epoch, got 4. Is the position of another data set?')
  })
})
