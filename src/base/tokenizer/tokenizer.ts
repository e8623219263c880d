import { join } from 'node:path'
import { CheckpointError } from '../../errors.ts'
import { resolveSource, tokenizerFiles } from '../hub/download.ts'
import { HUB_OPTIONS, type HubOptions } from '../hub/options.ts'
import { chatTemplate } from './chat.ts'
import type { ChatMessage, ChatOptions } from './chat.ts'
import { encodeTexts, encodeWords } from './encode.ts'
import type { Encoded, EncodedWords, EncodeOptions, Encoder, EncodeWordsOptions } from './encode.ts'
import { templateOf } from './template.ts'
import { trimOf } from './trim.ts'
import { inNormalized, contentOf, newTokens, type AddTokensOptions } from './added.ts'
import { readTokenizerFiles, strangersIn, writeTokenizerFiles, type TokenizerOrigin } from './files.ts'
import { madeWith, withWords } from './own-words.ts'
import { textTokenizer } from './text.ts'
import { tokenizerProblems, withType } from './check.ts'
import { configured, specialNames } from './configured.ts'
import type { FullJson } from './configured.ts'
import { cleanUp, decoderOf } from './decoders.ts'
import { tokenModel } from './models.ts'
import { normalizerOf } from './normalizers.ts'
import { checkNames } from '../options.ts'

/** Text to token ids and back, with the ids Python's `tokenizers` gives. */
export interface Tokenizer {
  /**
   * The ids of texts, or of pairs of texts; a mask and types where they are asked for.
   *
   * @throws InputError when `maxLength` leaves no room, or padding is asked of a tokenizer without a padding token
   * @example
   * const { ids, attentionMask } = tokenizer.encode(['first mail', ['question', 'context']], { maxLength: 128, padding: 'longest' })
   */
  encode(texts: readonly (string | readonly [string, string])[], options?: EncodeOptions): Encoded
  /**
   * The ids of rows of words that come split already, and of which word each token is: for a label per word, see
   * `alignLabels`.
   *
   * @throws InputError as `encode`, and when a row is not a list of words
   * @example
   * const { ids, wordIds } = tokenizer.encodeWords([['Ada', 'lives', 'in', 'London']], { maxLength: 128 })
   */
  encodeWords(rows: readonly (readonly string[])[], options?: EncodeWordsOptions): EncodedWords
  /** The text of a row; special tokens are left out unless asked for. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string
  /**
   * The text of a conversation in the words of the model's chat template, special tokens among them: encode it with
   * `specialTokens: false`.
   *
   * @throws InputError where there is no template, or it refuses the messages; CheckpointError where it cannot be read
   * @example
   * const text = tokenizer.applyChatTemplate([{ role: 'user', content: 'Hello' }], { addGenerationPrompt: true })
   * const { ids } = tokenizer.encode([text], { specialTokens: false })
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): string
  /**
   * A tokenizer with more tokens, each found in a text as it stands and never split: their ids come behind those there are. This one
   * stays as it is. Tokens that it has keep their ids. A model needs a row for each, see `growVocabulary`.
   *
   * @throws InputError when there are none, or one is no text
   * @example const more = tokenizer.withTokens(['<ticket>'])
   */
  withTokens(tokens: readonly string[], options?: AddTokensOptions): Tokenizer
  /**
   * Writes its files into a folder, as `loadTokenizer` and `AutoTokenizer.from_pretrained` read them.
   *
   * @throws CheckpointError when they cannot be written, or the folder that it was read from is not there any more
   * @example await tokenizer.withTokens(['<ticket>']).save('more-tokens')
   */
  save(folder: string): Promise<void>
  /** The id of a token as the vocabulary writes it; undefined when it is not there. */
  tokenToId(token: string): number | undefined
  /** The token of an id as the vocabulary writes it; undefined when it is not there. */
  idToToken(id: number): string | undefined
  /** Highest id and one: the rows an embedding needs at least. */
  readonly vocabSize: number
  readonly padId: number | undefined
  readonly maskId: number | undefined
  readonly clsId: number | undefined
  readonly sepId: number | undefined
  /** Ids of all tokens that stand for no text. */
  readonly specialIds: readonly number[]
}

/**
 * Loads the tokenizer of a model: `tokenizer.json`, with what `tokenizer_config.json` and `special_tokens_map.json` say
 * otherwise, as transformers reads them. What is asked for there and not done here is refused.
 *
 * @param source a folder or a Hub id
 * @throws CheckpointError when there is no `tokenizer.json` or it cannot be used; HubError, InputError as `resolveSource`
 * @example
 * const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2')
 */
export async function loadTokenizer(source: string, options: HubOptions = {}): Promise<Tokenizer> {
  checkNames('loadTokenizer', options, HUB_OPTIONS)
  const folder = await resolveSource(source, { ...options, allow: [...tokenizerFiles, 'added_tokens.json', 'config.json'] })
  return openTokenizer({ folder, source, added: [] })
}

function openTokenizer(origin: TokenizerOrigin): Tokenizer {
  const { json, config, templates } = readTokenizerSettings(origin.folder, origin.source)
  try {
    return makeTokenizer({ ...json, added_tokens: [...json.added_tokens, ...origin.added] }, config, templates, origin)
  } catch (cause) {
    throw new CheckpointError(`${join(origin.folder, 'tokenizer.json')} cannot be used as a tokenizer: ${(cause as Error).message}`, [], { cause })
  }
}

/** What the files of a tokenizer come to. @throws CheckpointError when there is no `tokenizer.json` or it cannot be used */
export function readTokenizerSettings(folder: string, source: string): { readonly json: FullJson; readonly config: Config; readonly templates: ReadonlyMap<string, string> } {
  const { file, config, modelType, templates } = readTokenizerFiles(folder, source)
  const fileProblems = tokenizerProblems(file)
  if (fileProblems.length > 0) throw new CheckpointError(`${join(folder, 'tokenizer.json')} cannot be used as a tokenizer:`, fileProblems)
  const { json, config: full, problems } = configured(completed(file), config, modelType)
  if (problems.length > 0) throw new CheckpointError(`${join(folder, 'tokenizer_config.json')} cannot be used with the tokenizer.json beside it:`, problems)
  return { json, config: full, templates }
}

/** Fields that files leave out. */
function completed(file: Config): FullJson {
  const { normalizer = null, pre_tokenizer = null, post_processor = null, decoder = null, padding = null, truncation = null, added_tokens = [], model } = file
  return { normalizer, pre_tokenizer, post_processor, decoder, padding, truncation, added_tokens, model: withType(model as Config) } as FullJson
}

type Config = Readonly<Record<string, unknown>>

function makeTokenizer(json: FullJson, config: Config, templates: ReadonlyMap<string, string>, origin: TokenizerOrigin): Tokenizer {
  const model = tokenModel(json.model)
  const { added_tokens: addedTokens } = json
  const ids = new Map(model.ids)
  for (const { content, id } of json.added_tokens) ids.set(content, id)
  const tokens = new Map(Array.from(model.ids, ([token, id]) => [id, token]))
  // A token that is sought in the normalised text is also named as there, and then not known as a special one: so the reference does it.
  const normalize = normalizerOf(json.normalizer)
  for (const token of json.added_tokens) tokens.set(token.id, inNormalized(token) ? normalize({ text: token.content }).text : token.content)
  const special = json.added_tokens.filter((token) => token.special === true)
  const left = new Set(special.map(({ content }) => content))
  const idOf = (name: string): number | undefined => ids.get(contentOf(config[name]) ?? '')
  const padId = idOf('pad_token') ?? json.padding?.pad_id
  const encoder: Encoder = {
    tokenize: textTokenizer(json, model),
    template: templateOf(json.post_processor),
    trim: trimOf(json.post_processor),
    cutLeft: (config['truncation_side'] ?? json.truncation?.direction?.toLowerCase()) === 'left',
    padLeft: (config['padding_side'] ?? json.padding?.direction?.toLowerCase()) === 'left',
    padId,
    padTypeId: json.padding?.pad_type_id ?? 0,
  }
  const decoded = decoderOf(json.decoder)
  const decode = config['clean_up_tokenization_spaces'] === true && json.model.type !== 'BPE' ? (row: readonly string[]): string => cleanUp(decoded(row)) : decoded
  const tokenizer: Tokenizer = {
    encode: (texts, options = {}) => madeWith(tokenizer, encodeTexts(encoder, texts, options)),
    encodeWords: (rows, options = {}) => madeWith(tokenizer, encodeWords(encoder, rows, options)),
    decode(row, { skipSpecialTokens = true } = {}) {
      // A model may have more rows than tokens.
      const known = Array.from(row, (id) => tokens.get(id)).filter((token): token is string => token !== undefined && !(skipSpecialTokens && left.has(token)))
      return known.length === 0 ? '' : decode(known)
    },
    applyChatTemplate: chatTemplate(config, templates),
    withTokens: (more, options = {}) => openTokenizer({ ...origin, added: [...origin.added, ...newTokens(more, options, addedTokens, model.ids)] }),
    save: (into) => writeTokenizerFiles(origin.folder, origin.added.length === 0 ? undefined : addedTokens, into),
    tokenToId: (token) => ids.get(token),
    idToToken: (id) => tokens.get(id),
    vocabSize: Array.from(tokens.keys()).reduce((most, id) => Math.max(most, id + 1), 0),
    padId,
    maskId: idOf('mask_token'),
    clsId: idOf('cls_token'),
    sepId: idOf('sep_token'),
    specialIds: [...new Set([...specialNames.map(idOf), ...special.map(({ id }) => id)])].filter((id) => id !== undefined),
  }
  return withWords(tokenizer, { source: origin.source, strangersIn: (folder) => strangersIn(model.ids, origin.folder, folder) })
}
