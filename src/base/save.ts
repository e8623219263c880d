import { copyFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { inFloat32, isBfloat16 } from './bfloat16.ts'
import { writeAtomic } from './io/atomic.ts'
import { openCheckpoint } from './io/checkpoint.ts'
import { fromFloat32 } from './io/dtype.ts'
import { allTokenizerFiles } from './io/hub.ts'
import { writeSafetensors, type TensorArray, type TensorToWrite } from './io/safetensors.ts'
import { writeSentenceModules } from './io/sentence-transformers.ts'
import type { Model } from './model.ts'

/** See `Model.save`. */
export async function saveModel(model: Model, folder: string): Promise<void> {
  const { config, labels, architecture, head, task, params, needs, spare, folder: origin } = model.parts
  await mkdir(folder, { recursive: true })
  const tensors = [...params].flatMap(([name, tensor]) =>
    keysOf(model, name).map((key) => toWrite(key, tensor, needs.get(name)?.transposed === true)))
  tensors.push(...(await readSpare(origin, spare)))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  const present = new Set(await readdir(origin).catch(() => []))
  for (const file of [...allTokenizerFiles, 'generation_config.json']) if (present.has(file)) await copyFile(join(origin, file), join(folder, file))
  if (head.embedding !== undefined) await writeSentenceModules(folder, head.embedding, architecture.hiddenSize)
  const className = architecture.classNames[task]
  const saved = {
    ...config,
    ...(className === undefined ? {} : { architectures: [className] }),
    ...(labels.length === 0 ? {} : labelFields(labels)),
    ...(Object.keys(architecture.ties).some((name) => params.has(name)) ? { tie_word_embeddings: false } : {}),
  }
  await writeAtomic(join(folder, 'config.json'), `${JSON.stringify(saved, null, 2)}\n`)
}

/** transformers keeps a tied head's bias under its other name, an untied one's under both. */
function keysOf({ parts: { architecture, ties } }: Model, name: string): string[] {
  const others = Object.entries(architecture.keys.alsoCalled ?? {}).flatMap(([other, own]) => (own === name ? [other] : []))
  return others.length > 0 && ties.size > 0 ? others : [name, ...others]
}

function toWrite(name: string, tensor: Tensor, transposed: boolean): TensorToWrite {
  const dtype = isBfloat16(tensor) ? 'BF16' : 'F32'
  const shape = transposed ? [...tensor.shape].reverse() : tensor.shape
  const data = async (): Promise<TensorArray> => {
    const values = tf.tidy(() => (transposed ? tf.transpose(inFloat32(tensor)) : inFloat32(tensor).clone()))
    const read = await values.data<'float32'>()
    values.dispose()
    return fromFloat32(read, dtype)
  }
  return { name, dtype, shape, data }
}

/** What the task left in the model's own files goes along, so that other tasks can start from the copy. */
async function readSpare(origin: string, spare: ReadonlyMap<string, string>): Promise<TensorToWrite[]> {
  if (spare.size === 0) return []
  const checkpoint = await openCheckpoint(origin)
  try {
    const tensors: TensorToWrite[] = []
    for (const [name, key] of spare) tensors.push({ name, ...(await checkpoint.read(key)) })
    return tensors
  } finally {
    await checkpoint.close()
  }
}

function labelFields(labels: readonly string[]): Record<string, unknown> {
  return {
    id2label: Object.fromEntries(labels.map((label, id) => [id, label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  }
}
