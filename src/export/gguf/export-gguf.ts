import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { InputError, shown } from '../../errors.ts'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { tensorsAt } from '../../base/adapter/attached.ts'
import { merge } from '../../base/adapter/merge.ts'
import { checkAwaited } from '../../base/awaited.ts'
import type { FrozenWeight } from '../../base/engine/frozen-weight.ts'
import { read } from '../../base/engine/read.ts'
import { checkAlive, type Model } from '../../base/model.ts'
import { checkNames, type Names } from '../../base/options.ts'
import type { LowRank } from '../../base/method.ts'
import type { LinearSite } from '../../base/sites.ts'
import { TYPES, type GgufDtype } from './blocks.ts'
import { formOf, type Form } from './forms.ts'
import { writeGguf, type GgufTensor, type Settings } from './gguf-file.ts'
import { tokenizerSettings } from './tokenizer.ts'

/** How a model or an adapter is written as GGUF. */
export interface ExportGgufOptions {
  /**
   * How matrices are held: 'F32', 'F16', 'BF16', or in blocks of 32 numbers with a scale, 'Q8_0' (8 bits) and 'Q4_0' (4 bits, tables of words in
   * 8). Rows that are no whole blocks are in F16. @default 'F16' for a model, 'F32' for an adapter
   */
  readonly dtype?: GgufDtype
}

const OPTIONS: Names<ExportGgufOptions> = { dtype: true }

/** Numbers of `general.file_type`. */
const FILE_TYPES: Readonly<Record<GgufDtype, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, BF16: 32 }
const QUANTIZATION_VERSION = 2

/**
 * Writes a file that llama.cpp and what is built on it run (Ollama, LM Studio, node-llama-cpp): of a model, with what is attached to it and
 * enabled folded into its weights, and with its tokenizer; of an adapter by itself, which is loaded beside the base, where all it does is to
 * add B A to weights. For causal LMs of GPT-2, LLaMA, Mistral, Qwen2, Qwen3, Gemma, Gemma 2, Gemma 3 and Phi-3. A quantised model is written as
 * the numbers that it computes with.
 *
 * Mistral's and Phi-3's windows end the context there: the file says that the model takes no more tokens than a window has.
 *
 * @param what a model, or an attached adapter
 * @param file its path; what was there is replaced when the new file is whole
 * @throws InputError for a model or an adapter that llama.cpp would compute otherwise, naming each difference; CheckpointError when the file
 *   cannot be written, or the tokenizer would split texts otherwise there
 * @example await exportGguf(decoder, 'spam.gguf', { dtype: 'Q8_0' })
 */
export async function exportGguf(what: Model | Adapter, file: string, options: ExportGgufOptions = {}): Promise<void> {
  checkNames('exportGguf', options, OPTIONS)
  checkAwaited('model', what)
  const { dtype } = options
  if (dtype !== undefined && !Object.hasOwn(TYPES, dtype)) throw new InputError(`dtype: expected ${Object.keys(TYPES).map((name) => `'${name}'`).join(', ')}; got ${shown(dtype)}.`)
  if ('method' in what) await exportAdapter(what, file, dtype ?? 'F32')
  else await exportModel(what, file, dtype ?? 'F16')
}

async function exportModel(model: Model, file: string, dtype: GgufDtype): Promise<void> {
  checkAlive(model, 'exportGguf')
  const { enabled } = model.attached
  if (enabled.length > 0) {
    const merged = merge(model.viewOf ?? model, enabled)
    try {
      await exportModel(merged, file, dtype)
    } finally {
      merged.dispose()
    }
    return
  }
  const form = formFor(model)
  const { parts: { params, specs, source } } = model
  const headless = params.has('lm_head.weight') && !form.ownHead
  if (headless) throw new InputError(`exportGguf: the head of ${source} is another tensor than its table of words, which llama.cpp does not have of ${form.name}. Fold no adapter into one of the two.`)
  const kept = [...params].map(([name, weight]) => [name, weight.clone()] as const) // the model may be disposed meanwhile
  try {
    const tensors = kept.map(([name, weight]) => tensorOf(form, name, weight, specs.get(name)?.part === 'embedding', dtype))
    const factors = Object.entries(form.factors).map(([name, values]): GgufTensor => ({ name, dtype: 'F32', shape: [values.length], numbers: () => Promise.resolve(values) }))
    await writeGguf(file, { ...head(form, 'model', source), 'general.file_type': ['u32', FILE_TYPES[dtype]], ...form.settings, ...await ofTokenizer(model) }, [...tensors, ...factors])
  } finally {
    for (const [, weight] of kept) weight.dispose()
  }
}

async function exportAdapter(adapter: Adapter, file: string, dtype: GgufDtype): Promise<void> {
  const { model, name, method: { name: method, lowRank }, copies, brought, sites } = adapter
  checkAlive(model, 'exportGguf')
  const form = formFor(model)
  const places = sites.filter((site) => site.kind === 'linear')
  if (lowRank === undefined || copies.length > 0 || brought.length > 0 || places.length < sites.length) {
    const others = sites.filter((site) => site.kind !== 'linear').map((site) => site.name)
    const more = lowRank === undefined ? `what ${method} does` : [...copies, ...brought, ...others].join(', ')
    throw new InputError(`exportGguf: adapter '${name}' does more than to add B A to weights (${more}), which is all that llama.cpp reads of adapters. Export it folded into the model: exportGguf(model, file).`)
  }
  const tied = places.filter((site) => model.parts.ties.has(site.weight))
  if (tied.length > 0) {
    throw new InputError(`exportGguf: adapter '${name}' changes ${tied.map((site) => site.name).join(', ')}, which is the table of the words too, and llama.cpp would change both. Export it folded into the model: exportGguf(model, file).`)
  }
  const updates = await Promise.all(places.map((site) => updateAt(form, site, () => lowRank(site, tensorsAt(adapter, site)))))
  const alpha = updates.find((update) => update.alpha !== 0)?.alpha ?? 1 // with 0 there would be no scale at all
  const tensors = updates.flatMap(({ name: place, rank, alpha: own, A, B }): GgufTensor[] => [
    matrix(`${place}.lora_a`, [rank, A.length / rank], dtype, () => Promise.resolve(A)),
    matrix(`${place}.lora_b`, [B.length / rank, rank], dtype, () => Promise.resolve(own === alpha ? B : B.map((value) => value * (own / alpha)))),
  ])
  await writeGguf(file, { ...head(form, 'adapter', name), 'adapter.type': ['text', 'lora'], 'adapter.lora.alpha': ['f32', alpha] }, tensors)
}

/** The update of a weight there: all at once, for training may go on. */
async function updateAt(form: Form, { weight, name }: LinearSite, update: () => LowRank): Promise<{ readonly name: string; readonly rank: number; readonly alpha: number; readonly A: Float32Array; readonly B: Float32Array }> {
  const { rank, scale } = tf.tidy(() => ({ rank: update().A.shape[0], scale: update().scale }))
  const [A, B] = await Promise.all([read(() => update().A), read(() => update().B)])
  return { name: placeOf(form, weight), rank, alpha: scale * rank, A, B: rowsThere(B, rank, form.headsOf(name)) }
}

/** A parameter of the model in the file. */
function tensorOf(form: Form, name: string, weight: FrozenWeight, isTable: boolean, dtype: GgufDtype): GgufTensor {
  const { shape } = weight
  const [module, last] = [name.slice(0, name.lastIndexOf('.')), shape.length === 1 ? 1 : (shape.at(-1) ?? 1)]
  const numbers = async (): Promise<Float32Array> => rowsThere(await read(() => weight.float32()), last, form.headsOf(module))
  const there = placeOf(form, name)
  if (shape.length === 1) {
    const shift = there.endsWith('norm.weight') ? form.normShift : 0
    return { name: there, dtype: 'F32', shape, numbers: async () => (shift === 0 ? await numbers() : (await numbers()).map((value) => value + shift)) }
  }
  return matrix(there, shape, there.startsWith('position_embd') ? 'F32' : isTable && dtype === 'Q4_0' ? 'Q8_0' : dtype, numbers)
}

function matrix(name: string, shape: readonly number[], dtype: GgufDtype, numbers: () => Promise<Float32Array>): GgufTensor {
  return { name, shape, dtype: (shape.at(-1) ?? 0) % TYPES[dtype].numbers === 0 ? dtype : 'F16', numbers }
}

function placeOf({ nameOf, name: family }: Form, parameter: string): string {
  const end = parameter.lastIndexOf('.')
  const name = nameOf(parameter.slice(0, end))
  if (name === undefined) throw new InputError(`exportGguf: '${parameter}' has no place in llama.cpp's ${family}.`)
  return `${name}${parameter.slice(end)}`
}

/** The rows of heads with those two side by side that are turned together, which are half a head apart here. */
function rowsThere(numbers: Float32Array, width: number, heads: number | undefined): Float32Array {
  if (heads === undefined) return numbers
  const half = numbers.length / width / heads / 2
  const result = new Float32Array(numbers.length)
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < 2 * half; i++) {
      const [from, to] = [2 * head * half + i, 2 * head * half + 2 * (i % half) + Math.floor(i / half)]
      result.set(numbers.subarray(from * width, (from + 1) * width), to * width)
    }
  }
  return result
}

function head({ name: family }: Form, type: 'model' | 'adapter', name: string): Settings {
  return {
    'general.architecture': ['text', family],
    'general.type': ['text', type],
    'general.name': ['text', basename(name)],
    'general.quantization_version': ['u32', QUANTIZATION_VERSION],
  }
}

/** @throws InputError with everything that llama.cpp would compute otherwise */
function formFor({ parts: { architecture, config, task, source } }: Model): Form {
  const form = formOf(architecture, config)
  const problems = [
    ...(task === 'causal-lm' ? [] : [`task: '${task}' is none that is written here; load the model as one that writes texts: loadModel(source, { task: 'causal-lm' })`]),
    ...('settings' in form ? [] : form),
  ]
  if (problems.length > 0 || !('settings' in form)) {
    throw new InputError(`exportGguf: llama.cpp would compute otherwise than this model (${source}). exportOnnx(model, folder) writes models of other families.`, problems)
  }
  return form
}

/** The settings of the tokenizer that goes with the model; none where it has none. */
async function ofTokenizer({ limits, parts: { companions, config, folder, grown, source } }: Model): Promise<Settings> {
  const words = limits?.vocabSize ?? 0
  if (grown?.saveTokenizer !== undefined) {
    const own = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
    try {
      await grown.saveTokenizer(own)
      return await tokenizerSettings(own, source, words, config)
    } finally {
      await rm(own, { recursive: true })
    }
  }
  if (companions.includes('tokenizer.json')) return await tokenizerSettings(folder, source, words, config)
  return { 'tokenizer.ggml.model': ['text', 'none'] }
}
