import { wordPiece } from './bert.ts'
import type { WordPieceConfig } from './bert.ts'
import { bytePairs } from './bpe.ts'
import type { BpeConfig } from './bpe.ts'
import type { Step } from './schema.ts'
import { noToken } from './unknown.ts'
import { unigram } from './unigram.ts'
import type { UnigramConfig } from './unigram.ts'

/** The last step of encoding: ids of the pieces of a word. */
export interface TokenModel {
  readonly split: (word: string) => number[]
  /** Tokens of the model; added ones are not among them. */
  readonly ids: ReadonlyMap<string, number>
}

/** The model of tokenizer.json, one that has passed the check; each as the reference (tokenizers 0.23) does it. */
export function tokenModel(step: Step): TokenModel {
  if (step.type === 'Unigram') return unigram(step as unknown as UnigramConfig)
  const ids = new Map(Object.entries(step['vocab'] as Readonly<Record<string, number>>))
  if (step.type === 'BPE') return { ids, split: bytePairs(step as unknown as BpeConfig, ids) }
  const unknown = ids.get((step['unk_token'] as string | null | undefined) ?? (step.type === 'WordPiece' ? '[UNK]' : '<unk>'))
  const idOf = (token: string): number => {
    const id = ids.get(token) ?? unknown
    if (id === undefined) throw noToken(token)
    return id
  }
  if (step.type === 'WordLevel') return { ids, split: (word) => [idOf(word)] }
  const pieces = wordPiece(step as WordPieceConfig, ids)
  return { ids, split: (word) => pieces(word).map(idOf) }
}
