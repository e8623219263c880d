import { copyFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomic } from './io/atomic.ts'
import { writeSafetensors } from './io/safetensors.ts'
import type { Model } from './model.ts'

const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.txt', 'vocab.json', 'merges.txt']

/**
 * Saves a model as the Hub keeps models: config.json, model.safetensors and the tokenizer's files. `loadModel` and
 * `AutoModel…from_pretrained` read the folder.
 *
 * @example await saveModel(merged, 'spam-model')
 */
export async function saveModel(model: Model, folder: string): Promise<void> {
  const { config, labels, architecture, task, params, folder: origin } = model.parts
  await mkdir(folder, { recursive: true })
  const tensors = [...params].map(([name, tensor]) => ({
    name,
    dtype: 'F32' as const,
    shape: tensor.shape,
    data: async () => (await tensor.data()) as Float32Array,
  }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  const present = new Set(await readdir(origin).catch(() => []))
  for (const file of TOKENIZER_FILES) if (present.has(file)) await copyFile(join(origin, file), join(folder, file))
  const className = architecture.classNames[task]
  const saved = {
    ...config,
    ...(className === undefined ? {} : { architectures: [className] }),
    ...(labels.length === 0 ? {} : labelFields(labels)),
  }
  await writeAtomic(join(folder, 'config.json'), `${JSON.stringify(saved, null, 2)}\n`)
}

function labelFields(labels: readonly string[]): Record<string, unknown> {
  return {
    id2label: Object.fromEntries(labels.map((label, id) => [id, label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  }
}
