import { expect, it } from 'vitest'
import { bucketOf } from '../../../src/base/models/deberta-buckets.ts'
import { bucketOf as sharedBucketOf } from '../../../src/base/ops/relative-positions.ts'
import { readGolden } from '../../golden.ts'

const golden = await readGolden('deberta-v2/buckets.safetensors')

it.each(golden.names)('every distance has the row that it has in transformers, and its opposite on the other side: %s', (name) => {
  const [buckets = 0, furthest = 0] = name.split('_').map(Number)
  const span = 1000 // wide enough that nothing is cut off
  const rowOf = (distance: number): number => bucketOf(distance, span, { buckets, furthest }) - span
  const expected = [...golden.numbers(name)]
  expect(expected.map((_, distance) => rowOf(distance))).toEqual(expected)
  expect(expected.map((_, distance) => -rowOf(-distance) + 0)).toEqual(expected)
})

it('distances beyond the rows have the first and the last', () => {
  expect([-9, -3, 0, 2, 9].map((distance) => bucketOf(distance, 3, { buckets: undefined, furthest: 3 }))).toEqual([0, 0, 3, 5, 5])
})

it('every distance has the row that it has in MPNet of transformers', async () => {
  const expected = [...(await readGolden('mpnet/buckets.safetensors')).numbers('rows')]
  expect(expected.map((_, at) => sharedBucketOf(200 - at, { count: 32, furthest: 128, bothWays: true }))).toEqual(expected)
})

const t5 = await readGolden('t5/buckets.safetensors')

it.each(t5.names)('every distance has the row that it has in T5 of transformers: %s', (name) => {
  const [count = 0, furthest = 0] = name.split('_').map(Number)
  const expected = [...t5.numbers(name)]
  expect(expected.map((_, at) => sharedBucketOf(at - 300, { count, furthest, bothWays: name.endsWith('both') }))).toEqual(expected)
})
