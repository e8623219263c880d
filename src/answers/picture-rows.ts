// What the functions that answer about pictures have in common: pictures become rows of pixels.

import { checkKind } from '../base/awaited.ts'
import type { Picture } from '../base/image/picture.ts'
import type { ImageProcessor } from '../base/image/processor.ts'
import { InputError, shown } from '../errors.ts'

/** @throws InputError when they are no list, or the processor is none */
export function checkPictures(caller: string, processor: ImageProcessor, pictures: unknown): void {
  checkKind('image processor', processor)
  if (!Array.isArray(pictures)) throw new InputError(`${caller}: expected a list of pictures, got ${shown(pictures)}. One picture is a list too: [picture]`)
}

/**
 * The pixels of pictures, some at a time; the next are decoded while these are used.
 *
 * @throws InputError with all pictures of these that cannot be used, by their place among all
 */
export async function* pixelRows(processor: ImageProcessor, pictures: readonly Picture[], batchSize: number): AsyncGenerator<readonly Float32Array[], void, undefined> {
  const decoded = async (begin: number): Promise<readonly Float32Array[]> => {
    const own = pictures.slice(begin, begin + batchSize)
    if (own.length === 0) return []
    const { pixels, batch } = await processor.encode(own, (i) => (typeof own[i] === 'string' ? own[i] : `picture ${begin + i}`))
    return own.map((_, i) => pixels.subarray((i * pixels.length) / batch, ((i + 1) * pixels.length) / batch))
  }
  let next = decoded(0)
  for (let begin = 0; begin < pictures.length; begin += batchSize) {
    const rows = await next
    next = decoded(begin + batchSize)
    next.catch(() => undefined) // told when its turn comes; nobody may be waiting before
    yield rows
  }
}
