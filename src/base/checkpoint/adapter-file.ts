// Adapters as HF PEFT keeps them: adapter_config.json and adapter_model.safetensors in one folder.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { Adapter } from '../adapter/adapter.ts'
import { fileShape } from './turned.ts'
import { sharedModules } from '../adapter/token-rows-file.ts'
import { turned, type NamedTensor, type NamedTensors, type FormatContext } from '../adapter/file-format.ts'
import { InputError } from '../../errors.ts'
import { replacementsOf } from '../adapter/wiring.ts'
import { adapterHubFiles, HUB_WEIGHTS, isAdapterHub, readAdapterHub, writeAdapterHub } from './adapter-hub-file.ts'
import { read } from '../engine/read.ts'
import type { ParameterSpec } from '../sites.ts'
import { vocabularyParams } from '../adapter/vocabulary.ts'
import type { Model } from '../model.ts'
import { paramOf, storedOf } from '../parameters.ts'
import { writeAtomic } from '../files/atomic.ts'
import { namesIn, replaceFiles } from '../files/folder-save.ts'
import { readAdapterConfig } from './foreign-folder.ts'
import { isMlxAdapter, MLX_WEIGHTS, readMlxAdapter } from './mlx-adapter.ts'
import { writeModelCard } from './model-card.ts'
import { savedInFull } from '../adapter/modules-to-save.ts'
import { baseNameOf } from './base-name.ts'
import { unusedBiases } from './unused.ts'
import { openSafetensors } from './safetensors.ts'
import { readTrainedFor, trainedForOf, type TrainedFor } from './trained-for.ts'
import { readTensors, sortKeys, writeTensors, type AdapterFile } from './named-tensors.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/**
 * See `Adapter.save`.
 *
 * @param beside writes more files that belong to the adapter into the folder it is given; they come with the adapter's or not at all
 */
export async function saveAdapter(adapter: Adapter, folder: string, beside?: (into: string) => Promise<void>): Promise<void> {
  const { model, model: { parts: { grown } } } = adapter
  const tensors = Object.entries({ ...adapter.frozen, ...adapter.trainable, ...Object.fromEntries(replacementsOf(adapter)) })
  if (tensors.some(([, { isDisposed }]) => isDisposed)) throw new InputError(`save: adapter '${adapter.name}' was detached, and its tensors are gone. Save it before.`)
  // All at once: training may go on, or the adapter be detached, while the files are written.
  const named = new Map([
    ...(grown === undefined ? [] : await valuesOf(model, [...vocabularyParams(model.parts)])), // other tables than in the files of the base
    ...await Promise.all(tensors.map(async ([name, tensor]) => [name, { shape: tensor.shape, values: await read(() => tensor) }] as const)),
  ])
  if (baseNameOf(model).isNowhere) {
    console.warn(`save of '${adapter.name}': its base, ${model.parts.source} with what was merged into it, is in memory alone. Save that before, await model.save(folder): then the adapter names the folder, and loadAdapted finds it.`)
  }
  const isHub = adapter.method.format.kind === 'adapter-hub'
  await replaceFiles(folder, async (into) => {
    if (isHub) await writeAdapterHub(adapter, into, named)
    else await writePeft(adapter, into, named)
    await writeModelCard(folder, into, adapter)
    await grown?.saveTokenizer?.(into)
    await beside?.(into)
    return [WEIGHTS, ...adapterHubFiles] // of an earlier save
  })
}

async function writePeft(adapter: Adapter, folder: string, named: NamedTensors): Promise<void> {
  const { method: { format }, model, context, copies, origin } = adapter
  const tied = [...adapter.ties].filter(([, kept]) => copies.includes(kept))
  const { names, modules, besides } = savedInFull(adapter, [...copies, ...tied.map(([name]) => name)], model.record.peftType)
  const config = {
    peft_type: format.type,
    task_type: model.record.peftType,
    base_model_name_or_path: baseNameOf(model).name,
    inference_mode: true,
    ...(names === null && format.withoutCopies === true ? {} : { modules_to_save: names }),
    revision: null,
    ...format.config(context, named),
    ...(tied.length > 0 && sharedModules(context.alsoCalled).length === 0 ? { ensure_weight_tying: true } : {}), // PEFT's model does not run where tables share a module
    ...origin.unknown,
  }
  const unused = format.everyBias === true ? await unusedBiases(model) : []
  const tensors = otherLayout(new Map([...named, ...await valuesOf(model, besides), ...unused]), context)
  await writeTensors(join(folder, WEIGHTS), await format.toFile(tensors, context, modules), await trainedForOf(adapter))
  await writeAtomic(join(folder, CONFIG), `${JSON.stringify(sortKeys(config), null, 2)}\n`)
}

/** Parameters of a model. */
async function valuesOf(model: Model, names: readonly string[]): Promise<(readonly [string, NamedTensor])[]> {
  return Promise.all(names.map(async (name) => [name, { shape: storedOf(model, name).shape, values: await read(() => paramOf(model, name)) }] as const))
}

/** SHA-256 of the weights of the adapter in a folder; undefined where it has none. */
export async function hashOfAdapter(folder: string): Promise<string | undefined> {
  const names = await namesIn(folder)
  const weights = [WEIGHTS, ...adapterHubFiles].filter((file) => names.includes(file))
  if (weights.length === 0) return undefined
  const hash = createHash('sha256')
  for (const file of weights) for await (const bytes of createReadStream(join(folder, file))) hash.update(bytes as Buffer)
  return hash.digest('hex')
}

/** Parameters that checkpoints hold in another layout: so do adapters that train them in full. From either of the two to the other. */
export function otherLayout(tensors: NamedTensors, { params }: FormatContext): NamedTensors {
  const other = (tensor: NamedTensor, spec: ParameterSpec | undefined): NamedTensor => {
    if (spec?.kernel === undefined) return spec?.transposed === true ? turned(tensor) : tensor
    return { ...tensor, shape: tensor.shape.length === spec.shape.length ? fileShape(spec) : spec.shape }
  }
  return new Map([...tensors].map(([name, tensor]) => [name, other(tensor, params.get(name))]))
}

/**
 * What an adapter's files say beside its tensors.
 *
 * @throws CheckpointError as `readAdapterFile`
 */
export async function readAdapterSettings(folder: string): Promise<Pick<AdapterFile, 'config'> & { readonly trained: TrainedFor | undefined }> {
  const config = await readAdapterConfig(folder)
  const path = join(folder, isAdapterHub(config) ? HUB_WEIGHTS : isMlxAdapter(config) ? MLX_WEIGHTS : WEIGHTS)
  const file = await openSafetensors(path)
  await file.close()
  return { config, trained: readTrainedFor(file.metadata, path) }
}

/** @throws CheckpointError when a file is missing or damaged */
export async function readAdapterFile(folder: string): Promise<AdapterFile> {
  const config = await readAdapterConfig(folder)
  if (isAdapterHub(config)) return readAdapterHub(folder, config)
  if (isMlxAdapter(config)) return readMlxAdapter(folder, config)
  const weights = join(folder, WEIGHTS)
  return { config, weights, ...await readTensors(weights) }
}
