import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, InputError } from '../errors.ts'
import { resolveSource, tokenizerFiles } from './io/hub.ts'
import type { HubOptions } from './io/hub.ts'
import { chatTemplate } from './tokenizer-chat.ts'
import type { ChatMessage, ChatOptions } from './tokenizer-chat.ts'
import { libraryTokenizer } from './tokenizer-library.ts'
import { plainTemplate, templateOf, truncatedLengths } from './tokenizer-template.ts'
import type { PostProcessorJson, Template, Truncation } from './tokenizer-template.ts'
import { correctedJson, textTokenizer } from './tokenizer-text.ts'
import type { TextTokenizer, TextTokens, TokenizerJson } from './tokenizer-text.ts'

/** How rows are cut and filled. */
export interface EncodeOptions {
  /** Most tokens of a row, special ones included. @default no limit */
  readonly maxLength?: number | undefined
  /** Which text of a pair is cut. @default 'longest_first' */
  readonly truncation?: Truncation | undefined
  /** Fill rows to the longest one's length or to `maxLength`. @default false */
  readonly padding?: 'longest' | 'max' | false | undefined
  /** Put the tokenizer's special tokens around the text; false for what a chat template wrote, which has them. @default true */
  readonly specialTokens?: boolean | undefined
  /** Also say where each token stands in its text; WordPiece tokenizers alone. @default false */
  readonly offsets?: boolean | undefined
}

/** Rows of tokens, one for each text or pair. */
export interface Encoded {
  readonly ids: readonly Int32Array[]
  /** 1 for a token, 0 for padding. */
  readonly attentionMask: readonly Int32Array[]
  /** Which text of a pair a token belongs to, by the tokenizer's own rule. */
  readonly typeIds: readonly Int32Array[]
  /** 1 for a token that is not from the text. */
  readonly specialTokensMask: readonly Int32Array[]
  /** Begin and end of each token in its text, as `text.slice` takes them; [0, 0] for special tokens. */
  readonly offsets?: readonly (readonly (readonly [number, number])[])[]
}

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
 * Loads the tokenizer of a model: `tokenizer.json`, with the names of special tokens and the padding side from
 * `tokenizer_config.json` and `special_tokens_map.json`.
 *
 * @param source a folder or a Hub id
 * @throws CheckpointError when there is no `tokenizer.json` or it cannot be used; HubError, InputError as `resolveSource`
 * @example
 * const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2')
 */
export async function loadTokenizer(source: string, options: HubOptions = {}): Promise<Tokenizer> {
  const folder = await resolveSource(source, { ...options, allow: tokenizerFiles })
  const json = await readJson<FullJson>(join(folder, 'tokenizer.json'))
  if (json === undefined) {
    throw new CheckpointError(`${source} has no tokenizer.json. Make it once in Python: AutoTokenizer.from_pretrained("${source}").save_pretrained(folder)`)
  }
  const config = { ...(await readJson<Config>(join(folder, 'special_tokens_map.json'))), ...(await readJson<Config>(join(folder, 'tokenizer_config.json'))) }
  const jinja = await readText(join(folder, 'chat_template.jinja'))
  try {
    return makeTokenizer(json, config, jinja)
  } catch (cause) {
    throw new CheckpointError(`${join(folder, 'tokenizer.json')} is not a tokenizer this library can use: ${(cause as Error).message}`, [], { cause })
  }
}

interface FullJson extends TokenizerJson {
  readonly post_processor: PostProcessorJson | null
  readonly padding?: { readonly pad_id?: number; readonly pad_type_id?: number; readonly direction?: 'Left' | 'Right' } | null
}

type Config = Record<string, unknown>

/** What a configuration calls its special tokens. */
const SPECIAL = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CheckpointError(`${path} cannot be read: ${(error as Error).message}`, [], { cause: error })
  })
}

async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readText(path)
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as unknown
    if (typeof value !== 'object' || value === null) throw new SyntaxError('expected an object')
    return value as T
  } catch (cause) {
    throw new CheckpointError(`${path} is not valid JSON: ${(cause as Error).message}`, [], { cause })
  }
}

function makeTokenizer(json: FullJson, config: Config, jinja: string | undefined): Tokenizer {
  // The library looks for the unknown token of a WordLevel model in the configuration alone.
  const library = libraryTokenizer(correctedJson(json), { unk_token: json.model.unk_token, ...config })
  const idOf = (name: string): number | undefined => {
    const token = config[name]
    const content = typeof token === 'object' && token !== null && 'content' in token ? token.content : token
    return typeof content === 'string' ? library.token_to_id(content) : undefined
  }
  const padId = idOf('pad_token') ?? json.padding?.pad_id
  const encoder: Encoder = {
    tokenize: textTokenizer(json, library),
    template: templateOf(json.post_processor),
    cutLeft: config['truncation_side'] === 'left',
    padLeft: (config['padding_side'] ?? json.padding?.direction?.toLowerCase()) === 'left',
    padId,
    padTypeId: json.padding?.pad_type_id ?? 0,
  }
  const vocabulary = library.model.vocab
  return {
    encode: (texts, options = {}) => encode(encoder, texts, options),
    decode(ids, { skipSpecialTokens = true } = {}) {
      const known = Array.from(ids).filter((id) => vocabulary[id] !== undefined) // a model may have more rows than tokens
      return known.length === 0 ? '' : library.decode(known, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false })
    },
    applyChatTemplate: chatTemplate(config, jinja),
    tokenToId: (token) => library.token_to_id(token),
    idToToken: (id) => vocabulary[id],
    vocabSize: vocabulary.length,
    padId,
    maskId: idOf('mask_token'),
    clsId: idOf('cls_token'),
    sepId: idOf('sep_token'),
    specialIds: [...new Set([...SPECIAL.map(idOf), ...json.added_tokens.filter(({ special }) => special === true).map(({ id }) => id)])]
      .filter((id) => id !== undefined),
  }
}

interface Encoder {
  readonly tokenize: TextTokenizer
  readonly template: Template
  readonly cutLeft: boolean
  readonly padLeft: boolean
  readonly padId: number | undefined
  readonly padTypeId: number
}

interface Row {
  readonly ids: number[]
  readonly typeIds: number[]
  readonly special: number[]
  readonly offsets: (readonly [number, number])[]
}

function encode(encoder: Encoder, texts: readonly (string | readonly [string, string])[], options: EncodeOptions): Encoded {
  const { maxLength, truncation = 'longest_first', padding = false, specialTokens = true, offsets = false } = options
  const { padId, padTypeId, padLeft } = encoder
  const problems: string[] = []
  if (maxLength !== undefined && !(Number.isInteger(maxLength) && maxLength > 0)) problems.push(`maxLength: expected a natural number, got ${maxLength}`)
  if (padding === 'max' && maxLength === undefined) problems.push('padding "max" needs a maxLength')
  if (padding !== false && padId === undefined) problems.push('padding: the tokenizer has no padding token. Name one as "pad_token" in tokenizer_config.json')
  if (problems.length > 0) throw new InputError('The texts cannot be encoded', problems)

  const rows = texts.map((text, i) => {
    const row = encodeRow(specialTokens ? encoder : { ...encoder, template: plainTemplate }, text, maxLength ?? Infinity, truncation, offsets)
    if (typeof row === 'string') problems.push(`text ${i}: ${row}`)
    return row
  })
  if (problems.length > 0) throw new InputError('The texts cannot be encoded', problems)
  const good = rows as Row[]
  const length = padding === 'max' ? maxLength : padding === 'longest' ? good.reduce((most, { ids }) => Math.max(most, ids.length), 0) : undefined
  const fill = <T>(values: readonly T[], value: T): readonly T[] => {
    if (length === undefined) return values
    const pad = Array<T>(length - values.length).fill(value)
    return padLeft ? [...pad, ...values] : [...values, ...pad]
  }
  const rowsOf = (field: (row: Row) => readonly number[], value: number): Int32Array[] => good.map((row) => Int32Array.from(fill(field(row), value)))
  return {
    ids: rowsOf(({ ids }) => ids, padId ?? 0),
    attentionMask: rowsOf(({ ids }) => ids.map(() => 1), 0),
    typeIds: rowsOf(({ typeIds }) => typeIds, padTypeId),
    specialTokensMask: rowsOf(({ special }) => special, 1),
    ...(offsets ? { offsets: good.map((row) => fill(row.offsets, [0, 0])) } : {}),
  }
}

/** The row, or why there is none. */
function encodeRow(encoder: Encoder, text: string | readonly [string, string], maxLength: number, truncation: Truncation, offsets: boolean): Row | string {
  const texts = typeof text === 'string' ? [text] : text
  const template = texts.length === 1 ? encoder.template.single : encoder.template.pair
  const room = maxLength - template.filter((slot) => 'id' in slot).length
  if (room < 0) return `the special tokens alone are more than maxLength ${maxLength}`
  const tokenize = (limit: number): TextTokens[] => texts.map((each) => encoder.tokenize(each, limit, offsets))
  let tokens = tokenize(encoder.cutLeft ? Infinity : room + 1) // one more, to tell a text that just fits from a longer one
  // The odd token goes to the longer text: which one that is only their whole lengths tell.
  if (room % 2 === 1 && tokens.length === 2 && tokens.every(({ ids }) => ids.length > room)) tokens = tokenize(Infinity)
  const [first, second] = tokens
  const kept = texts.length === 1
    ? [Math.min(first?.ids.length ?? 0, room), 0] as const
    : truncatedLengths(first?.ids.length ?? 0, second?.ids.length ?? 0, room, truncation)
  if (kept === undefined) return `the second text alone fills the ${room} tokens that maxLength ${maxLength} leaves; cut it too (truncation "longest_first")`

  const row: Row = { ids: [], typeIds: [], special: [], offsets: [] }
  for (const slot of template) {
    const part: TextTokens = 'id' in slot ? { ids: [slot.id], offsets: [] } : (tokens[slot.text] ?? { ids: [], offsets: [] })
    const count = 'id' in slot ? 1 : kept[slot.text]
    const from = encoder.cutLeft ? part.ids.length - count : 0
    for (let i = from; i < from + count; i++) {
      row.ids.push(part.ids[i] as number) // within the part
      row.typeIds.push(slot.typeId)
      row.special.push('id' in slot ? 1 : 0)
      row.offsets.push(part.offsets[i] ?? [0, 0])
    }
  }
  return row
}
