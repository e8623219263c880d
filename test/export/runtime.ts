// The program at the other end: onnxruntime, as npm has it.

import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import type { Batch } from '../../src/base/batch.ts'

/** What a folder's graph gives for a batch, by name. @param pictures how many, where they are not as many as texts */
export async function runOnnx(folder: string, { ids, mask, typeIds, pixels, batch, length }: Batch, file = 'model.onnx', pictures = batch): Promise<Record<string, ort.Tensor>> {
  const session = await ort.InferenceSession.create(join(folder, 'onnx', file))
  const ofText = { input_ids: ids, attention_mask: mask ?? new Int32Array(batch * length).fill(1), token_type_ids: typeIds ?? new Int32Array(batch * length) }
  const feeds: Record<string, ort.Tensor> = Object.fromEntries(Object.entries(ofText).flatMap(([name, values]) =>
    (session.inputNames.includes(name) ? [[name, new ort.Tensor('int64', BigInt64Array.from(values ?? [], BigInt), [batch, length])]] : [])))
  const picture = session.inputMetadata.find(({ name }) => name === 'pixel_values')
  if (pixels !== undefined && picture?.isTensor === true) feeds['pixel_values'] = new ort.Tensor('float32', pixels, [pictures, ...picture.shape.slice(1) as number[]])
  const results = await session.run(feeds)
  await session.release()
  return { ...results }
}

/** The tokens that a folder's decoder writes behind a prompt, the likeliest each time, one pass for each from its keys and values. */
export async function writeOnnx(folder: string, prompt: readonly number[], count: number, file = 'model.onnx'): Promise<number[]> {
  const session = await ort.InferenceSession.create(join(folder, 'onnx', file))
  let past = emptyPast(session)
  const written: number[] = []
  let next = prompt
  while (written.length < count) {
    const total = prompt.length + written.length
    const results = await session.run({ input_ids: ints(next), attention_mask: ints(Array.from({ length: total }, () => 1)), ...past })
    next = [likeliest(results)]
    written.push(...next)
    past = presentOf(results)
  }
  await session.release()
  return written
}

/** The tokens that a folder's encoder-decoder writes to a text, as `writeOnnx`; what was read is kept from the first pass, as transformers.js does. */
export async function answerOnnx(folder: string, text: readonly number[], start: number, count: number, suffix = ''): Promise<number[]> {
  const encoder = await ort.InferenceSession.create(join(folder, 'onnx', `encoder_model${suffix}.onnx`))
  const session = await ort.InferenceSession.create(join(folder, 'onnx', `decoder_model_merged${suffix}.onnx`))
  const mask = ints(text.map(() => 1))
  const { last_hidden_state: rows } = await encoder.run({ input_ids: ints(text), attention_mask: mask })
  let past = emptyPast(session)
  const written: number[] = []
  let next = start
  while (written.length < count) {
    const results = await session.run({ input_ids: ints([next]), encoder_attention_mask: mask, encoder_hidden_states: rows as ort.Tensor, ...past })
    next = likeliest(results)
    written.push(next)
    const present = presentOf(results)
    past = written.length === 1 ? present : { ...present, ...Object.fromEntries(Object.entries(past).filter(([name]) => name.includes('.encoder.'))) }
  }
  await Promise.all([encoder.release(), session.release()])
  return written
}

type Past = Record<string, ort.Tensor>

/** Of no token, for one text. */
function emptyPast(session: ort.InferenceSession): Past {
  return Object.fromEntries(session.inputMetadata.flatMap((input) => {
    if (!input.isTensor || !input.name.startsWith('past_key_values.')) return []
    const [, heads, , size] = input.shape as readonly number[]
    return [[input.name, new ort.Tensor('float32', new Float32Array(0), [1, heads ?? 0, 0, size ?? 0])] as const]
  }))
}

function presentOf(results: ort.InferenceSession.OnnxValueMapType): Past {
  return Object.fromEntries(Object.entries(results).flatMap(([name, value]) => (name.startsWith('present.') ? [[name.replace('present', 'past_key_values'), value]] : [])))
}

function likeliest({ logits }: ort.InferenceSession.OnnxValueMapType): number {
  const { data, dims } = logits as ort.TypedTensor<'float32'>
  const last = data.slice(-(dims[2] ?? 0))
  return last.indexOf(Math.max(...last))
}

function ints(values: readonly number[]): ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
}
