/** How distances share rows. */
export interface Buckets {
  /** Rows of each direction; near distances have one of their own up to the half. Every distance has, where there is no number. */
  readonly buckets: number | undefined
  /** The distance of the last row. */
  readonly furthest: number
}

/**
 * The row of a distance among 2 · span: near ones have each their own, further ones share by the logarithm, the furthest the last. In
 * float32 as in transformers, so that the border between two rows is the same.
 *
 * @param distance of the query from the key
 * @example bucketOf(-3, 256, { buckets: 256, furthest: 512 }) // 253
 */
export function bucketOf(distance: number, span: number, { buckets, furthest }: Buckets): number {
  return Math.min(Math.max(signedBucket(distance, buckets, furthest) + span, 0), 2 * span - 1)
}

function signedBucket(distance: number, buckets: number | undefined, furthest: number): number {
  const half = Math.floor((buckets ?? Infinity) / 2)
  const far = Math.abs(distance)
  if (far <= half) return distance
  const log = (x: number): number => Math.fround(Math.log(Math.fround(x)))
  const share = Math.fround(Math.fround(log(far / half) / log((furthest - 1) / half)) * (half - 1))
  return Math.sign(distance) * (Math.ceil(share) + half)
}
