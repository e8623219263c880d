// Folders of another kind than was asked for: what they are and what to do with them, instead of the first file that is missing.

import { join } from 'node:path'
import { CheckpointError, shown } from '../../errors.ts'
import { namesIn } from '../files/folder-save.ts'
import { mlxProblem, mlxSettings } from './mlx.ts'
import { isMlxAdapter } from './mlx-adapter.ts'
import { isMxfp4 } from './mxfp4.ts'
import { readJsonObject } from '../files/json-file.ts'

type Json = Readonly<Record<string, unknown>>

/** Weights in other formats than safetensors, by the names of their files. */
const FORMATS: readonly (readonly [pattern: RegExp, what: string, wayOut: string])[] = [
  [/^pytorch_model.*\.bin(\.index\.json)?$/, 'a Python pickle, which can run code when it is read', 'Convert it once in Python: AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)'],
  [/\.gguf$/, 'GGUF, as llama.cpp reads it', 'Take the repository that it was made from, with model.safetensors, or convert it once in Python: AutoModelForCausalLM.from_pretrained(folder, gguf_file=name).save_pretrained(other)'],
  [/\.h5$|^tf_model/, "Keras' format", 'Take the repository\'s model.safetensors; transformers 4 converts it: AutoModel.from_pretrained(folder, from_tf=True).save_pretrained(folder)'],
  [/\.msgpack$/, "Flax' format", 'Take the repository\'s model.safetensors; transformers 4 converts it: AutoModel.from_pretrained(folder, from_flax=True).save_pretrained(folder)'],
  [/\.onnx$/, 'ONNX, which holds a program and not a model to train', 'Take the repository that it was exported from'],
]

/** The error of a folder that has weights in another format; undefined when it has none that is known. */
export function foreignWeights(folder: string, files: readonly string[]): CheckpointError | undefined {
  for (const [pattern, what, wayOut] of FORMATS) {
    const file = files.find((name) => pattern.test(name))
    if (file !== undefined) return new CheckpointError(`${folder} has its weights in ${file}, ${what}. ${wayOut}`)
  }
  return undefined
}

/**
 * What config.json of a model's folder holds.
 *
 * @throws CheckpointError when it is the folder of something else, or of weights that are packed; or as `readJsonObject`
 */
export async function readModelConfig(folder: string): Promise<Json> {
  const path = join(folder, 'config.json')
  const files = await namesIn(folder)
  if (files.includes('config.json')) {
    const config = readJsonObject(path, "a model's configuration")
    checkPacked(config, path)
    return config
  }
  if (files.includes('adapter_config.json')) {
    const { base_model_name_or_path: peft, model_name: hub } = readJsonObject(join(folder, 'adapter_config.json'), "an adapter's settings")
    const base = typeof (peft ?? hub) === 'string' ? shown(peft ?? hub) : 'the model it was trained on'
    throw new CheckpointError(`${folder} is the folder of an adapter, not of a model. Load its model first, loadModel(${base}), then loadAdapter(model, folder).`)
  }
  throw foreignWeights(folder, files) ?? new CheckpointError(`${folder} is not the folder of a model: it has no config.json. It has ${listed(files)}.`)
}

/** Schemes by transformers' name for them, as people call them. */
const SCHEMES: Readonly<Record<string, string>> = {
  bitsandbytes: 'bitsandbytes', gptq: 'GPTQ', awq: 'AWQ', fp8: 'FP8', fbgemm_fp8: 'FP8', 'compressed-tensors': 'compressed-tensors', mxfp4: 'MXFP4', torchao: 'torchao', hqq: 'HQQ', quanto: 'quanto',
}

/** @param path what the settings are called in the error @throws CheckpointError where they are of weights that are packed */
export function checkPacked(config: Json, path: string): void {
  const settings = asObject(config['quantization_config']) ?? asObject(config['quantization'])
  if (settings === undefined || isMxfp4(config)) return
  const mlx = mlxSettings(config)
  const problem = mlx === undefined ? undefined : mlxProblem(mlx)
  if (mlx !== undefined && problem === undefined) return
  const { quant_method: method, load_in_4bit: four, bnb_4bit_quant_type: type } = settings
  if (method === 'bitsandbytes' && (four !== true || type === 'nf4')) return
  const scheme = typeof method === 'string' ? schemeOf(method) : problem === undefined ? 'a scheme it does not name' : `MLX, ${problem}`
  throw new CheckpointError(`${path}: the checkpoint is quantised (${scheme}): its weights are packed and cannot be read here. ` +
    'Load the model it was made from; or unpack it once in Python, AutoModel.from_pretrained(folder).dequantize().save_pretrained(other), where transformers does so for this scheme. The model it was made from is quantised on the way in: loadModel(…, { dtype: \'nf4\' }).')
}

function schemeOf(method: string): string {
  return `${SCHEMES[method] ?? shown(method)}${method === 'bitsandbytes' ? ', fp4' : ''}`
}

const PEFT_WEIGHTS = 'adapter_model.safetensors'

/**
 * What adapter_config.json of an adapter's folder holds.
 *
 * @throws CheckpointError when it is the folder of something else, or of an adapter of a kind or in a format that is not read; or as
 *   `readJsonObject`
 */
export async function readAdapterConfig(folder: string): Promise<Json> {
  const files = await namesIn(folder)
  if (!files.includes('adapter_config.json')) {
    const model = files.includes('config.json')
    throw new CheckpointError(model
      ? `${folder} is the folder of a model, not of an adapter: it has config.json and no adapter_config.json. Load it with loadModel(folder).`
      : `${folder} is not the folder of an adapter: it has no adapter_config.json. It has ${listed(files)}.`)
  }
  const path = join(folder, 'adapter_config.json')
  const json = readJsonObject(path, "an adapter's settings")
  const hub = asObject(json['config'])
  if (isMlxAdapter(json)) return json
  if (json['peft_type'] === undefined && hub !== undefined) checkKind(hub, path)
  else if (!files.includes(PEFT_WEIGHTS) && files.includes('adapter_model.bin')) {
    throw new CheckpointError(`${folder} has its weights in adapter_model.bin, a Python pickle, which can run code when it is read. ` +
      'Convert it once in Python: PeftModel.from_pretrained(model, folder).save_pretrained(folder)')
  } else if (!files.includes(PEFT_WEIGHTS)) {
    throw new CheckpointError(`${folder}: the adapter has no ${PEFT_WEIGHTS}. It has ${listed(files)}. Where its weights are in adapter_model.bin, convert it once in Python: PeftModel.from_pretrained(model, folder).save_pretrained(folder)`)
  }
  return json
}

/** Methods of AdapterHub's `adapters` whose files are not read, by what their settings call them. */
const HUB_METHODS: Readonly<Record<string, string>> = { lora: 'LoRA', prefix_tuning: 'prefix tuning', prompt_tuning: 'prompt tuning', reft: 'ReFT', union: 'union of several methods' }

function checkKind({ architecture, composition_mode: mode }: Json, path: string): void {
  if (architecture === undefined || architecture === null || architecture === 'bottleneck') return
  const name = architecture === 'lora' && mode === 'scale' ? '(IA)³' : typeof architecture === 'string' ? HUB_METHODS[architecture] ?? shown(architecture) : shown(architecture)
  const wayOut = architecture === 'lora' // the one kind that can be merged there
    ? 'Merge it in Python, model.merge_adapter(name), save the model and load that with loadModel; or train it with HF PEFT, whose files are read.'
    : 'Train a method whose files are read: one of HF PEFT, or a bottleneck adapter.'
  throw new CheckpointError(`${path}: this is AdapterHub's ${name}, whose files are not read here; of AdapterHub's methods, bottleneck adapters are. ${wayOut}`)
}

function asObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Json : undefined
}

function listed(files: readonly string[]): string {
  return files.length === 0 ? 'no file' : [...files].sort().slice(0, 20).join(', ') + (files.length > 20 ? `, and ${files.length - 20} more` : '')
}
