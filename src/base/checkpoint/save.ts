import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { writeAtomic } from '../files/atomic.ts'
import { CheckpointError } from '../../errors.ts'
import { openCheckpoint, type Checkpoint } from './checkpoint.ts'
import { noteSaved } from './base-name.ts'
import { companionsOf, copyCompanions, missingCompanions } from './companions.ts'
import { packedToWrite } from './bitsandbytes.ts'
import { fromFloat32 } from './dtype.ts'
import { together } from './joined.ts'
import { mlxToWrite } from './mlx.ts'
import { replaceFiles } from '../files/folder-save.ts'
import { writeSafetensors, type TensorArray, type TensorToWrite } from './safetensors.ts'
import { sentenceFiles, writeSentenceModules } from './sentence-transformers.ts'
import { checkAlive, type Model } from '../model.ts'
import { partsOf, piecesOf } from './stacks.ts'
import { mergedField } from './own-metadata.ts'
import { fileShape, turnedAxes } from './turned.ts'
import type { ParameterSpec } from '../sites.ts'
import { configText, isPackedInFile, otherNames, savedConfig, writtenAs } from './saved-config.ts'

const WEIGHTS = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/** See `Model.save`. */
export async function saveModel(model: Model, folder: string): Promise<void> {
  const { architecture, head, params, specs, unused, folder: origin, companions, grown } = model.parts
  checkAlive(model, 'save')
  const kept = [...params].map(([name, weight]) => [name, weight.clone()] as const) // the model may be disposed meanwhile
  const checkpoint = await openOrigin(model, folder).catch((error: unknown) => {
    for (const [, weight] of kept) weight.dispose()
    throw error
  })
  try {
    await replaceFiles(folder, async (into) => {
      const own = kept.flatMap(([name, weight]) => keysOf(model, name).flatMap((key) => toWrite(key, weight, specs.get(name) as ParameterSpec, isPackedInFile(architecture, name, specs.get(name)))))
      const tensors = together(own, architecture.keys.joined).map((tensor) => ({ ...tensor, name: writtenAs(architecture, tensor.name) }))
      for (const [name, key] of unused) if (checkpoint !== undefined) tensors.push({ name, ...(await readSpare(checkpoint, name, key)) })
      await writeSafetensors(join(into, WEIGHTS), tensors, { format: 'pt', ...await ownMetadata(model) })
      await copyCompanions(origin, companions, into)
      await grown?.saveTokenizer?.(into)
      if (head.embedding !== undefined) await writeSentenceModules(into, head.embedding, architecture.hiddenSize)
      const saved = savedConfig(model, tensors.map(({ dtype }) => dtype))
      await writeAtomic(join(into, 'config.json'), configText(saved))
      return await filesOfAnother(folder, companions)
    })
    noteSaved(model, folder)
  } finally {
    for (const [, weight] of kept) weight.dispose()
    await checkpoint?.close()
  }
}

/** How a classifier pools has no field in config.json; sentence encoders have files for it. */
async function ownMetadata({ parts: { pooling, head, merged = [] } }: Model): Promise<Readonly<Record<string, string>>> {
  return { ...(pooling === undefined || head.embedding !== undefined ? {} : { pooling }), ...await mergedField(merged) }
}

/**
 * The checkpoint that the model came from, open where tensors of it go along.
 *
 * @throws CheckpointError when what goes along is not there any more: a model saved without its tokenizer is another model
 */
async function openOrigin({ parts: { folder: origin, companions, unused, source } }: Model, folder: string): Promise<Checkpoint | undefined> {
  const problems = (await missingCompanions(origin, companions)).map((file) => `${file}: is not there`)
  let checkpoint: Checkpoint | undefined
  try {
    if (unused.size > 0) checkpoint = await openCheckpoint(origin)
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error
    problems.push(`the weights of other tasks: ${error.message}`)
  }
  if (problems.length === 0) return checkpoint
  await checkpoint?.close()
  throw new CheckpointError(
    `The model cannot be saved to ${folder}: what goes along with it is not any more in ${origin}, where it was loaded from (${source}). ` +
      'Put these back and save again; adapters can be saved without:', problems)
}

/** Files of the model that the folder held before, which would mislead a reader of this one. */
async function filesOfAnother(folder: string, companions: readonly string[]): Promise<string[]> {
  const ofTokenizer = companions.length > 0 ? await companionsOf(folder) : [] // a model without any leaves those that someone put there
  return [INDEX, ...(await shardsOf(join(folder, INDEX))), ...sentenceFiles, ...ofTokenizer]
}

async function shardsOf(path: string): Promise<string[]> {
  try {
    const { weight_map: map } = JSON.parse(await readFile(path, 'utf8')) as { weight_map: Record<string, unknown> }
    return [...new Set(Object.values(map))].filter((file): file is string => typeof file === 'string' && /^[\w.-]+\.safetensors$/.test(file))
  } catch {
    return [] // there is none, or it is of no use to anybody
  }
}

/** transformers keeps a tied head's bias under its other name, an untied one's under both. */
function keysOf({ parts: { architecture, ties } }: Model, name: string): string[] {
  const others = otherNames(architecture).flatMap(([other, own]) => (own === name ? [other] : []))
  return others.length > 0 && ties.size > 0 ? others : [name, ...others]
}

function toWrite(name: string, weight: FrozenWeight, spec: ParameterSpec, asPacked: boolean): TensorToWrite[] {
  const dtype = weight.kind.fileDtype
  const data = async (): Promise<TensorArray> => {
    const values = tf.tidy(() => (spec.transposed === true ? turnedAxes(weight.float32()) : weight.float32().clone()))
    const read = await values.data<'float32'>()
    values.dispose()
    return fromFloat32(read, dtype)
  }
  const pieces = piecesOf(name, spec)
  if (weight.packed !== undefined && asPacked) return weight.packed.format === 'affine' ? mlxToWrite(name, weight.packed) : packedToWrite(name, weight.packed)
  if (pieces.length === 0) return [{ name, dtype, shape: fileShape({ ...spec, shape: weight.shape }), data }]
  const parts = partsOf(pieces.length, data)
  return pieces.map(([piece, { shape }], i) => ({ name: piece, dtype, shape, data: parts[i] as () => Promise<TensorArray> })) // one for each
}

/** What the task left in the model's own files goes along, so that other tasks can start from the copy. */
async function readSpare(checkpoint: Checkpoint, name: string, key: string): Promise<Omit<TensorToWrite, 'name'>> {
  return await checkpoint.read(checkpoint.entries.has(key) ? key : name) // the model may have been saved over its own files meanwhile
}
