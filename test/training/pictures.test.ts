// Uses the built package: threads load it by themselves.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { createImageProcessor, parquet, readExamples, streamBatches, type ImageProcessor } from 'tfjs-peft'
import { datasetOf, InputError, type Dataset, type PaddedBatch, type RawPicture } from 'tfjs-peft/advanced'
import { describe, expect, it } from 'vitest'
import { goldenPath } from '../golden.ts'

const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 4 })
const TOKENIZER = goldenPath('tokenizer/words')

interface Drawing { readonly image: RawPicture; readonly kind: string }

/** Each of one colour, its number. */
const drawings: Drawing[] = Array.from({ length: 11 }, (_, i) => ({
  image: { data: new Uint8Array(6 * 5 * 3).fill(i), width: 6, height: 5, channels: 3 }, kind: i % 3 === 0 ? 'dark' : 'light',
}))
const pixelsOf = (i: number): Float32Array => new Float32Array(3 * 4 * 4).fill(Math.fround(Math.fround(i / 255) - 0.5) / 0.5)

async function batchesOf(dataset: Dataset<Drawing>, more = {}, epoch = 0, from = 0): Promise<PaddedBatch[]> {
  const all: PaddedBatch[] = []
  for await (const batch of (await streamBatches(dataset, { processor, image: 'image', label: 'kind', batchSize: 3, ...more })).epoch(epoch, from)) all.push(batch)
  return all
}

describe('rows with a picture', () => {
  it('become pixels with their class, from a path, from bytes and from pixels', async () => {
    const path = goldenPath('images/rgb.png')
    const bytes = await readFile(path)
    const rows = [{ image: path, kind: 'dark' }, { image: { bytes, path: 'a.png' }, kind: 'light' }, ...drawings]
    const { examples, labels, counts } = await readExamples(datasetOf(rows), { processor, image: 'image', label: 'kind' })
    expect([labels, counts]).toEqual([['dark', 'light'], { dark: 5, light: 8 }])
    expect(Object.keys(examples)).toEqual(['pixels', 'labels'])
    const { pixels } = await processor.encode([path])
    expect(examples.pixels?.slice(0, 2)).toEqual([pixels, pixels])
    expect(examples.pixels?.slice(2)).toEqual(drawings.map((_, i) => pixelsOf(i)))
  })

  it('have tokens too where a text stands beside it', async () => {
    const { examples } = await readExamples(datasetOf(drawings), { processor, image: 'image', tokenizer: TOKENIZER, text: 'kind' })
    expect(Object.keys(examples)).toEqual(['ids', 'pixels'])
    expect(examples.ids).toHaveLength(11)
  })

  it('that cannot be decoded are all told, with their places, also where they are far apart', async () => {
    const broken = (number: number): boolean => number === 3 || number === 90
    const rows = Array.from({ length: 100 }, (_, i) => ({ image: broken(i) ? new Uint8Array(i - 3) : drawings[i % 11]?.image }))
    await expect(readExamples(datasetOf(rows), { processor, image: 'image' })).rejects.toThrow(new InputError('readExamples: rows cannot be used:', ['row 3 is empty', 'row 90 is no JPEG, PNG, WebP file; save it as one of them']))
    const table = parquet(goldenPath('data/kinds.parquet'))
    await expect(readExamples(table, { processor, image: 'image', missing: 'drop' })).rejects.toThrow(/kinds\.parquet: row 0 is a broken PNG file/)
  })

  it('that lack it or have something else there are told before any is decoded', async () => {
    const rows = [{ image: null }, { image: { bytes: null, path: null } }, { image: 5 }, { image: { picture: 1 } }]
    await expect(readExamples(datasetOf(rows), { processor, image: 'image' })).rejects.toThrow(new InputError(
      "readExamples: 4 of 4 rows cannot be used. Mend them, or leave out those that lack something with missing: 'drop':",
      ['image: none in row 0, row 1', 'image: expected the path of a picture, its bytes, or pixels, got 5 in row 2, an object with "picture" in row 3']))
  })

  it('are of one size in the end, in all parts of the data', async () => {
    const whole = createImageProcessor({ image_processor_type: 'ViTImageProcessor', do_resize: false })
    const rows = Array.from({ length: 65 }, (_, i) => ({ image: { data: new Uint8Array(i === 64 ? 3 : 6), width: i === 64 ? 1 : 2, height: 1, channels: 3 } }))
    await expect(readExamples(datasetOf(rows), { processor: whole, image: 'image' })).rejects.toThrow('row 64 is 1 × 1 in the end, and the first rows are 1 × 2; let size give height and width')
  })

  it('ask for what goes with them', async () => {
    const problemsOf = async (options: object): Promise<readonly string[]> => {
      const error: unknown = await readExamples(datasetOf(drawings), options as never).catch((thrown: unknown) => thrown)
      return (error as InputError).problems
    }
    expect(await problemsOf({ image: 'image', processor, messages: 'kind' })).toEqual(['image: expected at most a text beside it, and label, labelSet or number'])
    expect(await problemsOf({ image: 'image' })).toEqual(['processor: expected an image processor beside image, or the folder or Hub id of one, got undefined'])
    expect(await problemsOf({ image: 'image', text: 'kind', processor: Promise.resolve(processor) })).toEqual([
      'processor: expected an image processor beside image, or the folder or Hub id of one, got a promise; await loadImageProcessor(…)', 'tokenizer: expected one, or the folder or Hub id of one, got undefined',
    ])
    expect(await problemsOf({ text: 'kind', tokenizer: TOKENIZER, processor })).toEqual(['image: expected the column of the pictures beside processor'])
    await expect(streamBatches(datasetOf(drawings), { image: 'image', batchSize: 2 })).rejects.toThrow('processor: expected an image processor beside image')
  })
})

it('a program whose pictures are done comes to its end', async () => {
  const program = `import { createImageProcessor } from 'tfjs-peft'
    const { batch } = await createImageProcessor({ image_processor_type: 'ViTImageProcessor' }).encode([process.argv[1]])
    console.log(batch)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, goldenPath('images/rgb.png')], { timeout: 60_000 })
  expect(stdout).toBe('1\n')
})

describe('streamed pictures', () => {
  it('are those of the rows, each once, and go on from any batch', async () => {
    const all = await batchesOf(datasetOf(drawings))
    expect(all.flatMap(({ rows }) => [...rows]).sort((a, b) => a - b)).toEqual(drawings.map((_, i) => i))
    for (const { rows, batch, pixels, labels } of all) {
      expect(pixels).toEqual(Float32Array.from([...rows].flatMap((row) => [...pixelsOf(row)])))
      expect([...labels ?? []]).toEqual(Array.from(rows, (row) => (row % 3 === 0 ? 0 : 1)))
      expect(pixels?.length).toBe(batch * 48)
    }
    expect(await batchesOf(datasetOf(drawings), {}, 0, 2)).toEqual(all.slice(2))
  })

  it('are decoded no farther than is asked for and ahead', async () => {
    let decoded = 0
    const counting: ImageProcessor = { ...processor, encode: (pictures, nameOf) => ((decoded += pictures.length), processor.encode(pictures, nameOf)) }
    const streamed = await streamBatches(datasetOf(drawings), { processor: counting, image: 'image', batchSize: 2, rows: 11 })
    for await (const { index } of streamed.epoch(0)) if (index === 0) break
    expect(decoded).toBeGreaterThan(0)
    expect(decoded).toBeLessThanOrEqual(2 * 4)
  })

  it('are under way for several windows at a time, so that threads go on during a step', async () => {
    let [now, most] = [0, 0]
    const counting: ImageProcessor = {
      ...processor,
      encode: async (pictures, nameOf) => {
        most = Math.max(most, ++now)
        return await processor.encode(pictures, nameOf).finally(() => now--)
      },
    }
    expect(await batchesOf(datasetOf(drawings), { processor: counting })).toHaveLength(4)
    expect(most).toBe(3)
  })

  it('go on from a checkpoint with a processor of the same settings, or in another folder of the same name', async () => {
    const settingsWith = async (each: ImageProcessor | string): Promise<unknown> => (await streamBatches(datasetOf(drawings), { processor: each, image: 'image', batchSize: 3 })).settings
    expect(await settingsWith('here/small-vit')).toEqual(await settingsWith('there/small-vit'))
    const settings = { image_processor_type: 'ViTImageProcessor', size: 4 }
    expect(await settingsWith(createImageProcessor(settings))).toEqual(await settingsWith(processor))
    expect(await settingsWith(createImageProcessor({ ...settings, size: 8 }))).not.toEqual(await settingsWith(processor))
  })

  it('that are broken end the reading where they stand, with their place', async () => {
    const rows = drawings.map((row, i) => (i === 7 ? { ...row, image: new Uint8Array(0) as never } : row))
    await expect(batchesOf(datasetOf(rows))).rejects.toThrow('row 7 is empty')
  })
})
