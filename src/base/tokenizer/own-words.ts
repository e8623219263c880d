// Whether token ids are what a model reads, as far as that can be known: the ids of another tokenizer mean other words there, padding would be
// read as text, and nothing else would tell.

import type { Model, ModelParts } from '../model.ts'
import type { Encoded } from './encode.ts'
import type { Tokenizer } from './tokenizer.ts'

/** What is known of the words of a tokenizer. */
export interface Words {
  readonly source: string
  /** Of its tokens, how many have another id in the tokenizer of a folder; undefined where there is none. */
  strangersIn(folder: string): { readonly strange: number; readonly all: number } | undefined
}

const known = new WeakMap<Tokenizer, Words>()
/** By the first row of each call. */
const madeBy = new WeakMap<object, Tokenizer>()
/** Models that have been held against a tokenizer. */
const compared = new WeakMap<Tokenizer, WeakSet<ModelParts>>()

/** The tokenizer, of which it is known what it has made. */
export function withWords(tokenizer: Tokenizer, words: Words): Tokenizer {
  known.set(tokenizer, words)
  return tokenizer
}

/** Rows that a tokenizer has filled up. */
const filledUp = new WeakSet()

/** What a tokenizer has made, of which that is known then. */
export function madeWith<T extends Pick<Encoded, 'ids' | 'attentionMask'>>(tokenizer: Tokenizer, encoded: T): T {
  if (encoded.ids[0] !== undefined) madeBy.set(encoded.ids[0], tokenizer)
  for (const [i, row] of encoded.ids.entries()) if (encoded.attentionMask[i]?.includes(0) === true) filledUp.add(row)
  return encoded
}

/** That rows have padding in them, for a model that was not trained with it. */
export function paddingProblem({ limits }: Model, name: string, rows: readonly unknown[] | undefined): string | undefined {
  const has = (row: unknown): boolean => typeof row === 'object' && row !== null && (filledUp.has(row) || (Array.isArray(row) && typeof row[0] === 'object' && row.some(has)))
  const isFilled = limits?.filled !== true && Array.isArray(rows) && rows.some(has)
  return isFilled ? `${name}: rows were filled up by the tokenizer, and the padding would be read as text; leave its option \`padding\` out: batches fill rows up, with a mask` : undefined
}

/** Most of the tokens may have been added since, or be named otherwise. */
const SHARE = 0.1

/** Says once where a tokenizer has other words than that of the model's own folder. */
export function warnOfOtherWords({ parts }: Model, tokenizer: Tokenizer): void {
  const words = known.get(tokenizer)
  const seen = compared.get(tokenizer) ?? new WeakSet()
  if (words === undefined || seen.has(parts) || !parts.companions.includes('tokenizer.json')) return
  compared.set(tokenizer, seen.add(parts))
  const { strange = 0, all = 1 } = words.strangersIn(parts.folder) ?? {}
  if (strange <= SHARE * all) return
  console.warn(`The tokenizer of ${words.source} is not that of the model: of its ${all} tokens ${strange} have another id in that of ${parts.source}, and mean something else to the model. Take the model's own: await loadTokenizer('${parts.source}').`)
}

/** The same of rows that a tokenizer has made. */
export function warnOfOtherRows(model: Model, ids: readonly ArrayLike<number>[] | undefined): void {
  if (!Array.isArray(ids)) return
  const tokenizer = (ids as readonly unknown[]).map((row) => (typeof row === 'object' && row !== null ? madeBy.get(row) : undefined)).find((each) => each !== undefined)
  if (tokenizer !== undefined) warnOfOtherWords(model, tokenizer)
}
