// Options objects: JavaScript takes any name in them, and a name that nobody reads does something else than was asked.

import { InputError, shown } from '../errors.ts'

/** The names of the options of a type, each once: the compiler asks for every one. */
export type Names<T> = { readonly [Name in keyof T]-?: true }

/** What PEFT and transformers call them, where another spelling of the same letters does not tell. */
const ALSO_CALLED: Readonly<Record<string, readonly string[]>> = {
  r: ['rank'], lora_alpha: ['alpha'], lora_dropout: ['dropout'], target_modules: ['targets'], exclude_modules: ['exclude'],
  layers_to_transform: ['layers'], use_rslora: ['rankStabilized'], init_lora_weights: ['init'], feedforward_modules: ['feedForward'],
  num_virtual_tokens: ['virtualTokens'], encoder_hidden_size: ['hiddenSize', 'reparametrization'], prefix_projection: ['reparametrization'],
  encoder_reparameterization_type: ['encoder'], encoder_num_layers: ['layers'], non_linearity: ['activation'], leave_out: ['skipLayers'],
  lr: ['learningRate'], num_train_epochs: ['epochs'], per_device_train_batch_size: ['batchSize'], gradient_accumulation_steps: ['accumulate'],
  warmup_ratio: ['warmup'], warmup_steps: ['warmup'], lr_scheduler_type: ['schedule'], label_smoothing_factor: ['labelSmoothing'],
  train_dataset: ['train'], eval_dataset: ['evaluate'], eval_steps: ['evaluateEvery'], save_steps: ['checkpoints'], output_dir: ['checkpoints'],
  adapter_name: ['name'], num_labels: ['labels'], torch_dtype: ['dtype'], cache_dir: ['cacheFolder'], local_files_only: ['offline'],
  delimiter: ['separator'], delim: ['separator'], sep: ['separator'], scale: ['temperature'], top_k: ['topK', 'top'], topN: ['top'],
  max_answer_len: ['maxAnswerLength'], aggregation_strategy: ['aggregation'],
  eos_token_id: ['stop'], stop_strings: ['stopStrings'], bad_words_ids: ['badWords'], ewc_lambda: ['strength'], lambda: ['strength'],
}

/** The name of an option here that PEFT or transformers have under another, where there is one. */
export function ownName(name: string): string {
  return ALSO_CALLED[name]?.[0] ?? name
}

/**
 * @param what the function, as errors name it
 * @throws InputError naming every option that it does not have, with the one that may have been meant; or where they are no options
 */
export function checkNames<T extends object>(what: string, options: T, names: Names<T>): void {
  if (typeof options !== 'object' || (options as object | null) === null) {
    const asIn = typeof options === 'number' && 'batchSize' in names ? `, as in { batchSize: ${String(options)} }` : ''
    throw new InputError(`${what}: expected an object of options${asIn}, got ${shown(options)}.`)
  }
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(names, name))
  if (unknown.length === 0) return
  const known = Object.keys(names).sort()
  throw new InputError(`${what}: options that it does not have:`, unknown.map((name) => {
    const meant = meantBy(name, known)
    return `'${name}': ${meant.length > 0 ? `did you mean ${meant.join(' or ')}?` : `it has ${known.join(', ')}`}`
  }))
}

function meantBy(name: string, known: readonly string[]): readonly string[] {
  const letters = (text: string): string => text.replaceAll('_', '').toLowerCase()
  const same = known.filter((other) => letters(other) === letters(name))
  const also = (ALSO_CALLED[name] ?? []).filter((other) => known.includes(other))
  return same.length > 0 ? same : also.length > 0 ? also : nearTo(name, known)
}

/** The names that a text may have been meant for, the nearest first, three at most. */
export function nearTo(text: string, names: readonly string[]): string[] {
  return names
    .map((name) => ({ name, distance: editDistance(text, name) }))
    .filter(({ name, distance }) => distance <= Math.max(2, name.length / 3))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name)
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
