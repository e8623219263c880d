import { expect, it } from 'vitest'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { alignedMemory, inRoom, Room } from '../../../src/base/engine/native.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { goldenPath } from '../../golden.ts'

const addressOf = ({ buffer, offset }: ReturnType<typeof alignedMemory>, first: ArrayBuffer, start: number): number => (buffer === first ? offset - start : NaN)

it('what is taken from a room lies in one piece, each at a multiple of 64 bytes from the first, and nothing twice', async () => {
  await loadEngine()
  const sizes = [4, 64, 100, 4096]
  const room = new Room(sizes.reduce((sum, size) => sum + inRoom(size), 0))
  const taken = sizes.map((size) => room.take(size))
  const [{ buffer, offset }] = taken as [(typeof taken)[0]]
  expect(taken.map((each) => addressOf(each, buffer, offset))).toEqual([0, 64, 128, 256])
  expect(buffer.byteLength).toBeLessThan(256 + 4096 + 128)
  const more = room.take(10_000) // which was not announced
  expect(more.buffer).not.toBe(buffer)
  expect(more.buffer.byteLength).toBeGreaterThanOrEqual(10_000)
})

it('a model’s weights are read into one piece of memory where they are held as they are', async () => {
  const Real = ArrayBuffer
  const made: number[] = []
  class Counted extends Real {
    constructor(length: number) {
      super(length)
      made.push(length)
    }
  }
  globalThis.ArrayBuffer = Counted as ArrayBufferConstructor
  try {
    const model = await loadModel(goldenPath('bert/base'))
    const bytes = [...model.parts.params.values()].reduce((sum, weight) => sum + weight.bytes, 0)
    expect(made.filter((length) => length >= bytes)).toHaveLength(1)
    expect(made.filter((length) => length > 64 && length < bytes)).toEqual([])
    model.dispose()
  } finally {
    globalThis.ArrayBuffer = Real
  }
})
