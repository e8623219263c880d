import { read } from '../base/engine/read.ts'
import type { Picture } from '../base/image/picture.ts'
import type { ImageProcessor } from '../base/image/processor.ts'
import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { judgesEachPair } from '../base/tasks/image-text.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError, shown } from '../errors.ts'
import { embed } from '../training/embed.ts'
import { classification, type Classification } from './classify.ts'
import { checkPictures, pixelRows } from './picture-rows.ts'
import { ANSWER_OPTIONS, answering, rowsOf, type AnswerOptions } from './rows.ts'

/** Between what pictures are told apart. */
export interface ZeroShotOptions extends AnswerOptions {
  /** What a picture may show, in words. */
  readonly labels: readonly string[]
  /** The text of a label, which stands where {} is. @default 'This is a photo of {}.', as in transformers */
  readonly template?: string
}

const NAMES: Names<ZeroShotOptions> = { ...ANSWER_OPTIONS, labels: true, template: true }

/**
 * Which of some labels each picture shows, by a model of pictures and texts (CLIP, SigLIP) that was trained for none of them: how well a picture fits the text of
 * each. Of CLIP the labels exclude each other; of SigLIP each is judged by itself, and all of them or none may be likely.
 *
 * @throws InputError when the model is for another task, there are no labels, a picture cannot be used, or it has no adapter of the name
 * @example
 * const clip = await loadModel('pets-clip', { task: 'image-text' })
 * const [processor, words] = [await loadImageProcessor('pets-clip'), await loadTokenizer('pets-clip')]
 * const [found] = await classifyZeroShot(clip, words, processor, ['cat.jpg'], { labels: ['cat', 'dog'], template: 'a photo of a {}' })
 * console.log(found?.label, found?.probability.toFixed(2))
 */
export async function classifyZeroShot(
  model: Model, tokenizer: Tokenizer, processor: ImageProcessor, pictures: readonly Picture[], options: ZeroShotOptions,
): Promise<Classification[]> {
  checkNames('classifyZeroShot', options, NAMES)
  const { labels, template = 'This is a photo of {}.', ...rest } = options
  const seen = answering('classifyZeroShot', model, tokenizer, 'image-text', rest)
  checkPictures('classifyZeroShot', processor, pictures)
  checkLabels(labels, template)
  const { ids } = rowsOf(seen, tokenizer, labels.map((label) => template.replaceAll('{}', () => label)))
  const texts = await vectors(seen.model, { ids })
  const found: Classification[] = []
  let pairing: Pairing | undefined
  for await (const pixels of pixelRows(processor, pictures, seen.batchSize)) {
    pairing ??= await pairingOf(seen.model, ids[0] ?? new Int32Array(), pixels[0] ?? new Float32Array())
    const { factor, added } = pairing
    const several = judgesEachPair(seen.model.record.loss)
    for (const picture of await vectors(seen.model, { pixels }, seen.batchSize)) {
      found.push(classification(labels, texts.map((text) => factor * dot(picture, text) + added), several))
    }
  }
  return found
}

function checkLabels(labels: unknown, template: unknown): void {
  const problems: string[] = []
  if (!Array.isArray(labels) || labels.length === 0 || !labels.every((label) => typeof label === 'string') || new Set(labels).size < labels.length) {
    problems.push(`labels: expected what the pictures may show, texts that differ, got ${shown(labels)}`)
  }
  if (typeof template !== 'string' || !template.includes('{}')) problems.push(`template: expected a text with {} where the label stands, got ${shown(template)}`)
  if (problems.length > 0) throw new InputError('classifyZeroShot: the options cannot be used:', problems)
}

/** Of length 1, one a row. */
async function vectors(model: Model, rows: Parameters<typeof embed>[1], batchSize = 32): Promise<Float32Array[]> {
  const count = (rows.ids ?? rows.pixels ?? []).length
  const all = await embed(model, rows, { batchSize })
  return Array.from({ length: count }, (_, i) => {
    const own = all.subarray((i * all.length) / count, ((i + 1) * all.length) / count)
    const length = Math.sqrt(dot(own, own)) || 1
    return own.map((value) => value / length)
  })
}

/** What becomes of the cosine of a picture and a text. */
interface Pairing {
  readonly factor: number
  readonly added: number
}

/** As a pair shows it, of which the model gives two vectors whose product is the logit: the picture's has the factor in it, and what stands behind both is added. */
async function pairingOf(model: Model, ids: Int32Array, pixels: Float32Array): Promise<Pairing> {
  const values = await read(() => model.forward({ ids, pixels, batch: 1, length: ids.length }))
  const [picture, text] = [values.subarray(0, values.length / 2), values.subarray(values.length / 2)]
  const width = model.parts.head.width ?? picture.length
  const own = picture.subarray(0, width)
  return { factor: Math.sqrt(dot(own, own)), added: dot(picture.subarray(width), text.subarray(width)) }
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
}
