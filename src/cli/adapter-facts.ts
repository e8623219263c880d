// What a folder with an adapter has, as far as servers ask for it.

import { join } from 'node:path'
import { readAdapterConfig } from '../base/checkpoint/foreign-folder.ts'
import { openSafetensors } from '../base/checkpoint/safetensors.ts'
import { shown } from '../errors.ts'
import { readObjectIfThere } from '../base/files/json-file.ts'

export interface AdapterFacts {
  readonly config: Readonly<Record<string, unknown>>
  /** Names of the file's. */
  readonly tensors: readonly string[]
  /** Of added_tokens.json. */
  readonly addedTokens: readonly string[]
}

/** @throws CheckpointError where there is no adapter in PEFT's files */
export async function factsOf(folder: string): Promise<AdapterFacts> {
  const config = await readAdapterConfig(folder)
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'))
  try {
    return { config, tensors: [...file.entries.keys()], addedTokens: Object.keys(readObjectIfThere(join(folder, 'added_tokens.json'), 'tokens and their ids') ?? {}) }
  } finally {
    await file.close()
  }
}

/** Finds a setting that is there: neither null, false nor empty. */
export const setting = (name: string) => ({ config: { [name]: value } }: AdapterFacts): string | undefined => {
  const isNothing = value === undefined || value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0)
  return isNothing ? undefined : `${name}: ${short(JSON.stringify(value))}`
}

/** The highest rank of any module. */
export function rankOf({ config: { r = 0, rank_pattern: pattern } }: AdapterFacts): number {
  return Math.max(Number(r), ...Object.values((pattern ?? {}) as Readonly<Record<string, number>>))
}

/** Finds that an adapter is of another method. */
export function isOther({ config: { peft_type: type } }: AdapterFacts): string | undefined {
  return type === 'LORA' ? undefined : `peft_type: ${shown(type)}`
}

export function trainedBiases({ config: { bias = 'none' } }: AdapterFacts): string | undefined {
  return bias === 'none' ? undefined : `bias: ${String(bias)}`
}

/** Some names, with what they are; undefined of none. */
export function listed(what: string, names: readonly unknown[]): string | undefined {
  return names.length === 0 ? undefined : `${what}: ${short(names.join(', '))}`
}

function short(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`
}
