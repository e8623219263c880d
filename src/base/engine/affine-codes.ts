// Affine codes, as MLX has them: whole numbers of 4 or 8 bits, times a scale and plus an offset for each group of a row.

/** A weight in affine codes, row by row: `code · scale + offset`. */
export interface AffineNumbers {
  readonly format: 'affine'
  readonly shape: readonly number[]
  readonly bits: 4 | 8
  /** Several codes each, the first in the lowest bits. */
  readonly codes: Uint32Array
  /** Numbers of a row that share a scale and an offset; rows are whole groups. */
  readonly groupSize: number
  readonly scales: Float32Array
  readonly offsets: Float32Array
}

/** The numbers from `begin` on, as many as there is room for. */
export function unpackAffine({ bits, codes, groupSize, scales, offsets }: AffineNumbers, begin: number, to: Float32Array): void {
  const [inWord, mask] = [32 / bits, 2 ** bits - 1]
  for (let i = 0; i < to.length; i++) {
    const place = begin + i
    const group = Math.floor(place / groupSize)
    const code = ((codes[Math.floor(place / inWord)] as number) >>> (bits * (place % inWord))) & mask
    to[i] = code * (scales[group] as number) + (offsets[group] as number)
  }
}
