// The files that a tokenizer is read from and written to.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CheckpointError } from '../../errors.ts'
import { companionsOf, copyCompanions } from '../checkpoint/companions.ts'
import { writeAtomic } from '../files/atomic.ts'
import { replaceFiles } from '../files/folder-save.ts'
import { readObjectIfThere } from '../files/json-file.ts'
import { allTokenizerFiles } from '../hub/download.ts'
import type { AddedToken } from './added.ts'

type Json = Readonly<Record<string, unknown>>

/** What a tokenizer is made of: the files of a folder, and tokens added since. */
export interface TokenizerOrigin {
  readonly folder: string
  /** Where the folder came from. */
  readonly source: string
  readonly added: readonly AddedToken[]
}

/** What the files of a tokenizer hold. */
export interface TokenizerFiles {
  /** tokenizer.json. */
  readonly file: Json
  /** tokenizer_config.json, and what it leaves to special_tokens_map.json and added_tokens.json. */
  readonly config: Json
  /** `model_type` of the model's config.json. */
  readonly modelType: unknown
  /** chat_template.jinja as 'default', and those with names of their own. */
  readonly templates: ReadonlyMap<string, string>
}

/** @throws CheckpointError when there is no tokenizer.json, or a file cannot be read */
export function readTokenizerFiles(folder: string, source: string): TokenizerFiles {
  const file = readObjectIfThere(join(folder, 'tokenizer.json'), 'a tokenizer')
  if (file === undefined) {
    throw new CheckpointError(`${source} has no tokenizer.json. Make it once in Python: AutoTokenizer.from_pretrained("${source}").save_pretrained(folder)`)
  }
  const settings = (name: string): Json | undefined => readObjectIfThere(join(folder, name), 'settings of a tokenizer')
  const config: Record<string, unknown> = { ...settings('special_tokens_map.json'), ...settings('tokenizer_config.json') }
  config['added_tokens_decoder'] ??= Object.fromEntries(Object.entries(settings('added_tokens.json') ?? {})
    .map(([content, id]) => [String(id), { content, normalized: false, special: false }]))
  const { model_type: modelType } = readObjectIfThere(join(folder, 'config.json'), "a model's configuration") ?? {}
  return { file, config, modelType, templates: readTemplates(folder) }
}

/**
 * Writes the files of a folder into another.
 *
 * @param added all added tokens, where there are more than those of the files
 * @throws CheckpointError
 */
export async function writeTokenizerFiles(from: string, added: readonly AddedToken[] | undefined, to: string): Promise<void> {
  const companions = (await companionsOf(from)).filter((file) => file.includes('/') || allTokenizerFiles.includes(file))
  if (!companions.includes('tokenizer.json')) throw new CheckpointError(`${to}: the tokenizer cannot be saved: ${from}, from where it was read, has no tokenizer.json any more.`)
  await replaceFiles(to, async (into) => {
    await copyCompanions(from, companions, into)
    const rewrite = async (name: string, change: (json: Json) => Json): Promise<void> => {
      const json = readObjectIfThere(join(from, name), 'settings of a tokenizer')
      if (json !== undefined) await writeAtomic(join(into, name), `${JSON.stringify(change(json), null, 2)}\n`)
    }
    if (added !== undefined) {
      const tokens = [...added].sort((a, b) => a.id - b.id)
      await rewrite('tokenizer.json', (json) => ({ ...json, added_tokens: tokens }))
      await rewrite('tokenizer_config.json', (json) => (json['added_tokens_decoder'] === undefined ? json
        : { ...json, added_tokens_decoder: Object.fromEntries(tokens.map(({ id, ...token }) => [String(id), token])) }))
      await rewrite('added_tokens.json', () => Object.fromEntries(tokens.map(({ id, content }) => [content, id])))
    }
    return []
  })
}

/**
 * How many tokens have another id in the tokenizer of another folder.
 *
 * @param own folder of the tokens; undefined where the other has no tokenizer that can be read
 */
export function strangersIn(ids: ReadonlyMap<string, number>, own: string, other: string): { readonly strange: number; readonly all: number } | undefined {
  const [here, there] = [own, other].map((folder) => join(folder, 'tokenizer.json')) as [string, string]
  try {
    if (own === other || readFileSync(here).equals(readFileSync(there))) return { strange: 0, all: ids.size }
    const { model: { vocab } } = JSON.parse(readFileSync(there, 'utf8')) as { model: { vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[] } }
    const others = new Map(Array.isArray(vocab) ? vocab.map(([token], id): [string, number] => [token as string, id]) : Object.entries(vocab))
    return { strange: [...ids].filter(([token, id]) => others.get(token) !== id).length, all: ids.size }
  } catch {
    return undefined
  }
}

function readTemplates(folder: string): ReadonlyMap<string, string> {
  const templates = new Map<string, string>()
  for (const name of namesOf(join(folder, 'additional_chat_templates')).filter((each) => each.endsWith('.jinja')).sort()) {
    templates.set(name.slice(0, -'.jinja'.length), readText(join(folder, 'additional_chat_templates', name)) ?? '')
  }
  const main = readText(join(folder, 'chat_template.jinja'))
  if (main !== undefined) templates.set('default', main)
  return templates
}

function namesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CheckpointError(`${path} cannot be read: ${(error as Error).message}`, [], { cause: error })
  }
}
