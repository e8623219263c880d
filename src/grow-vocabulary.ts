import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { tableOf, vocabularyParams } from './base/adapter/vocabulary.ts'
import { rounded, withParams } from './base/adapter/with-params.ts'
import { checkAwaited } from './base/awaited.ts'
import { tidied } from './base/engine/tidied.ts'
import { checkAlive, Model } from './base/model.ts'
import { checkNames, type Names } from './base/options.ts'
import { paramOf, storedOf } from './base/parameters.ts'
import type { AddTokensOptions } from './base/tokenizer/added.ts'
import type { Tokenizer } from './base/tokenizer/tokenizer.ts'
import { InputError, shown } from './errors.ts'

/** What `growVocabulary` takes. */
export interface GrowOptions extends AddTokensOptions {
  /**
   * How the row of a new token starts, in the table and in a language model's head: as the mean of all rows (Hewitt 2021,
   * "Initializing New Word Embeddings for Pretrained Language Models"), or of those of the pieces that the tokenizer cut it into
   * before. @default 'mean'
   */
  readonly from?: 'mean' | 'pieces'
}

/** A model and a tokenizer with the same, larger vocabulary. */
export interface Grown {
  readonly model: Model
  readonly tokenizer: Tokenizer
  /** Of each token that was asked for. */
  readonly ids: readonly number[]
}

const STARTS: readonly string[] = ['mean', 'pieces']

const NAMES: Names<GrowOptions> = { from: true, special: true }

/**
 * Adds tokens to a tokenizer and rows for them to a model: to its table, and to the head of a language model, which stays one tensor
 * with the table where it was. Both are new and the old ones stay as they are, without the adapters of the old model; what did not
 * change is shared, and each model is disposed by itself. A token that the tokenizer has keeps its id and its row. Rows that the
 * table has beyond the tokenizer's tokens are taken first.
 *
 * Saved, the model, and an adapter that is attached to it, come with the larger tokenizer and with the tables; transformers and PEFT
 * open both. For PEFT, resize the base to the rows of the tables before the adapter is loaded.
 *
 * Differs from transformers: no noise is added to the mean.
 *
 * @throws InputError when the tokenizer is not the model's, or a token is no text
 * @example
 * const { model: grown, tokenizer: words, ids } = growVocabulary(model, tokenizer, ['<ticket>', '<amount>'], { from: 'pieces' })
 * console.log(ids, words.encode(['pay <amount> for <ticket>']).ids)
 * grown.dispose()
 */
export function growVocabulary(model: Model, tokenizer: Tokenizer, tokens: readonly string[], options: GrowOptions = {}): Grown {
  checkNames('growVocabulary', options, NAMES)
  checkAwaited('model', model)
  checkAwaited('tokenizer', tokenizer)
  checkAlive(model, 'growVocabulary')
  const { from = 'mean', ...added } = options
  if (!STARTS.includes(from)) throw new InputError(`growVocabulary: from: expected 'mean' or 'pieces', got ${shown(from)}.`)
  const table = tableOf(model.parts.sites)
  if (table === undefined) throw new InputError('growVocabulary: the model looks no tokens up in a table.')
  const { shape: [rows = 0] } = storedOf(model, table)
  if (tokenizer.vocabSize > rows) throw new InputError(`growVocabulary: the tokenizer has ${tokenizer.vocabSize} tokens and the model ${rows} rows; expected the model's own tokenizer.`)
  const larger = tokenizer.withTokens(tokens, added)
  const fresh = [...new Set(tokens)].filter((token) => tokenizer.tokenToId(token) === undefined)
  const pieces = from === 'mean' ? fresh.map(() => []) : fresh.map((token) => [...(tokenizer.encode([token], { specialTokens: false }).ids[0] ?? [])])
  const starts = new Map(fresh.map((token, i) => [idOf(larger, token), pieces[i] ?? []]))
  const grown = tidied(() => {
    const names = [...vocabularyParams(model.parts)]
    const kept = new Map(names.map((name) => [model.parts.ties.get(name) ?? name, undefined as Tensor | undefined]))
    for (const name of kept.keys()) kept.set(name, withRows(paramOf(model, name), Math.max(rows, larger.vocabSize), starts))
    const changed = new Map(names.flatMap((name) => [[name, kept.get(model.parts.ties.get(name) ?? name) as Tensor] as const]))
    return withParams(model, changed, model)
  })
  const { parts } = rounded(grown, model)
  const result = new Model({ ...parts, grown: { saveTokenizer: (folder) => larger.save(folder) } })
  return { model: result, tokenizer: larger, ids: tokens.map((token) => idOf(larger, token)) }
}

function idOf(tokenizer: Tokenizer, token: string): number {
  return tokenizer.tokenToId(token) as number // it was added
}

/** A table, or a bias, with so many rows; some of them start as the mean of others, or of all where none are named. */
function withRows(table: Tensor, count: number, starts: ReadonlyMap<number, readonly number[]>): Tensor {
  if (starts.size === 0) return table
  const [rows = 0] = table.shape
  const all = tf.mean(table, 0)
  const means = [...starts.values()].map((from) => (from.length === 0 ? all : tf.mean(tf.gather(table, [...from]), 0)))
  const places = Array.from({ length: count }, (_, row) => row)
  for (const [i, id] of [...starts.keys()].entries()) places[id] = rows + i
  return tf.gather(tf.concat([table, tf.stack(means)]), places)
}
