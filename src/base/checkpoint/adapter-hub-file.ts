// Adapters as AdapterHub's `adapters` keeps them with use_safetensors: adapter_config.json and adapter.safetensors, and for
// a trained head head_config.json and model_head.safetensors. Keys are `<module>.adapters.<name of the adapter>.<tensor>`;
// a method's file format leaves the name out.

import { join } from 'node:path'
import { CheckpointError, InputError } from '../../errors.ts'
import type { Adapter } from '../adapter/adapter.ts'
import { classNameOf } from '../tasks/task.ts'
import type { NamedTensor, NamedTensors } from '../adapter/file-format.ts'
import { writeAtomic } from '../files/atomic.ts'
import { namesIn } from '../files/folder-save.ts'
import { readJsonObject } from '../files/json-file.ts'
import { baseNameOf } from './base-name.ts'
import { trainedForOf } from './trained-for.ts'
import { readTensors, sortKeys, writeTensors, type AdapterFile } from './named-tensors.ts'

const CONFIG = 'adapter_config.json'
export const HUB_WEIGHTS = 'adapter.safetensors'
const HEAD_CONFIG = 'head_config.json'
const HEAD_WEIGHTS = 'model_head.safetensors'

/** Files of such an adapter, other than adapter_config.json. */
export const adapterHubFiles: readonly string[] = [HUB_WEIGHTS, HEAD_CONFIG, HEAD_WEIGHTS]

/** The version of `adapters` whose files these are. */
const VERSION = 'adapters.1.3.0'

/** @param named all tensors of the adapter by this library's names */
export async function writeAdapterHub(adapter: Adapter, folder: string, named: NamedTensors): Promise<void> {
  const { name, method: { format }, model: { parts }, context, copies, origin, labels } = adapter
  if (name.includes('.')) throw new InputError(`save: AdapterHub allows no '.' in the name of an adapter, got '${name}'; rename it.`)
  const isCopy = (own: string): boolean => copies.includes(adapter.ties.get(own) ?? own)
  const trained = new Map([...named].filter(([own]) => !isCopy(own)))
  const weights = [...(await format.toFile(trained, context, []))].map(([key, tensor]) => [key.replace('.adapters.', `.adapters.${name}.`), tensor] as const)
  const common = {
    hidden_size: parts.architecture.hiddenSize,
    model_class: classNameOf(parts.architecture, parts.task),
    model_name: baseNameOf(adapter.model).name,
    model_type: parts.config['model_type'],
    version: VERSION,
  }
  await writeTensors(join(folder, HUB_WEIGHTS), new Map(weights), await trainedForOf(adapter))
  if (copies.length > 0) {
    await writeTensors(join(folder, HEAD_WEIGHTS), new Map([...named].filter(([own]) => isCopy(own))))
    const label2id = Object.fromEntries(labels.map((label, id) => [label, id]))
    await writeJson(join(folder, HEAD_CONFIG), { ...common, config: null, name: null, label2id, num_labels: labels.length })
  }
  await writeJson(join(folder, CONFIG), { ...common, config: sortKeys({ ...format.config(context), ...origin.unknown }), name })
}

/**
 * @param json what adapter_config.json holds
 * @returns the settings as PEFT would have them: in one object, with the type and the modules that are trained in full
 * @throws CheckpointError when a file is missing or damaged, or holds weights or a head that cannot be read
 */
export async function readAdapterHub(folder: string, json: Readonly<Record<string, unknown>>): Promise<AdapterFile> {
  const settings = json['config'] as Readonly<Record<string, unknown>> // checked by isAdapterHub
  const files = await namesIn(folder)
  const pickles = ['pytorch_adapter.bin', 'pytorch_model_head.bin'].filter((file) => files.includes(file))
  const needed = [HUB_WEIGHTS, ...(files.includes(HEAD_CONFIG) ? [HEAD_WEIGHTS] : [])]
  const missing = needed.filter((file) => !files.includes(file))
  if (missing.length > 0) {
    const hint = pickles.length === 0 ? '' : ` It has ${pickles.join(' and ')}: load it in Python and save it with use_safetensors=True.`
    throw new CheckpointError(`${folder}: the adapter has no ${missing.join(' and no ')}.${hint}`)
  }
  const tensors = new Map<string, NamedTensor>()
  const weights = join(folder, HUB_WEIGHTS)
  const read = await readTensors(weights)
  for (const [key, tensor] of read.tensors) tensors.set(key.replace(/\.adapters\.[^.]+\./, '.adapters.'), tensor)
  const modules = new Set<string>()
  if (files.includes(HEAD_CONFIG)) {
    checkHead(join(folder, HEAD_CONFIG))
    for (const [key, tensor] of (await readTensors(join(folder, HEAD_WEIGHTS))).tensors) {
      tensors.set(key, tensor)
      modules.add(key.split('.').slice(0, -1).join('.'))
    }
  }
  const architecture = settings['architecture'] ?? 'bottleneck'
  return { config: { ...settings, peft_type: typeof architecture === 'string' ? architecture.toUpperCase() : architecture, modules_to_save: [...modules], ensure_weight_tying: true }, tensors, weights, metadata: read.metadata }
}

/** Whether adapter_config.json is AdapterHub's. */
export function isAdapterHub(json: Readonly<Record<string, unknown>>): boolean {
  return json['peft_type'] === undefined && typeof json['config'] === 'object' && json['config'] !== null
}

function checkHead(path: string): void {
  const head = readJsonObject(path, 'the settings of a head')
  if (head['config'] === undefined || head['config'] === null) return
  throw new CheckpointError(
    `${path}: the adapter comes with a head of AdapterHub's own kind, which no model here has. Save it in Python without: ` +
      'model.save_adapter(folder, name, with_head=False, use_safetensors=True).',
  )
}

async function writeJson(path: string, json: Readonly<Record<string, unknown>>): Promise<void> {
  // Python's reader tells numbers from whole numbers, and takes only the former as a scaling.
  const text = JSON.stringify(sortKeys(json), null, 2).replace(/("scaling": -?\d+)(?=,?\n)/, '$1.0')
  await writeAtomic(path, `${text}\n`)
}
