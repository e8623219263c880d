// The program at the other end: onnxruntime, as npm has it.

import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import type { Batch } from '../../src/base/batch.ts'

/** What a folder's graph gives for a batch, by name. */
export async function runOnnx(folder: string, { ids, mask, typeIds, pixels, batch, length }: Batch, file = 'model.onnx'): Promise<Record<string, ort.Tensor>> {
  const session = await ort.InferenceSession.create(join(folder, 'onnx', file))
  const ofText = { input_ids: ids, attention_mask: mask ?? new Int32Array(batch * length).fill(1), token_type_ids: typeIds ?? new Int32Array(batch * length) }
  const feeds: Record<string, ort.Tensor> = Object.fromEntries(Object.entries(ofText).flatMap(([name, values]) =>
    (session.inputNames.includes(name) ? [[name, new ort.Tensor('int64', BigInt64Array.from(values ?? [], BigInt), [batch, length])]] : [])))
  const [picture] = session.inputMetadata
  if (pixels !== undefined && picture?.isTensor === true) feeds['pixel_values'] = new ort.Tensor('float32', pixels, [batch, ...picture.shape.slice(1) as number[]])
  const results = await session.run(feeds)
  await session.release()
  return { ...results }
}

/** The tokens that a folder's decoder writes behind a prompt, the likeliest each time, one pass for each from its keys and values. */
export async function writeOnnx(folder: string, prompt: readonly number[], count: number, file = 'model.onnx'): Promise<number[]> {
  const session = await ort.InferenceSession.create(join(folder, 'onnx', file))
  const names = session.inputNames.filter((name) => name.startsWith('past_key_values.'))
  const shapes = new Map(session.inputMetadata.flatMap((input) => (input.isTensor ? [[input.name, input.shape] as const] : [])))
  let past = Object.fromEntries(names.map((name) => {
    const [, heads, , size] = (shapes.get(name) ?? []) as number[]
    return [name, new ort.Tensor('float32', new Float32Array(0), [1, heads ?? 0, 0, size ?? 0])]
  }))
  const ints = (values: readonly number[]): ort.Tensor => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
  const written: number[] = []
  let next = prompt
  while (written.length < count) {
    const total = prompt.length + written.length
    const results = await session.run({ input_ids: ints(next), attention_mask: ints(Array.from({ length: total }, () => 1)), ...past })
    const logits = results['logits'] as ort.Tensor
    const last = (logits.data as Float32Array).slice(-(logits.dims[2] ?? 0))
    const best = last.indexOf(Math.max(...last))
    written.push(best)
    next = [best]
    past = Object.fromEntries(names.map((name) => [name, results[name.replace('past_key_values', 'present')] as ort.TypedTensor<'float32'>]))
  }
  await session.release()
  return written
}
