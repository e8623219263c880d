// What the families of pictures and texts have in common: a batch has the one, the other, or both in each row.

import type { Architecture, Encoded } from './architecture.ts'
import { strangers } from './batch.ts'
import type { Pass } from './pass.ts'
import { patchesOf, pictureProblems, type Patches, type PictureLimits } from './pixel-input.ts'
import { toInput, tokenProblems, type Input, type Limits } from './token-input.ts'

interface TwoTowers {
  readonly text: (pass: Pass, input: Input) => Encoded
  readonly vision: (pass: Pass, patches: Patches) => Encoded
}

/** The part of an architecture that says that it takes pictures, texts, or a text with each picture. */
export function takesPicturesAndTexts(
  text: Limits, pictures: PictureLimits, towers: TwoTowers,
): Pick<Architecture, 'text' | 'pictures' | 'example' | 'check' | 'encode'> {
  const [height, width] = pictures.size
  return {
    text,
    pictures,
    example: () => ({ ids: new Int32Array(2), pixels: new Float32Array(pictures.channels * height * width), batch: 1, length: 2 }),
    check: (batch, limits = text) => {
      const { ids, pixels } = batch
      if (ids === undefined && pixels === undefined) return ['expected ids, pixels, or both']
      return [
        ...(ids === undefined ? [] : tokenProblems(batch, limits)), ...(pixels === undefined ? [] : pictureProblems(batch, pictures)),
        ...strangers(batch, ['ids', 'mask', 'pixels']),
      ]
    },
    encode: (pass, batch) => {
      const vision = batch.pixels === undefined ? undefined : towers.vision(pass, patchesOf(batch, pictures))
      const words = batch.ids === undefined ? undefined : towers.text(pass.over(batch), toInput(batch))
      const first = (vision ?? words) as Encoded // one of the two is there
      return { ...first, towers: { ...(vision === undefined ? {} : { vision }), ...(words === undefined ? {} : { text: words }) } }
    },
  }
}
