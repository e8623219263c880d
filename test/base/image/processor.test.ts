import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, vi } from 'vitest'
import { companionsOf } from '../../../src/base/checkpoint/companions.ts'
import { inThread } from '../../../src/base/image/image-threads.ts'
import { createImageProcessor, loadImageProcessor } from '../../../src/base/image/processor.ts'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'
import { bytesOf, golden, numbersOf, source } from './golden.ts'

const temporary = temporaryFolder()
/** Pixels as they stand in the file. */
const asTheyAre = { image_processor_type: 'ViTImageProcessor', do_resize: false, do_rescale: false, do_normalize: false }
/** The most that decoders may differ by, of 255. */
const CLOSE = 2

async function folderWith(name: string, files: Readonly<Record<string, object>>): Promise<string> {
  const folder = temporary(name)
  await mkdir(folder, { recursive: true })
  for (const [file, json] of Object.entries(files)) await writeFile(join(folder, file), JSON.stringify(json))
  return folder
}

describe('decoding', () => {
  it.each(Object.entries(golden.decoded))("%s has the pixels of Pillow's RGB picture, upright", async (name, packed) => {
    const { pixels, ...shape } = await createImageProcessor(asTheyAre).encode([goldenPath(`images/${name}`)])
    const [height = 0, width = 0] = packed.shape
    expect(shape).toEqual({ batch: 1, channels: 3, height, width })
    const expected = bytesOf(packed)
    const differences = Array.from(pixels, (value, i) => {
      const [c, pixel] = [Math.floor(i / (height * width)), i % (height * width)]
      return Math.abs(value - (expected[pixel * 3 + c] ?? NaN))
    })
    expect(Math.max(...differences)).toBeLessThanOrEqual(CLOSE)
  })

  it('takes a path, the bytes of a file, both as the Hub has them, and pixels of one to four channels', async () => {
    const path = goldenPath('images/rgb.png')
    const bytes = await readFile(path)
    const data = Uint8Array.from({ length: 21 * 34 }, (_, i) => i % 256)
    const grey = { data, width: 34, height: 21, channels: 1 }
    const greyAndAlpha = { data: Uint8Array.from({ length: 2 * data.length }, (_, i) => (i % 2 === 0 ? data[i / 2] ?? 0 : 9)), width: 34, height: 21, channels: 2 }
    const { pixels } = await createImageProcessor(asTheyAre).encode([path, bytes, { bytes, path: 'there-is-none.png' }, { bytes: null, path }, grey, greyAndAlpha])
    const each = Array.from({ length: 6 }, (_, i) => pixels.subarray(i * 3 * 21 * 34, (i + 1) * 3 * 21 * 34))
    for (const other of each.slice(1, 4)) expect(other).toEqual(each[0])
    expect(each[5]).toEqual(each[4])
    expect(each[4]).toEqual(Float32Array.from([...data, ...data, ...data]))
  })
})

it('pictures within a larger array go to their thread without the rest of it, and stay as they are', async () => {
  const all = new Uint8Array(1000).fill(7)
  const sent: number[] = []
  const real = Reflect.get(Worker.prototype, 'postMessage') as (...call: readonly unknown[]) => void
  const post = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...call) {
    const { source: own } = call[0] as { readonly source: { readonly data?: Uint8Array; readonly bytes?: Uint8Array } }
    sent.push((own.data ?? own.bytes)?.buffer.byteLength ?? 0)
    Reflect.apply(real, this, call)
  })
  const png = await readFile(goldenPath('images/rgb.png'))
  const larger = Buffer.concat([png, Buffer.alloc(5000)])
  await createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 2 })
    .encode([{ data: all.subarray(12, 24), width: 2, height: 2, channels: 3 }, larger.subarray(0, png.length)])
  post.mockRestore()
  expect(sent).toEqual([12, png.length])
  expect([all.length, larger.length]).toEqual([1000, png.length + 5000])
})

it('a thread that fails is told of the pictures it had, and another goes on', async () => {
  const question = { source: { path: goldenPath('images/rgb.png') }, settings: { channels: 3 }, maxPixels: 1000 } as const
  expect(await inThread({ ...question, settings: undefined as never })).toEqual({ problem: expect.stringContaining('cannot be decoded: ') as string })
  expect(await inThread(question)).toMatchObject({ height: 21, width: 34 })
})

describe('the numbers for a model', () => {
  it.each(golden.prepared.map((each, i) => [i, each] as const))("case %i has those of transformers' Pillow processor to the bit", async (_, { settings, picture, made }) => {
    const { pixels, channels, height, width } = await createImageProcessor(settings).encode([source(picture)])
    expect([channels, height, width]).toEqual(made.shape)
    expect(pixels).toEqual(numbersOf(made))
  })

  it.each(Object.entries(golden.defaults))('%s without settings is as with those that transformers gives it', async (kind, settings) => {
    const picture = source('wide')
    const plain = await createImageProcessor({ image_processor_type: kind }).encode([picture])
    const { pixels } = await createImageProcessor(settings).encode([picture])
    expect([plain.height, plain.width]).toEqual([224, 224])
    expect(Buffer.from(plain.pixels.buffer).equals(Buffer.from(pixels.buffer))).toBe(true)
  })
})

describe('settings', () => {
  const size = { height: 8, width: 8 }

  it('are read from the old file, the file beside a tokenizer and by the kind of the model, and come back as they were', async () => {
    const vit = await folderWith('vit', { 'preprocessor_config.json': { feature_extractor_type: 'ViTFeatureExtractor', size: 8 }, 'config.json': { model_type: 'clip' } })
    const siglip = await folderWith('siglip', { 'preprocessor_config.json': { image_processor_type: 'Nothing' }, 'processor_config.json': { image_processor: { image_processor_type: 'SiglipImageProcessorFast', size } } })
    const clip = await folderWith('clip', { 'preprocessor_config.json': { size: 10, crop_size: 8 }, 'config.json': { model_type: 'clip' } })
    const picture = source('wide')
    const kinds = { [vit]: 'ViTImageProcessor', [siglip]: 'SiglipImageProcessor', [clip]: 'CLIPImageProcessor' }
    for (const [folder, kind] of Object.entries(kinds)) {
      const processor = await loadImageProcessor(folder)
      const { pixels } = await processor.encode([picture])
      const settings = kind === 'CLIPImageProcessor' ? { size: 10, crop_size: 8 } : { size }
      expect(pixels).toEqual((await createImageProcessor({ image_processor_type: kind, ...settings }).encode([picture])).pixels)
      await processor.save(join(folder, 'saved'))
      const again = await loadImageProcessor(join(folder, 'saved')).catch(() => undefined)
      if (kind !== 'CLIPImageProcessor') expect((await again?.encode([picture]))?.pixels).toEqual(pixels)
    }
  })

  it('go along when the model beside them is saved', async () => {
    const files = { 'preprocessor_config.json': {}, 'processor_config.json': {} }
    expect(await companionsOf(await folderWith('model', files))).toEqual(Object.keys(files))
  })

  it('that ask for what is not done, or cannot be, are all named', () => {
    const settings = {
      image_processor_type: 'ViTImageProcessor', do_pad: true, do_thumbnail: true, resample: 7, size: { max_height: 8, max_width: 8 }, image_mean: [0, 0], image_std: [0, 1], rescale_factor: 'no',
      do_center_crop: true, crop_size: { height: 0, width: 8 },
    }
    const make = (): unknown => createImageProcessor(settings)
    expect(make).toThrow(CheckpointError)
    for (const name of ['do_pad', 'do_thumbnail', 'resample', 'size', 'image_mean', 'image_std', 'rescale_factor', 'crop_size.height']) expect(make).toThrow(`- ${name}: `)
    expect(() => createImageProcessor({ image_processor_type: 'DonutImageProcessor' })).toThrow('expected one of ViTImageProcessor, BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor, got DonutImageProcessor')
  })

  it('of a folder that has none are asked for', async () => {
    await expect(loadImageProcessor(await folderWith('none', { 'config.json': {} }))).rejects.toThrow('has no preprocessor_config.json. Give one by createImageProcessor')
  })
})

describe('pictures that cannot be used', () => {
  const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 8 }, { maxPixels: 1000 })

  it('are all named: empty, broken, cut, huge, of other kinds, not there', async () => {
    const png = await readFile(goldenPath('images/rgb.png'))
    const huge = Buffer.from(png)
    huge.writeUInt32BE(2 ** 20, 16)
    huge.writeUInt32BE(2 ** 20, 20)
    const encoded = processor.encode([
      new Uint8Array(0), png.subarray(0, 600), Buffer.from(png).fill(7, 50, 90), huge, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'not-there.png', goldenPath('images'),
      { data: new Uint8Array(5), width: 2, height: 1, channels: 3 }, { data: new Uint8Array(3000), width: 1000, height: 1, channels: 3 }, { data: new Uint8Array(3003), width: 1001, height: 1, channels: 3 }, {} as never, goldenPath('images/rgb.png'),
    ])
    await expect(encoded).rejects.toThrow(InputError)
    const { problems } = await encoded.then(() => new InputError('none'), (error: unknown) => error as InputError)
    expect(problems).toHaveLength(10)
    for (const [i, text] of [
      'picture 0 is empty', 'picture 1 is a broken PNG file (', 'picture 2 is a broken PNG file (', 'picture 3 has 1048576 × 1048576 pixels, and maxPixels is 1000', 'picture 4 is no JPEG, PNG, WebP file',
      'not-there.png cannot be read (ENOENT', `${goldenPath('images')} is a folder`, 'picture 7 is none: data: expected 2 × 1 × 3 = 6 numbers, got 5', 'picture 9 has 1001 × 1 pixels', 'picture 10 is none: expected the path of a file',
    ].entries()) expect(problems[i]).toContain(text)
  })

  it('do not become larger than maxPixels either, however long they are', async () => {
    const edge = createImageProcessor({ image_processor_type: 'CLIPImageProcessor', size: 20, do_center_crop: false }, { maxPixels: 1000 })
    await expect(edge.encode([{ data: new Uint8Array(300), width: 100, height: 1, channels: 3 }])).rejects.toThrow('picture 0 would have 2000 × 20 pixels for the model, and maxPixels is 1000')
  })

  it('are of one size in the end', async () => {
    const whole = createImageProcessor({ image_processor_type: 'CLIPImageProcessor', size: 8, do_center_crop: false })
    await expect(whole.encode([source('wide'), source('tall')])).rejects.toThrow('let size give height and width, or crop (do_center_crop):\n  - picture 1 is 12 × 8 in the end, and picture 0 8 × 12')
  })

  it('are none at all: no list, an empty one, wrong options', async () => {
    await expect(processor.encode([])).rejects.toThrow('expected a list of pictures, got an empty one')
    await expect(processor.encode('cat.jpg' as never)).rejects.toThrow('expected a list of pictures, got string')
    expect(() => createImageProcessor({ image_processor_type: 'ViTImageProcessor' }, { maxPixels: 0 })).toThrow('maxPixels: expected an integer of at least 1, got 0')
  })
})
