// What makes pixels of the pictures of rows, for `readExamples` and `streamBatches`.

import { loadImageProcessor, type EncodedPictures, type ImageProcessor } from '../base/image/processor.ts'
import { InputError, shown } from '../errors.ts'
import type { RowOptions } from './row-options.ts'
import type { Encoders } from './row-tokens.ts'

/** What is wrong with a processor, beside the columns that it is for. */
export function processorProblems<Row>({ image }: RowOptions<Row>, processor: unknown): string[] {
  if (image === undefined) return processor === undefined ? [] : ['image: expected the column of the pictures beside processor']
  if (typeof processor === 'string' || typeof (processor as Partial<ImageProcessor> | undefined)?.encode === 'function') return []
  const got = processor instanceof Promise ? 'a promise; await loadImageProcessor(…)' : shown(processor)
  return [`processor: expected an image processor beside image, or the folder or Hub id of one, got ${got}`]
}

/** @throws CheckpointError, HubError as `loadImageProcessor` */
export async function pixelEncoder(processor: ImageProcessor | string | undefined): Promise<Encoders['pixels']> {
  const loaded = typeof processor === 'string' ? await loadImageProcessor(processor) : processor
  let first: Pick<EncodedPictures, 'height' | 'width'> | undefined
  return async (pictures, nameOf) => {
    if (loaded === undefined) throw new InputError('Expected an image processor for pictures.')
    const { pixels, batch, height, width } = await loaded.encode(pictures, nameOf)
    first ??= { height, width }
    if (height !== first.height || width !== first.width) throw new InputError(`${nameOf(0)} is ${height} × ${width} in the end, and the first rows are ${first.height} × ${first.width}; let size give height and width, or crop (do_center_crop)`)
    return Array.from({ length: batch }, (_, i) => pixels.subarray((i * pixels.length) / batch, ((i + 1) * pixels.length) / batch))
  }
}
