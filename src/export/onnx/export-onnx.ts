import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { viewWith } from '../../base/adapter/attached.ts'
import { adaptersNamed, type AdapterNames } from '../../base/adapter/named.ts'
import { CheckpointError, InputError, shown } from '../../errors.ts'
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
import { adapterBytes } from './export-onnx-adapter.ts'
import type { Graph } from './graph.ts'
import { writeModel } from './model-file.ts'
import { graphsOf } from './graphs.ts'
import type { Interface } from './interface.ts'
import { SUFFIXES, type OnnxDtype, type Weight } from './narrow.ts'
import { record, type Recording, type Source } from './recorder.ts'
import { setDefaults, slotsFor, withSlots, type Slots } from './slots.ts'
import { unify } from './unify.ts'
import { writeGraph } from './write-graph.ts'

/** How a model is written as ONNX. */
export interface ExportOnnxOptions {
  /**
   * How the weights are held: in float32, in float16 (half the size), in 8 bits (a quarter; x too becomes whole numbers in each product) or in 4
   * (an eighth, tables of words in 8). Each has a file of its own in the folder, as transformers.js looks for them. @default 'fp32'
   */
  readonly dtype?: OnnxDtype
  /**
   * LoRAs of the model that are no part of the graph but files beside it, onnx/NAME.onnx_adapter, of which onnxruntime puts one into a run; the
   * graph by itself is the model without them. Others may follow by `exportOnnxAdapter`, at places that one of these has. @default none
   */
  readonly adapters?: AdapterNames
}

const OPTIONS: Names<ExportOnnxOptions> = { dtype: true, adapters: true }

/**
 * Writes a model as ONNX, with what is attached to it and enabled: a folder that transformers.js and onnxruntime run. In it are
 * onnx/model.onnx, config.json and the tokenizer's files, as in the Hub's repositories for transformers.js. A causal LM goes on from earlier
 * keys and values, which are inputs and outputs of the graph. An encoder-decoder is onnx/encoder_model.onnx and onnx/decoder_model_merged.onnx;
 * a model of pictures and texts has onnx/text_model.onnx and onnx/vision_model.onnx beside the whole.
 *
 * @throws InputError for a model that has no form in ONNX here, naming each operation, and for quantised weights; CheckpointError when the files
 *   cannot be written. What the folder held before is there then
 * @example await exportOnnx(model, 'spam-onnx')
 */
export async function exportOnnx(given: Model, folder: string, options: ExportOnnxOptions = {}): Promise<void> {
  checkNames('exportOnnx', options, OPTIONS)
  const { dtype = 'fp32', adapters = [] } = options
  if (!Object.hasOwn(SUFFIXES, dtype)) throw new InputError(`dtype: expected ${Object.keys(SUFFIXES).map((name) => `'${name}'`).join(', ')}; got ${shown(dtype)}.`)
  checkAlive(given, 'exportOnnx')
  checkWeights(given)
  await checkCompanions(given, folder)
  const beside = checkFiles(adaptersNamed(given, adapters))
  const model = beside.length === 0 ? given : viewWith(given.viewOf ?? given, given.attached.enabled.filter((adapter) => !beside.includes(adapter)))
  const slots = slotsFor(beside)
  const { architecture, companions, folder: origin, grown, head } = model.parts
  const recorded = graphsOf(model).map((each) => withSlots(each, slots)).map((own) => ({ own, recordings: own.sizes.map((sizes) => record(own.known(sizes), (source) => own.run(onRecorder(model, source), sizes, source))) }))
  if (beside.length > 0 && recorded.length > 1) throw new InputError(`adapters: expected none for a model of several graphs (${recorded.map(({ own }) => own.name).join(', ')}); export it with what is enabled: exportOnnx(withAdapters(model, names), folder).`)
  const held = recorded.map(({ recordings: [first] }) => keptOf(first as Recording))
  const params = new Map([...model.parts.params].map(([name, weight]) => [name, weight.clone()]))
  try {
    const graphs = recorded.map((graph, i) => ({ file: `${graph.own.name}${SUFFIXES[dtype]}.onnx`, graph: graphFrom(graph, weightsOf(params, held[i] as Kept, slots), dtype) }))
    for (const { graph } of graphs) setDefaults(graph, slots)
    const fillings = await Promise.all(beside.map(async (adapter) => ({ file: `${adapter.name}.onnx_adapter`, bytes: await adapterBytes(adapter) })))
    await replaceFiles(folder, async (into) => {
      await mkdir(join(into, 'onnx'))
      const external = await besidesOthers(folder, graphs.map(({ file }) => file))
      for (const { file, graph } of graphs) {
        const besides = await writeModel(graph, join(into, 'onnx', file), file)
        if (besides > 0) external[file] = besides
      }
      for (const { file, bytes } of fillings) await writeAtomic(join(into, 'onnx', file), bytes)
      await copyCompanions(origin, companions, into)
      await grown?.saveTokenizer?.(into)
      if (head.embedding !== undefined) await writeSentenceModules(into, head.embedding, architecture.hiddenSize)
      const forJs = Object.keys(external).length === 0 ? {} : { 'transformers.js_config': { use_external_data_format: external } }
      const kind = architecture.decoderStart === undefined ? {} : { is_encoder_decoder: true } // a file may leave it away, and transformers.js asks for it
      await writeAtomic(join(into, 'config.json'), configText({ ...savedConfig(model, ['F32']), ...kind, ...forJs }))
      return companions.length > 0 ? await companionsOf(folder) : []
    })
  } finally {
    for (const kept of held) tf.dispose([...kept.values()])
    for (const weight of params.values()) weight.dispose()
  }
}

/** Tensors that a graph has, by their names in it. */
type Kept = ReadonlyMap<string, Tensor>

/** They may be trained or disposed meanwhile. */
function keptOf({ tensors }: Recording): Kept {
  return new Map([...tensors].map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]))
}

function graphFrom({ own, recordings }: { readonly own: Interface; readonly recordings: readonly Recording[] }, weightOf: (name: string) => Weight, dtype: OnnxDtype): Graph {
  const { outputs } = recordings[0] as Recording
  return writeGraph({ steps: unify(recordings, own.sizes), inputs: own.inputs(), outputs, axes: own.axes, weightOf, dtype })
}

/** @throws InputError where weights are quantised: their codes have no form in ONNX, and widened they would be others than those trained with */
function checkWeights({ parts: { params, source } }: Model): void {
  const kinds = new Set([...params.values()].flatMap((weight) => (weight.packed === undefined ? [] : [weight.kind.name])))
  if (kinds.size === 0) return
  throw new InputError(`exportOnnx: the weights of the model (${source}) are held as ${[...kinds].join(' and ')}, which has no form in ONNX here. ` +
    "Load the model with its weights in float32, load the adapter onto it, and export that: loadModel(source, { dtype: 'float32' }).")
}

/** @throws InputError for names that are none of files */
function checkFiles(adapters: readonly Adapter[]): readonly Adapter[] {
  const wrong = adapters.filter(({ name }) => /[/\\\0]/.test(name))
  if (wrong.length === 0) return adapters
  throw new InputError(`adapters: expected names that files can have, got ${wrong.map(({ name }) => `'${name}'`).join(', ')}; rename(adapter, name) gives another.`)
}

/** @throws CheckpointError when files that go along are not there any more */
async function checkCompanions({ parts: { folder: origin, companions, source } }: Model, folder: string): Promise<void> {
  const missing = await missingCompanions(origin, companions)
  if (missing.length === 0) return
  throw new CheckpointError(`The model cannot be exported to ${folder}: what goes along with it is not any more in ${origin}, where it was loaded from (${source}). ` +
    'Put these back and export again:', missing.map((file) => `${file}: is not there`))
}

/** The other graphs of a folder that have a file of weights beside them. */
async function besidesOthers(folder: string, files: readonly string[]): Promise<Record<string, number>> {
  const there: readonly string[] = await readdir(join(folder, 'onnx')).catch(() => [])
  const graphs = there.flatMap((file) => (file.endsWith('.onnx_data') ? [file.slice(0, -'_data'.length)] : []))
  return Object.fromEntries(graphs.filter((file) => !files.includes(file)).map((file) => [file, 1]))
}

/** The model on weights without numbers. */
function onRecorder({ parts, attached }: Model, source: Source): Model {
  const params = new Map([...parts.params].map(([name, { shape }]): [string, FrozenWeight] => [name, float32Weight(source.weight(name, shape))]))
  return new Model({ ...parts, params }, { attached })
}

function weightsOf(params: ReadonlyMap<string, FrozenWeight>, tensors: Kept, { copies }: Slots): (name: string) => Weight {
  return (name) => {
    const [param, tensor] = [params.get(name), tensors.get(name)]
    return { name, isSlot: copies.includes(name), shape: (param ?? tensor)?.shape ?? [], numbers: async () => await read(() => (param === undefined ? (tensor as Tensor) : param.float32())) }
  }
}
