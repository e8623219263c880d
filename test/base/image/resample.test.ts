import { describe, expect, it } from 'vitest'
import { resample } from '../../../src/base/image/resample.ts'
import { bytesOf, golden, source } from './golden.ts'

const KERNELS = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const // by Pillow's numbers

describe.each(KERNELS.map((kernel, number) => ({ kernel, number })))('the kernel $kernel', ({ kernel, number }) => {
  it.each(golden.resampled.filter((each) => each.kernel === number))("gives Pillow's pixels to the bit: $source as $size", ({ source: name, size: [height, width], made }) => {
    const { data, ...shape } = resample(source(name), { height, width }, kernel)
    expect(shape).toEqual({ height, width, channels: 3 })
    expect(Buffer.from(data).equals(bytesOf(made))).toBe(true)
  })
})
