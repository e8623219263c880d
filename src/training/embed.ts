import { modelWith } from '../base/adapter/named.ts'
import type { Model } from '../base/model.ts'
import { InputError } from '../errors.ts'
import { checkNames } from '../base/options.ts'
import { rowCount, type Examples } from './examples.ts'
import { forEachBatch, SHARED_OPTIONS, type SharedPredictOptions } from './predict.ts'

/**
 * Embeddings of many rows, texts or pictures, rows of like length together.
 *
 * @returns row after row: rows × width
 * @throws InputError when the model is for another task, or the rows do not fit it, or it has no adapter of the name
 * @example
 * const encoder = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sentence-embedding' })
 * const vectors = await embed(encoder, { ids: tokenizer.encode(texts).ids })
 */
export async function embed(model: Model, examples: Examples, options: SharedPredictOptions = {}): Promise<Float32Array> {
  checkNames('embed', options, SHARED_OPTIONS)
  const { batchSize = 32, adapter, distributed } = options
  const { head, architecture } = model.parts
  const D = head.width ?? architecture.hiddenSize
  const vectors = new Float32Array(rowCount(examples) * D)
  await forEachBatch('embed', modelWith(model, adapter), ['sentence-embedding', 'image-embedding', 'image-text'], examples, batchSize, async (output, { rows }) => {
    if (output.rank !== 2) throw new InputError('embed: expected rows of ids or of pixels, got both; the two have an embedding each.')
    const values = await output.data<'float32'>()
    rows.forEach((row, i) => { vectors.set(values.subarray(i * D, (i + 1) * D), row * D) })
  }, distributed)
  await distributed?.sum(vectors) // of a row that another has seen there are zeros
  return vectors
}
