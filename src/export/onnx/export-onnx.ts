import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { CheckpointError, InputError } from '../../errors.ts'
import type { Batch } from '../../base/batch.ts'
import { companionsOf, copyCompanions, missingCompanions } from '../../base/checkpoint/companions.ts'
import { configText, savedConfig } from '../../base/checkpoint/saved-config.ts'
import { writeSentenceModules } from '../../base/checkpoint/sentence-transformers.ts'
import { float32Weight } from '../../base/engine/float32.ts'
import type { FrozenWeight } from '../../base/engine/frozen-weight.ts'
import { read } from '../../base/engine/read.ts'
import { writeAtomic } from '../../base/files/atomic.ts'
import { replaceFiles } from '../../base/files/folder-save.ts'
import { checkAlive, Model } from '../../base/model.ts'
import { checkNames, type Names } from '../../base/options.ts'
import { writeModel } from './model-file.ts'
import { interfaceOf, type Interface } from './interface.ts'
import { record, type Recording, type Source } from './recorder.ts'
import { unify } from './unify.ts'
import { writeGraph, type WeightOf } from './write-graph.ts'

/** How a model is written as ONNX. */
export interface ExportOnnxOptions {
  /** @default 'fp32' */
  readonly dtype?: OnnxDtype
}

/** How the numbers of an ONNX file are held. */
export type OnnxDtype = 'fp32'

const OPTIONS: Names<ExportOnnxOptions> = { dtype: true }

/**
 * Writes a model as ONNX, with what is attached to it and enabled: a folder that transformers.js and onnxruntime run. In it are
 * onnx/model.onnx, config.json and the tokenizer's files, as in the Hub's repositories for transformers.js.
 *
 * @throws InputError for a model that has no form in ONNX here, naming each operation, and for quantised weights; CheckpointError when the files
 *   cannot be written. What the folder held before is there then
 * @example await exportOnnx(model, 'spam-onnx')
 */
export async function exportOnnx(model: Model, folder: string, options: ExportOnnxOptions = {}): Promise<void> {
  checkNames('exportOnnx', options, OPTIONS)
  checkAlive(model, 'exportOnnx')
  checkWeights(model)
  await checkCompanions(model, folder)
  const { architecture, companions, folder: origin, grown, head } = model.parts
  const own = interfaceOf(model)
  const recordings = own.sizes.map((_, i) => recordAt(model, own, i))
  const { outputs, tensors } = recordings[0] as Recording
  const held = new Map([...tensors].map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))])) // they may be trained or disposed meanwhile
  const params = new Map([...model.parts.params].map(([name, weight]) => [name, weight.clone()]))
  try {
    const graph = writeGraph({ steps: unify(recordings, own.sizes), inputs: own.inputs, outputs, axes: own.axes, weightOf: weightsOf(params, held) })
    await replaceFiles(folder, async (into) => {
      await mkdir(join(into, 'onnx'))
      const besides = await writeModel(graph, join(into, 'onnx', 'model.onnx'), 'model.onnx')
      await copyCompanions(origin, companions, into)
      await grown?.saveTokenizer?.(into)
      if (head.embedding !== undefined) await writeSentenceModules(into, head.embedding, architecture.hiddenSize)
      const forJs = besides === 0 ? {} : { 'transformers.js_config': { use_external_data_format: { 'model.onnx': besides } } }
      await writeAtomic(join(into, 'config.json'), configText({ ...savedConfig(model, ['F32']), ...forJs }))
      return companions.length > 0 ? await companionsOf(folder) : []
    })
  } finally {
    tf.dispose([...held.values()])
    for (const weight of params.values()) weight.dispose()
  }
}

/** @throws InputError where weights are quantised: their codes have no form in ONNX, and widened they would be others than those trained with */
function checkWeights({ parts: { params, source } }: Model): void {
  const kinds = new Set([...params.values()].flatMap((weight) => (weight.packed === undefined ? [] : [weight.kind.name])))
  if (kinds.size === 0) return
  throw new InputError(`exportOnnx: the weights of the model (${source}) are held as ${[...kinds].join(' and ')}, which has no form in ONNX here. ` +
    "Load the model with its weights in float32, load the adapter onto it, and export that: loadModel(source, { dtype: 'float32' }).")
}

/** @throws CheckpointError when files that go along are not there any more */
async function checkCompanions({ parts: { folder: origin, companions, source } }: Model, folder: string): Promise<void> {
  const missing = await missingCompanions(origin, companions)
  if (missing.length === 0) return
  throw new CheckpointError(`The model cannot be exported to ${folder}: what goes along with it is not any more in ${origin}, where it was loaded from (${source}). ` +
    'Put these back and export again:', missing.map((file) => `${file}: is not there`))
}

/** The model's own pass on weights without numbers. */
function recordAt(model: Model, own: Interface, i: number): Recording {
  const batch = own.batches[i] as Batch
  return record(own.known(batch), (source) => own.run(onRecorder(model, source), batch, source))
}

function onRecorder({ parts, attached }: Model, source: Source): Model {
  const params = new Map([...parts.params].map(([name, { shape }]): [string, FrozenWeight] => [name, float32Weight(source.weight(name, shape))]))
  return new Model({ ...parts, params }, { attached })
}

function weightsOf(params: ReadonlyMap<string, FrozenWeight>, tensors: ReadonlyMap<string, Tensor>): WeightOf {
  return (name) => {
    const [param, tensor] = [params.get(name), tensors.get(name)]
    const shape = (param ?? tensor)?.shape ?? []
    return { name, shape, data: async () => bytesOf(await read(() => (param === undefined ? (tensor as Tensor) : param.float32()))) }
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
