// This library's side of a case.

import * as tf from '@tensorflow/tfjs-core'
import {
  attach, createModel, detach, dora, fullFineTuning, ia3, layerNormTuning, loadAdapter, loadModel, lora, merge, prefix,
  prompt, pTuning, trainableTokens,
} from '../../../src/index.ts'
import { openSafetensors } from '../../../src/advanced.ts'
import type { Adapter, Batch, Method, Model } from '../../../src/index.ts'
import type { BatchRecipe, Recipe } from './recipe.ts'

/** Results by what gave them: the base alone, with the adapter, or merged. */
export type Results = Readonly<Record<string, Float32Array>>

/** What a folder of the peers gives here. */
export async function readPeers({ model: { task, labels, base }, batch }: Recipe, folder: string, expected: readonly string[]): Promise<Results> {
  const model = await loadModel(`${folder}/base`, { task, ...(base === 'bare' && task.endsWith('classification') ? { labels: labelsOf(labels) } : {}) })
  try {
    const results: Record<string, Float32Array> = {}
    if (expected.includes('base')) results['base'] = forward(model, batch)
    const adapter = await loadAdapter(model, `${folder}/adapter`)
    results['adapted'] = forward(model, batch)
    detach(adapter)
    return results
  } finally {
    model.dispose()
  }
}

/** Makes a case's model and adapter in a folder, for the peers to read. */
export async function makeHere(recipe: Recipe, folder: string): Promise<Results> {
  const { model: { type, task, labels, base, config }, adapter: { method, options, train }, batch } = recipe
  const bare = base === 'bare'
  const named = task.endsWith('classification') ? { labels: labelsOf(labels) } : {}
  const start = await createModel({ model_type: type, ...config }, { task: bare ? 'feature-extraction' : task, ...(bare ? {} : named), seed: recipe.number })
  const full = attach(start, fullFineTuning())
  disturb(full, 0.4)
  const disturbed = merge(start, full)
  detach(full)
  start.dispose()
  await disturbed.save(`${folder}/base`)
  disturbed.dispose()

  const model = await loadModel(`${folder}/base`, { task, ...(bare ? named : {}) })
  try {
    const results: Record<string, Float32Array> = bare ? {} : { base: forward(model, batch) }
    const adapter = attach(model, methodOf(method, options), train === undefined ? {} : { train: [...model.parts.head.modules, ...train] })
    disturb(adapter, 0.2)
    results['adapted'] = forward(model, batch)
    await adapter.save(`${folder}/adapter`)
    if (adapter.sites.every(({ kind }) => kind === 'linear' || kind === 'embedding')) {
      const merged = merge(model, adapter)
      results['merged'] = forward(merged, batch)
      await merged.save(`${folder}/merged`)
      merged.dispose()
    }
    detach(adapter)
    return results
  } finally {
    model.dispose()
  }
}

export async function readResults(folder: string): Promise<Results> {
  const file = await openSafetensors(`${folder}/peers.safetensors`)
  try {
    const results: Record<string, Float32Array> = {}
    for (const name of file.entries.keys()) results[name] = (await file.read(name)).data as Float32Array
    return results
  } finally {
    await file.close()
  }
}

const METHODS: Readonly<Record<string, (options: Readonly<Record<string, unknown>>) => Method>> = {
  lora, dora, ia3, layerNormTuning, prompt, pTuning, prefix, trainableTokens: (options) => trainableTokens(options),
}

function methodOf(name: string, options: Readonly<Record<string, unknown>>): Method {
  const make = METHODS[name]
  if (make === undefined) throw new Error(`there is no method ${name}`)
  return make(options)
}

function labelsOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `LABEL_${i}`)
}

function forward(model: Model, { rows, length, ids, mask, types, decoderIds, pictures }: BatchRecipe): Float32Array {
  const batch: Batch = {
    batch: rows, length,
    ...(ids === undefined ? {} : { ids: Int32Array.from(ids) }),
    ...(mask === undefined ? {} : { mask: Int32Array.from(mask) }),
    ...(types === undefined ? {} : { typeIds: Int32Array.from(types) }),
    ...(decoderIds === undefined ? {} : { decoderIds: Int32Array.from(decoderIds) }),
    ...(pictures === undefined ? {} : { pixels: Float32Array.from(pictures.pixels) }),
  }
  return tf.tidy(() => {
    const output = model.forward(batch)
    if (pictures === undefined || ids === undefined) return output.dataSync() as Float32Array
    const [images, texts] = tf.unstack(output, 1) as [tf.Tensor2D, tf.Tensor2D]
    return tf.matMul(images, texts, false, true).dataSync() as Float32Array
  })
}

/** Moves every trained tensor off its start, at which it may change nothing. */
function disturb(adapter: Adapter, size: number): void {
  Object.values(adapter.trainable).forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, size, 'float32', i + 1))))
  })
}
