import type { Model } from '../base/model.ts'
import { rowCount, type Examples } from './examples.ts'
import { forEachBatch } from './predict.ts'

/**
 * Embeddings of many rows, rows of like length together.
 *
 * @param batchSize rows at a time
 * @returns row after row: rows × width
 * @throws InputError when the model is for another task, or the rows do not fit it
 * @example
 * const encoder = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sentence-embedding' })
 * const vectors = await embed(encoder, { ids: tokenizer.encode(texts).ids })
 */
export async function embed(model: Model, examples: Examples, batchSize = 32): Promise<Float32Array> {
  const D = model.parts.architecture.hiddenSize
  const vectors = new Float32Array(rowCount(examples) * D)
  await forEachBatch('embed', model, ['sentence-embedding'], examples, batchSize, (output, { rows }) => {
    const values = output.dataSync<'float32'>()
    rows.forEach((row, i) => { vectors.set(values.subarray(i * D, (i + 1) * D), row * D) })
  })
  return vectors
}
