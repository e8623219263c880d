// Pictures and their labels that do not fit, each told with its whole text.

import { afterAll, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { createImageProcessor } from '../src/base/image/processor.ts'
import { datasetOf } from '../src/data/dataset.ts'
import { lora } from '../src/lora/lora.ts'
import { evaluate } from '../src/training/measure.ts'
import { readExamples } from '../src/training/read-examples.ts'
import { Trainer } from '../src/training/trainer.ts'
import { goldenPath } from './golden.ts'

const model = await loadModel(goldenPath('vit/image_classification'), { task: 'image-classification' })
afterAll(() => { model.dispose() })

it('settings with steps that are not done say each of them', () => {
  const settings = { image_processor_type: 'ViTImageProcessor', do_pad: true, do_thumbnail: true, resample: 7, size: { max_height: 8, max_width: 8 }, image_mean: [0, 0], image_std: [0, 1], rescale_factor: 'no' }
  expect(() => createImageProcessor(settings)).toThrow(`The settings cannot be used as an image processor:
  - resample: expected an integer of at least 0 and of at most 5 (Pillow's numbers of its kernels), got 7
  - size: expected height and width, or shortest_edge with or without longest_edge, got {"max_height":8,"max_width":8}
  - rescale_factor: expected a number, got "no"
  - do_pad: expected false, got true, which is not supported
  - do_thumbnail: expected false, got true, which is not supported
  - image_std: expected a list of numbers above 0, got [0,1]
  - image_mean: expected 1 number for grey or 3 for RGB, got 2`)
})

it.each([
  [[0], 'labels: expected 2, one per row, got 1'],
  [[0, 7], 'labels that are not integers from 0 to 2: 7 in row 1'],
  [['cat', 'LABEL_1'], 'labels that the model does not have: "cat" in row 0. It has "LABEL_0", "LABEL_1", "LABEL_2"'],
  [undefined, 'expected labels, one for each row'],
  [[0.5, 1], "labels that are not integers from 0 to 2 (numbers to learn are for a model loaded with { problemType: 'regression' }): 0.5 in row 0"],
  [[[0, 1], [1, 0]], "labels that are not integers from 0 to 2 (several for a row are for a model loaded with { problemType: 'multi_label_classification' }): [0,1] in row 0, [1,0] in row 1"],
])('labels that do not fit pictures are told before a training begins: %j', (labels, problem) => {
  const adapter = attach(model, lora())
  const train = { pixels: [new Float32Array(432), new Float32Array(432)], labels } as never
  expect(() => new Trainer({ model, train, batchSize: 2, epochs: 1 })).toThrow(`Trainer: the options cannot be used:\n  - train: ${problem}`)
  detach(adapter)
})

it('labels that do not fit pictures are told where they are measured, and where they are read', async () => {
  await expect(evaluate(model, { pixels: [new Float32Array(432)], labels: [9] })).rejects.toThrow('evaluate: the rows cannot be measured:\n  - labels that are not integers from 0 to 2: 9 in row 0')
  const options = { processor: createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 12 }), image: 'image', label: 'label', labels: ['cat', 'dog'] } as const
  const image = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 }
  await expect(readExamples(datasetOf([{ image, label: 'cat' }, { image, label: 'dgo' }]), options)).rejects.toThrow(
    'readExamples: 1 of 2 rows cannot be used:\n  - label: expected one of "cat", "dog", got "dgo" (did you mean "dog"?) in row 1')
})
