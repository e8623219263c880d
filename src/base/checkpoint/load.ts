import { join } from 'node:path'
import { MODEL_FILES } from './model-files.ts'
import * as tf from '@tensorflow/tfjs-core'
import { CheckpointError, InputError } from '../../errors.ts'
import type { Architecture, Bounds, Head, HeadOptions, Pooling } from '../architecture.ts'
import { headModules } from '../adapter/classes.ts'
import { affineWeight } from '../engine/affine.ts'
import { loadEngine } from '../engine/engine.ts'
import { BFLOAT16 } from '../engine/bfloat16.ts'
import { FLOAT32 } from '../engine/float32.ts'
import { inRoom, Room } from '../engine/native.ts'
import type { FrozenWeight, WeightDtype, WeightKind } from '../engine/frozen-weight.ts'
import { int8Weight } from '../engine/int8.ts'
import { nf4Weight } from '../engine/nf4.ts'
import type { PackedNumbers } from '../engine/packed-weight.ts'
import { planKeys, type KeyPlan } from './keys.ts'
import { checkTaskAndLabels, labelsOf, movedLabels, problemOf, requireLabels } from '../tasks/labels.ts'
import { NO_FILE, readGenerationFile } from './generation-file.ts'
import { openCheckpoint, type Checkpoint } from './checkpoint.ts'
import { companionsOf } from './companions.ts'
import { toFloat32, type TensorData } from './dtype.ts'
import { apart } from './joined.ts'
import { isMxfp4, unpacked } from './mxfp4.ts'
import { joined, piecesOf } from './stacks.ts'
import { turnedAxes } from './turned.ts'
import { kindsOf, type KindOf } from './kinds-of.ts'
import { sharedOf } from '../body.ts'
import { checkDtype } from '../engine/weight-kinds.ts'
import { resolveSource, type HubOptions } from '../hub/download.ts'
import { readModelConfig } from './foreign-folder.ts'
import { readMerged, readPooling } from './own-metadata.ts'
import { poolingOf } from './sentence-transformers.ts'
import { architecturePass, Model } from '../model.ts'
import { architectureOf } from '../models/auto.ts'
import { freshValues, traceModel, type Trace } from '../trace.ts'
import { isVector, taskRecord, type ProblemType, type Task } from '../tasks/task.ts'
import { checkNames, type Names } from '../options.ts'
import { HUB_OPTIONS } from '../hub/options.ts'
import type { ParameterSpec } from '../sites.ts'

/** What `loadModel` takes: what the model is for, how its weights are held, and where its files come from. */
export interface LoadOptions extends HubOptions {
  /** What the model is for. @default 'feature-extraction' */
  readonly task?: Task
  /** Names of the classes; of a trained head in its order. @default those in config.json, for a checkpoint that was trained for the task */
  readonly labels?: readonly string[]
  /**
   * Sequence classification: what the outputs are, numbers (`regression`), one class a row or any number of labels a row; it
   * decides the loss and the measures. @default `problem_type` of config.json, else regression for one output and one class a row for several
   */
  readonly problemType?: ProblemType
  /**
   * How a row becomes one vector. @default as the model was saved, else 'pooler' for sequence classification; for sentence embedding as modules.json of
   * sentence-transformers says, else 'mean'
   */
  readonly pooling?: Pooling
  /** Sentence embeddings have length 1. @default as modules.json says, else false */
  readonly normalize?: boolean
  /**
   * Pictures may have other sizes than the model's positions are for: these are then interpolated, as transformers does where it is given
   * `interpolate_pos_encoding`. @default false, but for DINOv2, which always does it
   */
  readonly interpolatePositions?: boolean
  /** Whether training draws the dropout that config.json asks for; that of methods is theirs. @default true */
  readonly dropout?: boolean
  /** Seed of a new head's weights. @default 0 */
  readonly seed?: number
  /**
   * Makes the task's head new, whether the checkpoint has one or not, to be trained with every adapter: other classes than
   * those before, or masked LM on an encoder that came without its head; a pooler that the task needs and the checkpoint lacks
   * is made new too. @default false: new where the checkpoint is a bare
   * encoder and the task a classification or question answering
   */
  readonly newHead?: boolean
  /**
   * How the weights of linear layers and the embeddings are held. 'bfloat16' takes half the memory: each is rounded to the
   * nearest bfloat16 (a file in BF16 is taken as it is). Norms, biases, new heads, activations and all that is trained stay
   * float32. Engines other than TensorFlow hold the rounded numbers in float32. 'int8' and 'nf4' take a quarter and an eighth: the products
   * of the layers are quantised, tensor by tensor, as bitsandbytes does it; embeddings and heads are held as the file has them.
   * @default as the file has them where it is quantised, else 'float32'
   */
  readonly dtype?: WeightDtype
  /** The scales of 'nf4' are quantised too: 4.13 instead of 4.5 bits a number. @default true */
  readonly doubleQuantization?: boolean
  /** Products of the layers that stay float32 or, where the file has bfloat16, quantised models keep in that: names or a pattern, as targets are given. @default none */
  readonly skip?: readonly string[] | string
}

const NAMES: Names<LoadOptions> = {
  ...HUB_OPTIONS, task: true, labels: true, problemType: true, pooling: true, normalize: true, seed: true, newHead: true, dtype: true, interpolatePositions: true,
  doubleQuantization: true, skip: true, dropout: true,
}

/**
 * Loads a frozen model from safetensors: a Hub id or a local folder.
 *
 * Strict: every key of the checkpoint is used or known to belong to another head, every parameter is found or belongs
 * to a new head, and every shape fits; otherwise one error lists all differences. Peak memory is the model and one
 * tensor. Weights of any dtype, and gpt-oss' experts in MXFP4, become float32, or bfloat16 where that is asked for; the `dtype` of config.json, which transformers goes by,
 * decides nothing.
 *
 * @throws CheckpointError with all that does not fit, HubError when files cannot be had, EngineError without TensorFlow, InputError for
 * options that do not fit the model
 * @example
 * const model = await loadModel('sentence-transformers/all-MiniLM-L6-v2', {
 *   task: 'sequence-classification', labels: ['ham', 'spam'],
 * })
 */
export async function loadModel(source: string, options: LoadOptions = {}): Promise<Model> {
  checkNames('loadModel', options, NAMES)
  checkTaskAndLabels('loadModel', options.task ?? 'feature-extraction', options.labels)
  checkDtype('loadModel', options.dtype)
  await loadEngine()
  return await readModel(source, await resolveSource(source, options), options)
}

/** @param body a model of the same files, whose weights it shares. Default: none */
export async function readModel(source: string, folder: string, options: LoadOptions, body?: Model): Promise<Model> {
  const { task = 'feature-extraction', seed = 0, newHead = false, dtype } = options
  const file = join(folder, 'config.json')
  const config = await readModelConfig(folder)
  const generation = taskRecord(task).predictedBy === 'generate' ? readGenerationFile(folder, config) : NO_FILE
  const opened = await openCheckpoint(folder)
  try {
    const plain = isMxfp4(config) ? unpacked(opened) : opened
    const architecture = body?.parts.architecture ?? architectureOf(config, file, boundsOf(plain), { interpolatePositions: options.interpolatePositions === true })
    const checkpoint = apart(plain, architecture.keys.joined)
    const labels = options.labels ?? labelsOf(config, task, file)
    const problem = problemOf(config, task, labels.length, { asked: options.problemType, file })
    const saved = readPooling(checkpoint.metadata['pooling'], checkpoint.path)
    const vector = poolingOf(folder, task, { normalize: options.normalize, pooling: options.pooling ?? (task === 'sentence-embedding' ? undefined : saved) })
    const usual = headOf(architecture, task, { labels: labels.length, ...vector })
    const { sites, specs } = traceOf(architecture, usual, task)
    const head = newHead ? { ...usual, modules: newHeadModules(architecture, task, specs) } : usual
    const plan = await planKeys(checkpoint, { architecture, head, task, specs, newHead, rounded: dtype === 'bfloat16' })
    if (options.labels === undefined && plan.initialized.length > 0) requireLabels(config, task)
    const moved = plan.initialized.length > 0 ? [] : movedLabels(labelsOf(config, task, file), labels)
    if (moved.length > 0) {
      throw new CheckpointError(`${file}: the head was trained for the same classes in another order, and each would stand for another. Leave \`labels\` out, give them as they are there, or ask for a newHead:`, moved)
    }
    const kindOf = kindsOf(options, sites, architecture)
    const shared = sharedOf(body, { architecture, task }, plan.specs)
    const params = await readParams(checkpoint, plan, { std: architecture.initializerRange, seed, kindOf, shared })
    const { modules, initialized, unused, ignored, ties, notes } = plan
    const merged = readMerged(checkpoint.metadata['merged']).map((print) => ({ print: Promise.resolve(print), inFiles: true }))
    return new Model({
      files: MODEL_FILES,
      source, folder, companions: await companionsOf(folder), config, generation, task, problem, labels, ...(isVector(task) ? { pooling: vector.pooling } : {}), architecture, head: { ...head, modules }, sites, specs: plan.specs, params, initialized, unused,
      ignored, ties, notes, ...(merged.length === 0 ? {} : { merged }), ...(options.dropout === false ? { dropout: false } : {}),
    })
  } finally {
    await opened.close()
  }
}

/** A size that costs nothing to look into, so that every shape that does not fit can be told. */
const MODEST = 2 ** 16

/** No table or product of the model is larger than the largest in the files, and no layer is without a tensor. */
function boundsOf({ entries }: Checkpoint): Bounds {
  const largest = [...entries.values()].reduce((most, { shape }) => shape.reduce((a, b) => Math.max(a, b), most), 1)
  const size = { min: 1, max: Math.max(largest, MODEST), note: 'no tensor in the files is larger' }
  return { size, layers: { min: 1, max: Math.max(1, entries.size), note: `the files have ${entries.size} tensors` } }
}

export function headOf(architecture: Architecture, task: Task, options: HeadOptions): Head {
  const make = architecture.heads[task]
  if (make !== undefined) return make(options)
  throw new InputError(
    `task: '${task}' is not one this model has; it has ${Object.keys(architecture.heads).join(', ')}.`,
  )
}

export function traceOf(architecture: Architecture, head: Head, task: Task): Trace {
  return traceModel((pass) => {
    const batch = architecture.example()
    head.run(pass, architecture.encode(architecturePass(pass, { architecture, task }), batch), batch)
  })
}

function newHeadModules({ baseName }: Architecture, task: Task, specs: Trace['specs']): string[] {
  if (taskRecord(task).headless === true) throw new InputError(`loadModel: newHead: a model for ${task} has no head.`)
  return headModules(baseName, specs.keys())
}

/**
 * The weights of a model in the numbers of files, one at a time; each is the caller's.
 *
 * @throws CheckpointError where the files are not the model's, or are quantised themselves
 */
export async function plainWeights(opened: Checkpoint, { parts: { architecture, head, task, specs, initialized, config } }: Model): Promise<(name: string) => Promise<FrozenWeight>> {
  const [packed] = opened.packed.keys()
  if (packed !== undefined) throw new CheckpointError(`${opened.path}: expected the model in its own numbers, ${packed} is quantised. Name the model that it was made from: { source }`)
  const checkpoint = apart(isMxfp4(config) ? unpacked(opened) : opened, architecture.keys.joined)
  const plan = await planKeys(checkpoint, { architecture, head, task, specs, newHead: initialized.length > 0, rounded: false })
  return (name) => readParam(checkpoint, plan, name, specs.get(name) as ParameterSpec, { std: 0, seed: 0, kindOf: () => FLOAT32, shared: new Map() })
}

interface Reading {
  readonly std: number
  readonly seed: number
  readonly kindOf: KindOf
  /** Weights that another model has. */
  readonly shared: ReadonlyMap<string, FrozenWeight>
}

async function readParams(checkpoint: Checkpoint, plan: KeyPlan, reading: Reading): Promise<Map<string, FrozenWeight>> {
  const params = new Map<string, FrozenWeight>()
  const bytes = [...plan.specs].map(([name, spec]) => inRoom(bytesAsTheyAre(checkpoint, plan, name, spec, reading)))
  const room = new Room(bytes.reduce((sum, each) => sum + each, 0))
  try {
    for (const [name, spec] of plan.specs) params.set(name, reading.shared.get(name)?.clone() ?? await readParam(checkpoint, plan, name, spec, reading, room))
  } catch (error) {
    for (const weight of params.values()) weight.dispose()
    throw error
  }
  return params
}

/** Bytes of a weight that is held as it is read, rounded or not; 0 of one that something else is made of, or that another model has. */
function bytesAsTheyAre(checkpoint: Checkpoint, { keyOf }: KeyPlan, name: string, spec: ParameterSpec, { kindOf, shared }: Reading): number {
  if (shared.has(name)) return 0
  const key = keyOf.get(name) ?? ''
  const entry = checkpoint.entries.get(key)
  if (entry === undefined || checkpoint.packed.has(key) || (spec.transposed === true && entry.turned !== true)) return 0
  const kind = kindOf(name, spec, entry.dtype)
  const isRounded = kind === BFLOAT16 && entry.dtype === 'F32'
  return isRounded ? entry.byteLength / 2 : (kind === FLOAT32 || kind === BFLOAT16) && kind.fileDtype === entry.dtype ? entry.byteLength : 0
}

async function readParam(checkpoint: Checkpoint, plan: KeyPlan, name: string, spec: ParameterSpec, reading: Reading, room?: Room): Promise<FrozenWeight> {
  const { keyOf } = plan
  const { std, seed, kindOf } = reading
  const key = keyOf.get(name)
  const pieces = piecesOf(name, spec).flatMap(([piece]) => keyOf.get(piece) ?? [])
  const packed = checkpoint.packed.get(key ?? '')
  const kind = kindOf(name, spec, packed?.format ?? checkpoint.entries.get(key ?? pieces[0] ?? '')?.dtype)
  const rounded = kind.fileDtype === 'BF16'
  if (key === undefined) {
    const read = (i: number): Promise<TensorData> => checkpoint.read(pieces[i] as string, rounded) // one for each place
    return pieces.length === 0 ? freshWeight(name, spec, std, seed) : kind.fromFile(await joined(spec, kind.fileDtype, pieces.length, read))
  }
  if (packed?.format === kind.name) return ofPacked(await packed.read())
  if (spec.transposed === true && packed === undefined && checkpoint.entries.get(key)?.turned !== true) return turned(kind, await checkpoint.read(key))
  const staysAsItIs = bytesAsTheyAre(checkpoint, plan, name, spec, reading) > 0
  return kind.fromFile({ ...(await checkpoint.read(key, rounded, staysAsItIs ? room : undefined)), shape: spec.shape })
}

function ofPacked(numbers: PackedNumbers): FrozenWeight {
  if (numbers.format === 'affine') return affineWeight(numbers)
  return numbers.format === 'nf4' ? nf4Weight(numbers) : int8Weight(numbers)
}

function turned(kind: WeightKind, data: TensorData): FrozenWeight {
  const tensor = tf.tidy(() => turnedAxes(tf.tensor(toFloat32(data), [...data.shape], 'float32')))
  const weight = kind.of(tensor)
  tensor.dispose()
  return weight
}

export function freshWeight(name: string, spec: ParameterSpec, std: number, seed: number): FrozenWeight {
  return FLOAT32.fromFile({ dtype: 'F32', shape: spec.shape, data: freshValues(name, spec, std, seed) })
}
