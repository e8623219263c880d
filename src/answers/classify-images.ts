import type { Picture } from '../base/image/picture.ts'
import type { ImageProcessor } from '../base/image/processor.ts'
import type { Model } from '../base/model.ts'
import { checkNames } from '../base/options.ts'
import { InputError } from '../errors.ts'
import { predict, PREDICT_OPTIONS, type PredictOptions } from '../training/predict.ts'
import { classification, type Classification } from './classify.ts'
import { checkPictures, pixelRows } from './picture-rows.ts'
import { answeringRows } from './rows.ts'

/**
 * The label of each picture, in the words of the model's labels: of its file, its bytes or its pixels.
 *
 * @throws InputError when the model is for another task or of a regression, a picture cannot be used, or it has no adapter of the name
 * @example
 * const vit = await loadModel('pets-vit', { task: 'image-classification' })
 * const processor = await loadImageProcessor('pets-vit')
 * for (const { label, probability } of await classifyImages(vit, processor, ['cat.jpg', 'dog.png'])) console.log(label, probability.toFixed(2))
 */
export async function classifyImages(model: Model, processor: ImageProcessor, pictures: readonly Picture[], options: PredictOptions = {}): Promise<Classification[]> {
  checkNames('classifyImages', options, PREDICT_OPTIONS)
  const { model: seen, batchSize } = answeringRows('classifyImages', model, 'image-classification', options)
  const { labels, problem } = seen
  if (problem === 'regression') throw new InputError('classifyImages: expected a model with classes, got one of a regression; use predict.')
  checkPictures('classifyImages', processor, pictures)
  const found: Classification[] = []
  for await (const pixels of pixelRows(processor, pictures, batchSize)) {
    const { logits } = await predict(seen, { pixels }, { batchSize })
    found.push(...pixels.map((_, i) => classification(labels, [...logits.subarray(i * labels.length, (i + 1) * labels.length)], problem === 'multi_label_classification')))
  }
  return found
}
