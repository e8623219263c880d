import { afterAll, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { joinBatches, takeRows } from '../../src/base/batch.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { predict } from '../../src/training/predict.ts'
import { goldenPath } from '../golden.ts'

const fixed = await loadModel(goldenPath('vit/image_classification'), { task: 'image-classification' })
const free = await loadModel(goldenPath('vit/image_classification'), { task: 'image-classification', interpolatePositions: true })

afterAll(() => {
  fixed.dispose()
  free.dispose()
})

const picture = (height: number, width: number): Float32Array => Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i))

describe('pictures that do not fit', () => {
  it.each([
    [{}, 'pixels: expected a Float32Array, got undefined'],
    [{ pixels: [1, 2] as never }, 'pixels: expected a Float32Array, got [1,2]'],
    [{ pixels: new Float32Array(7) }, 'pixels: expected 1 × 3 × 12 × 12 = 432 numbers, got 7'],
    [{ pixels: picture(16, 16) },
      'pixels: expected 1 × 3 × 12 × 12 = 432 numbers, got 768, of pictures of 16 × 16; resize the pictures to 12 × 12, or load the model with { interpolatePositions: true }'],
    [{ pixels: picture(12, 12).fill(NaN, 5) }, 'pixels: expected finite numbers, got NaN at 5'],
    [{ pixels: picture(12, 12), ids: Int32Array.of(1) }, 'ids: expected none; the model takes pixels'],
    [{ pixels: picture(12, 12), height: 24, width: 6 },
      'pixels: expected 1 × 3 × 12 × 12 = 432 numbers, got 432, of pictures of 24 × 6; resize the pictures to 12 × 12, or load the model with { interpolatePositions: true }'],
  ])('are told in words: %#', (given, problem) => {
    expect(() => fixed.forward({ ...given, batch: 1, length: 0 })).toThrow(`The batch does not fit the model:\n  - ${problem}`)
  })

  it('are told in words where other sizes are taken', () => {
    expect(() => free.forward({ pixels: picture(3, 20), height: 3, width: 20, batch: 1, length: 0 })).toThrow(
      'pixels: expected 1 × 3 × 12 × 12 = 432 numbers, got 180, of pictures of 3 × 20; pictures of another size that is not a square go with their height and width, at least 4 × 4 each')
  })
})

describe('pictures of another size', () => {
  it('are squares where nothing is said, also as rows', async () => {
    const { logits } = await predict(free, { pixels: [picture(16, 16), picture(16, 16)] })
    expect(logits.slice(0, 3)).toEqual(logits.slice(3))
  })

  it('keep their size when rows of a batch are taken, and when batches are joined that have one size', () => {
    const batch = { pixels: picture(8, 20), height: 8, width: 20, batch: 1, length: 0 }
    expect(joinBatches([batch, batch])).toMatchObject({ height: 8, width: 20, batch: 2 })
    expect(takeRows(joinBatches([batch, batch]), [1])).toEqual(batch)
    expect(() => joinBatches([batch, { ...batch, height: 20, width: 8 }])).toThrow('expected pictures of one size in the batches that are joined, got 8 × 20 and 20 × 8')
  })
})

it('a patch is refused that is larger than the picture, or than can be', async () => {
  const tiny = { model_type: 'vit', hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 }
  await expect(createModel({ ...tiny, image_size: [8, 9, 1], patch_size: 16 }, { task: 'image-embedding' })).rejects.toThrow(
    'image_size: expected one number, or height and width, got 3 numbers\n  - patch_size: expected at most image_size (8 × 9), got 16 × 16')
  await expect(createModel({ ...tiny, image_size: 1e6 }, { task: 'image-embedding' })).rejects.toThrow('numbers in a picture, got 3 × 1000000 × 1000000')
})

it('(IA)³ says that it does not scale the channels of a picture', () => {
  expect(() => attach(fixed, ia3({ targets: ['projection'], feedForward: ['projection'] }))).toThrow('of a convolution the outputs can be scaled')
})
