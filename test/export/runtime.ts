// The program at the other end: onnxruntime, as npm has it.

import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import type { Batch } from '../../src/base/batch.ts'

/** What a folder's graph gives for a batch, by name. */
export async function runOnnx(folder: string, { ids, mask, typeIds, batch, length }: Batch, file = 'model.onnx'): Promise<Record<string, ort.Tensor>> {
  const session = await ort.InferenceSession.create(join(folder, 'onnx', file))
  const ofText = { input_ids: ids, attention_mask: mask ?? new Int32Array(batch * length).fill(1), token_type_ids: typeIds ?? new Int32Array(batch * length) }
  const feeds = Object.fromEntries(Object.entries(ofText).flatMap(([name, values]) =>
    (session.inputNames.includes(name) ? [[name, new ort.Tensor('int64', BigInt64Array.from(values ?? [], BigInt), [batch, length])]] : [])))
  const results = await session.run(feeds)
  await session.release()
  return { ...results }
}
