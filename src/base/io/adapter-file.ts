// Adapters as HF PEFT keeps them: adapter_config.json and adapter_model.safetensors in one folder.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Task } from '../architecture.ts'
import type { Adapter } from '../attach.ts'
import type { NamedTensor, NamedTensors } from '../wire.ts'
import { replacements } from '../wiring.ts'
import { isAdapterHub, readAdapterHub, writeAdapterHub } from './adapter-hub-file.ts'
import { writeAtomic } from './atomic.ts'
import { readJsonObject } from './json-file.ts'
import { writeModelCard } from './model-card.ts'
import { readTensors, sortKeys, writeTensors } from './named-tensors.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

const TASK_TYPES: Readonly<Record<Task, string | null>> = {
  'feature-extraction': 'FEATURE_EXTRACTION',
  'sentence-embedding': 'FEATURE_EXTRACTION',
  'sequence-classification': 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
  'question-answering': 'QUESTION_ANS',
  'causal-lm': 'CAUSAL_LM',
  'masked-lm': null, // PEFT has no name for it
}

/** See `Adapter.save`. */
export async function saveAdapter(adapter: Adapter, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const named = new Map<string, NamedTensor>()
  const tensors = { ...adapter.frozen, ...adapter.trainable, ...Object.fromEntries(replacements(adapter)) }
  for (const [name, tensor] of Object.entries(tensors)) {
    named.set(name, { shape: tensor.shape, values: (await tensor.data()) as Float32Array })
  }
  if (adapter.method.wire.format === 'adapter-hub') await writeAdapterHub(adapter, folder, named)
  else await writePeft(adapter, folder, named)
  await writeModelCard(join(folder, 'README.md'), adapter)
}

async function writePeft(adapter: Adapter, folder: string, named: NamedTensors): Promise<void> {
  const { method: { wire }, model: { parts: { task, source } }, context, copies, origin } = adapter
  const tied = [...adapter.ties].filter(([, kept]) => copies.includes(kept))
  const inFull = [...copies, ...tied.map(([name]) => name)].filter((name) => !context.copies.includes(name))
  const modules = [...new Set(inFull.map((name) => name.split('.').slice(0, -1).join('.')))]
  const config = {
    peft_type: wire.type,
    task_type: TASK_TYPES[task],
    base_model_name_or_path: source,
    inference_mode: true,
    modules_to_save: modules.length > 0 ? modules : null,
    revision: null,
    ...wire.config(context),
    ...(tied.length > 0 ? { ensure_weight_tying: true } : {}),
    ...origin.unknown,
  }
  await writeTensors(join(folder, WEIGHTS), wire.toFile(named, context))
  await writeAtomic(join(folder, CONFIG), `${JSON.stringify(sortKeys(config), null, 2)}\n`)
}

/** An adapter's files, not yet attached to anything. */
export interface AdapterFile {
  readonly config: Readonly<Record<string, unknown>>
  /** By the file's own keys. */
  readonly tensors: NamedTensors
}

/** @throws CheckpointError when a file is missing or damaged */
export async function readAdapterFile(folder: string): Promise<AdapterFile> {
  const config = await readJsonObject(join(folder, CONFIG), "an adapter's settings")
  return isAdapterHub(config) ? readAdapterHub(folder, config) : { config, tensors: await readTensors(join(folder, WEIGHTS)) }
}
