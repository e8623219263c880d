import { describe, expect, it } from 'vitest'
import { countTokens, joinBatches, padBatch, takeRows, type Batch } from '../../src/base/batch.ts'

/** Texts for both sides of an encoder-decoder, with pictures of two numbers each. */
const both: Batch = {
  ids: Int32Array.of(1, 2, 3, 4, 5, 6), mask: Int32Array.of(1, 1, 1, 1, 1, 0), typeIds: Int32Array.of(0, 0, 1, 0, 1, 1),
  pixels: Float32Array.of(0.5, 1.5, 2.5, 3.5), decoderIds: Int32Array.of(7, 8), labels: Int32Array.of(8, 9), batch: 2, length: 3,
}
const longer: Batch = {
  ids: Int32Array.of(11, 12, 13, 14), typeIds: Int32Array.of(0, 0, 0, 1), pixels: Float32Array.of(4.5, 5.5),
  decoderIds: Int32Array.of(15, 16), labels: Int32Array.of(16, 17), batch: 1, length: 4,
}

describe('a batch of any arrays', () => {
  it('gives some of its rows, in the order asked for, of every array: integers and floats', () => {
    expect(takeRows(both, [1])).toEqual({
      ids: Int32Array.of(4, 5, 6), mask: Int32Array.of(1, 1, 0), typeIds: Int32Array.of(0, 1, 1),
      pixels: Float32Array.of(2.5, 3.5), decoderIds: Int32Array.of(8), labels: Int32Array.of(9), batch: 1, length: 3,
    })
    const { labels, rows } = takeRows({ labels: Float32Array.of(0.1, 0.2, 0.3, 0.4), rows: Int32Array.of(5, 6), batch: 2, length: 0 }, [1, 0, 1])
    expect([labels, rows]).toEqual([Float32Array.of(0.3, 0.4, 0.1, 0.2, 0.3, 0.4), Int32Array.of(6, 5, 6)])
  })

  it('is joined with others row behind row, each array filled up to the longest row of its own kind', () => {
    expect(joinBatches([both, longer], { padId: 99, tokenLabels: true })).toEqual({
      ids: Int32Array.of(1, 2, 3, 99, 4, 5, 6, 99, 11, 12, 13, 14),
      mask: Int32Array.of(1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1),
      typeIds: Int32Array.of(0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1),
      decoderIds: Int32Array.of(7, 99, 8, 99, 15, 16),
      decoderMask: Int32Array.of(1, 0, 1, 0, 1, 1),
      pixels: Float32Array.of(0.5, 1.5, 2.5, 3.5, 4.5, 5.5),
      labels: Int32Array.of(8, -100, 9, -100, 16, 17), // one for each token of the decoder
      batch: 3,
      length: 4,
    })
  })

  it('is not joined with one that lacks an array', () => {
    expect(() => joinBatches([both, { ids: Int32Array.of(1), batch: 1, length: 1 }])).toThrow('typeIds: expected in every batch that is joined, or in none; 1 of 2 have it.')
  })

  it('is padded on the left where that is asked for, to a multiple, and its labels of a number of their own stay', () => {
    const { ids, mask, labels, length } = joinBatches([{ ids: Int32Array.of(1, 2, 3), labels: Float32Array.of(0.5), batch: 1, length: 3 }], { paddingSide: 'left', padToMultipleOf: 4 })
    expect({ ids, mask, labels, length }).toEqual({ ids: Int32Array.of(0, 1, 2, 3), mask: Int32Array.of(0, 1, 1, 1), labels: Float32Array.of(0.5), length: 4 })
  })

  it('has as many tokens after padding as before', () => {
    expect(countTokens(both)).toBe(5 + 2)
    expect(countTokens(padBatch(both, { length: 8, decoderLength: 5 }))).toBe(5 + 2)
    expect(countTokens({ pixels: new Float32Array(12), batch: 1, length: 0 })).toBe(0)
  })
})
