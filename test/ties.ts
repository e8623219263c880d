// Copies of tiny models whose head is the table of the words, with other tensors or settings.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Task } from '../src/base/architecture.ts'
import { openSafetensors, writeSafetensors } from '../src/base/checkpoint/safetensors.ts'
import { goldenPath } from './golden.ts'

/** The model of each folder of golden/ties, and the names that matter there. */
export const FAMILIES: Readonly<Record<string, { readonly source: string; readonly task: Task; readonly table: string; readonly head: string }>> = {
  llama: { source: 'llama/tied', task: 'causal-lm', table: 'model.embed_tokens', head: 'lm_head' },
  gpt2: { source: 'gpt2/causal_lm', task: 'causal-lm', table: 'transformer.wte', head: 'lm_head' },
  bert: { source: 'bert/masked_lm', task: 'masked-lm', table: 'bert.embeddings.word_embeddings', head: 'cls.predictions.decoder' },
  roberta: { source: 'roberta/masked_lm', task: 'masked-lm', table: 'roberta.embeddings.word_embeddings', head: 'lm_head.decoder' },
  distilbert: { source: 'distilbert/masked_lm', task: 'masked-lm', table: 'distilbert.embeddings.word_embeddings', head: 'vocab_projector' },
}

export interface Values {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** A golden model's files in another folder, with what `change` makes of its tensors. */
export async function rewritten(
  source: string,
  folder: string,
  change: (tensors: Map<string, Values>) => void,
  config: object = {},
): Promise<string> {
  await mkdir(folder, { recursive: true })
  const json = JSON.parse(await readFile(join(goldenPath(source), 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...json, ...config }))
  const file = await openSafetensors(join(goldenPath(source), 'model.safetensors'))
  const tensors = new Map<string, Values>()
  for (const key of file.entries.keys()) {
    const { shape, data } = await file.read(key)
    tensors.set(key, { shape, data: data as Float32Array })
  }
  await file.close()
  change(tensors)
  const written = [...tensors].map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data }))
  await writeSafetensors(join(folder, 'model.safetensors'), written, { format: 'pt' })
  return folder
}

/** An adapter's folder with other settings. */
export async function withSettings(source: string, folder: string, settings: object): Promise<string> {
  await mkdir(folder, { recursive: true })
  await copyFile(join(source, 'adapter_model.safetensors'), join(folder, 'adapter_model.safetensors'))
  const json = JSON.parse(await readFile(join(source, 'adapter_config.json'), 'utf8')) as object
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ ...json, ...settings }))
  return folder
}
