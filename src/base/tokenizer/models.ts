import { wordPiece } from './bert.ts'
import type { WordPieceConfig } from './bert.ts'
import { bytePairs } from './bpe.ts'
import type { BpeConfig } from './bpe.ts'
import type { Step } from './schema.ts'
import { noToken } from './unknown.ts'
import { unigram } from './unigram.ts'
import type { UnigramConfig } from './unigram.ts'

/** Tokens of a word, and where each stands in it: from `spans[2 * i]` to `spans[2 * i + 1]`, in UTF-16 units. */
export interface Tokens {
  readonly ids: readonly number[]
  readonly spans: readonly number[]
}

/** The last step of encoding: the tokens of a word. */
export interface TokenModel {
  readonly split: (word: string) => Tokens
  /** Tokens of the model; added ones are not among them. */
  readonly ids: ReadonlyMap<string, number>
}

/** The model of tokenizer.json, one that has passed the check; each as the reference (tokenizers 0.23) does it. */
export function tokenModel(step: Step): TokenModel {
  if (step.type === 'Unigram') return unigram(step as unknown as UnigramConfig)
  const ids = new Map(Object.entries(step['vocab'] as Readonly<Record<string, number>>))
  if (step.type === 'BPE') return { ids, split: bytePairs(step as unknown as BpeConfig, ids) }
  if (step.type === 'WordPiece') return { ids, split: wordPiece(step as WordPieceConfig, ids) }
  const unknown = ids.get((step['unk_token'] as string | null | undefined) ?? '<unk>')
  return {
    ids,
    split(word) {
      const id = ids.get(word) ?? unknown
      if (id === undefined) throw noToken(word)
      return { ids: [id], spans: [0, word.length] }
    },
  }
}
