// Trainable tokens: some rows of a table are trained, and of a head that is one tensor with it the same rows; the others stay.
// As HF PEFT's TrainableTokens.

import { selectModules, weightSites } from '../base/adapter/targets.ts'
import { checkIndices, rowsMethod } from '../base/adapter/token-rows.ts'
import { tableOf } from '../base/adapter/vocabulary.ts'
import type { Method } from '../base/method.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { EmbeddingSite, Site } from '../base/sites.ts'
import type { Selection } from '../base/adapter/selection.ts'
import { InputError, shown } from '../errors.ts'
import { trainableTokensFormat } from './trainable-tokens-format.ts'

/** Options of trainable tokens: which, by id or as the tokenizer has them. */
export interface TrainableTokensOptions extends Pick<Selection, 'targets' | 'inFile'> {
  /** Ids, each once. @default those of `tokens` */
  readonly indices?: readonly number[]
  /** In place of ids: the tokens, which the tokenizer beside them knows. @default none */
  readonly tokens?: readonly string[]
  /** Knows the ids of `tokens`. @default none */
  readonly tokenizer?: { readonly tokenToId: (token: string) => number | undefined }
  /** Modules whose rows are trained. @default the table in which texts are looked up */
  readonly targets?: readonly string[] | string
}

const NAMES: Names<TrainableTokensOptions> = { indices: true, tokens: true, tokenizer: true, targets: true, inFile: true }

/**
 * Trains the rows of some tokens and nothing else of a table: new words of a vocabulary that grew, or marks that get a meaning. The
 * file holds these rows alone. A head that is one tensor with the table changes with it, and of an encoder-decoder the other table. The adapted model starts equal to the base.
 *
 * HF PEFT trains no head beside them, and does not read them for classification: there, `lora({ trainableTokens })` is what it has.
 * Two adapters of the same token add what each has changed; HF PEFT refuses them.
 *
 * @throws InputError for what is no id or no token; TargetError, on attaching, when a target matches nothing
 * @example const marks = attach(model, trainableTokens({ tokens: ['[CLS]', '[SEP]'], tokenizer }))
 */
export function trainableTokens(options: TrainableTokensOptions): Method {
  checkNames('trainableTokens', options, NAMES)
  const indices = indicesOf(options)
  const { targets, inFile } = options
  const selection = { ...(targets === undefined ? {} : { targets }), ...(inFile === undefined ? {} : { inFile }) }
  return {
    ...rowsMethod(() => indices, targets !== undefined),
    name: 'trainableTokens',
    select: (sites) => selectModules(weightSites(sites), selection, { unnamed: wordTables(sites), what: 'linear module or embedding' }),
    format: trainableTokensFormat(indices, selection),
  }
}

function wordTables(sites: readonly Site[]): EmbeddingSite[] {
  return sites.filter((site) => site.kind === 'embedding' && site.weight === tableOf(sites)) as EmbeddingSite[]
}

function indicesOf({ indices, tokens, tokenizer }: TrainableTokensOptions): readonly number[] {
  if ((indices === undefined) === (tokens === undefined)) throw new InputError('trainableTokens: expected either { indices }, or { tokens, tokenizer }.')
  if (tokens !== undefined && tokenizer === undefined) throw new InputError('trainableTokens: tokens: expected the tokenizer beside them, which knows their ids.')
  const unknown = (tokens ?? []).filter((token) => tokenizer?.tokenToId(token) === undefined)
  if (unknown.length > 0) throw new InputError('trainableTokens: tokens that the tokenizer does not have; growVocabulary adds some:', unknown.map(shown))
  const found = indices ?? tokens?.map((token) => tokenizer?.tokenToId(token) as number) ?? [] // checked
  checkIndices('trainableTokens: indices', found)
  return found
}
