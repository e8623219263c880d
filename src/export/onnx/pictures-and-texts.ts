// Models of pictures and texts: a graph that holds the ones against the others, and one for each by itself.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Head } from '../../base/architecture.ts'
import type { Batch } from '../../base/batch.ts'
import type { Model } from '../../base/model.ts'
import { unitRows } from '../../base/ops/unit-rows.ts'
import type { Limits } from '../../base/token-input.ts'
import type { Axes, Port } from './graph.ts'
import { drawPictures, drawTexts, encodedBy, knownAs, named, picturePort, type Interface } from './interface.ts'
import type { RecordedInput } from './recorder.ts'
import type { Sizes } from './sizes.ts'

const [PICTURES, TEXTS] = ['image_batch_size', 'text_batch_size']

/** @param filled texts have one length, and no padding that is told from words */
export function readsBoth(model: Model, fit: Required<Head>['fit'], { filled = false }: Limits, top: number): readonly Interface[] {
  const text = {
    lengths: filled ? [top, top, top] : [Math.ceil(top / 2), top - 1, top],
    batch: ({ [TEXTS]: batch = 0, sequence_length: length = top }: Sizes): Batch => {
      const { ids, mask } = drawTexts(model, batch, length)
      return { ids, ...(filled ? {} : { mask }), batch, length }
    },
    known: (sizes: Sizes): readonly RecordedInput[] => {
      const { ids, mask } = text.batch(sizes)
      return knownAs({ input_ids: ids, attention_mask: mask })
    },
    inputs: ['input_ids', ...(filled ? [] : ['attention_mask'])].map((name): Port => ({ name, dtype: 'int64', shape: [named(TEXTS), filled ? top : named('sequence_length')] })),
    axes: { [TEXTS]: [['input_ids', 0]], ...(filled ? {} : { sequence_length: [['input_ids', 1]] }) } satisfies Axes as Axes,
    run: (own: Model, sizes: Sizes) => encodedBy(own, text.batch(sizes)),
  }
  const picture = {
    batch: ({ [PICTURES]: batch = 0 }: Sizes): ReturnType<typeof drawPictures> => drawPictures(model, batch),
    known: (sizes: Sizes): readonly RecordedInput[] => knownAs({ pixel_values: picture.batch(sizes).pixels }),
    inputs: [picturePort(model, PICTURES)],
    axes: { [PICTURES]: [['pixel_values', 0]] } satisfies Axes as Axes,
    run: (own: Model, sizes: Sizes) => encodedBy(own, picture.batch(sizes)),
  }
  const sizes = text.lengths.map((length, i) => ({ [TEXTS]: [2, 3, 5][i] ?? 0, [PICTURES]: [4, 7, 6][i] ?? 0, ...(filled ? {} : { sequence_length: length }) }))
  return [
    {
      name: 'model', sizes,
      known: (at) => [...text.known(at), ...picture.known(at)],
      inputs: () => [...text.inputs, ...picture.inputs],
      axes: { ...text.axes, ...picture.axes },
      run: (own, at) => {
        const { pass, output: images } = picture.run(own, at)
        const { output: texts } = text.run(own, at)
        const [left, right] = fit(pass, images as Tensor2D, texts as Tensor2D)
        const logits = tf.matMul<Tensor2D>(left, right, false, true)
        return { logits_per_image: logits, logits_per_text: tf.transpose(logits), text_embeds: unitRows(texts as Tensor2D), image_embeds: unitRows(images as Tensor2D) }
      },
    },
    { name: 'text_model', sizes, known: text.known, inputs: () => text.inputs, axes: text.axes, run: (own, at): Record<string, Tensor> => ({ text_embeds: text.run(own, at).output }) },
    { name: 'vision_model', sizes, known: picture.known, inputs: () => picture.inputs, axes: picture.axes, run: (own, at): Record<string, Tensor> => ({ image_embeds: picture.run(own, at).output }) },
  ]
}
