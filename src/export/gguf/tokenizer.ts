// A tokenizer in llama.cpp's words. It has two kinds of byte pair encoding: of bytes, in words split by a pattern that has a name there, and of
// SentencePiece, whose merges are those of the pieces with the highest score. Source: llama.cpp's src/llama-vocab.cpp

import { CheckpointError } from '../../errors.ts'
import { contentOf } from '../../base/tokenizer/added.ts'
import type { FullJson } from '../../base/tokenizer/configured.ts'
import type { Step } from '../../base/tokenizer/schema.ts'
import { loadTokenizer, readTokenizerSettings } from '../../base/tokenizer/tokenizer.ts'
import type { Settings } from './gguf-file.ts'

/** What a token is to llama.cpp. */
const TOKEN = { normal: 1, unknown: 2, control: 3, ofUsers: 4, unused: 5, byte: 6 } as const

const LETTERS = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`
const REST = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
const ENDINGS = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`
const CASED = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`

/** How words are split before their bytes are merged: what llama.cpp calls it, and the steps of tokenizer.json. */
const SPLITS: Readonly<Record<string, string>> = {
  'gpt-2': 'bytes of words',
  'llama-bpe': String.raw`${ENDINGS}|${LETTERS}|\p{N}{1,3}|${REST}; bytes`,
  qwen2: String.raw`${ENDINGS}|${LETTERS}|\p{N}|${REST}; bytes`,
  tekken: String.raw`${CASED}|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+; bytes`,
  smollm: 'digits; bytes of words',
}

/**
 * @param words rows of the table of the words: tokens without a text fill it up
 * @param ids of tokens, as config.json has them
 * @throws CheckpointError for a tokenizer that would split texts otherwise in llama.cpp
 */
export async function tokenizerSettings(folder: string, source: string, words: number, ids: Readonly<Record<string, unknown>>): Promise<Settings> {
  const { json, config, templates } = readTokenizerSettings(folder, source)
  const tokenizer = await loadTokenizer(folder)
  const kind = isOfBytes(json) ? ofBytes(json, source) : ofPieces(json, source)
  const tokens = Array.from({ length: words }, (_, id) => tokenizer.idToToken(id))
  const idOf = (name: string): number | undefined => {
    const own = tokenizer.tokenToId(contentOf(config[`${name}_token`]) ?? '')
    const given = [ids[`${name}_token_id`]].flat()[0]
    return own ?? (typeof given === 'number' && given >= 0 && given < words ? given : undefined)
  }
  const special = { bos: idOf('bos'), eos: idOf('eos'), unknown: tokenizer.tokenToId(contentOf(config['unk_token']) ?? textOf(json.model['unk_token'])), padding: tokenizer.padId }
  const [written = new Int32Array()] = tokenizer.encode(['a']).ids
  const template = templates.get('default')
  return {
    'tokenizer.ggml.model': ['text', kind.model],
    'tokenizer.ggml.pre': ['text', kind.pre],
    'tokenizer.ggml.tokens': ['texts', tokens.map((token, id) => token ?? `[PAD${id}]`)],
    'tokenizer.ggml.token_type': ['i32s', tokens.map((token, id) => kindOf(token, id, json, special.unknown, kind.model))],
    ...kind.settings(tokens),
    ...Object.fromEntries(Object.entries(special).flatMap(([name, id]) => (id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, ['u32', id] as const]]))),
    'tokenizer.ggml.add_bos_token': ['bool', special.bos !== undefined && written[0] === special.bos],
    'tokenizer.ggml.add_eos_token': ['bool', special.eos !== undefined && written[written.length - 1] === special.eos],
    ...(template === undefined ? {} : { 'tokenizer.chat_template': ['text', template] }),
  }
}

interface Kind {
  readonly model: string
  readonly pre: string
  readonly settings: (tokens: readonly (string | undefined)[]) => Settings
}

function ofBytes(json: FullJson, source: string): Kind {
  const split = stepsOf(json.pre_tokenizer).map(splitOf).join('; ')
  const [pre] = Object.entries(SPLITS).find(([, steps]) => steps === split) ?? []
  if (pre === undefined) {
    throw refused(source, `it splits texts by ${split || 'no pattern'}, which has no name among those that are written here: ${Object.keys(SPLITS).join(', ')}.`)
  }
  return { model: 'gpt2', pre, settings: () => ({ 'tokenizer.ggml.merges': ['texts', mergesOf(json).map((pair) => pair.join(' '))] }) }
}

function splitOf(step: Step): string {
  if (step.type === 'Split') return (step['pattern'] as Readonly<Record<string, string>>)['Regex'] ?? JSON.stringify(step['pattern'])
  if (step.type === 'Digits' && step['individual_digits'] === true) return 'digits'
  if (step.type === 'ByteLevel' && step['add_prefix_space'] !== true) return step['use_regex'] === false ? 'bytes' : 'bytes of words'
  return JSON.stringify(step)
}

function ofPieces(json: FullJson, source: string): Kind {
  const normalizers = stepsOf(json.normalizer)
  const metaspace = stepsOf(json.pre_tokenizer).find(({ type }) => type === 'Metaspace')
  const hasSpaces = metaspace !== undefined || normalizers.some(({ type, content }) => type === 'Replace' && content === '▁')
  if (json.model.type !== 'BPE' || json.model['byte_fallback'] !== true || !hasSpaces) {
    throw refused(source, `expected byte pair encoding of bytes or as SentencePiece has it, got ${json.model.type}.`)
  }
  const merges = mergesOf(json)
  checkPieces(json, merges, source)
  const prefix = normalizers.some(({ type, prepend }) => type === 'Prepend' && prepend === '▁') || (metaspace !== undefined && (metaspace['prepend_scheme'] ?? 'always') !== 'never')
  return {
    model: 'llama',
    pre: 'default',
    settings: (tokens) => {
      const scores = new Map<string, number>()
      for (const [i, pair] of merges.entries()) if (!scores.has(pair.join(''))) scores.set(pair.join(''), -i)
      return {
        'tokenizer.ggml.scores': ['f32s', tokens.map((token) => scores.get(token ?? '') ?? -merges.length)],
        'tokenizer.ggml.add_space_prefix': ['bool', prefix],
      }
    },
  }
}

/** @throws CheckpointError where two pieces make a third that no merge makes of them: SentencePiece has none such, and llama.cpp would merge them */
function checkPieces({ model }: FullJson, merges: readonly (readonly [string, string])[], source: string): void {
  const known = new Set(merges.map((pair) => pair.join(' ')))
  const made = new Set(merges.map((pair) => pair.join('')))
  const vocabulary = new Set(Object.keys(model['vocab'] as Readonly<Record<string, number>>))
  let [others, example] = [0, '']
  for (const piece of made) {
    const characters = Array.from(piece)
    for (let i = 1; i < characters.length; i++) {
      const [left, right] = [characters.slice(0, i).join(''), characters.slice(i).join('')]
      if (!vocabulary.has(left) || !vocabulary.has(right) || known.has(`${left} ${right}`)) continue
      others++
      example ||= `'${left}' and '${right}'`
    }
  }
  if (others > 0) throw refused(source, `its merges are not those of SentencePiece: ${others} pairs of pieces make another there that do not here, such as ${example}.`)
}

function kindOf(token: string | undefined, id: number, { added_tokens: added }: FullJson, unknown: number | undefined, model: string): number {
  if (token === undefined) return TOKEN.unused
  if (model === 'llama' && id === unknown) return TOKEN.unknown
  const own = added.find((each) => each.id === id)
  if (own !== undefined) return own.special === true ? TOKEN.control : TOKEN.ofUsers
  return model === 'llama' && /^<0x[0-9A-F]{2}>$/.test(token) ? TOKEN.byte : TOKEN.normal
}

function mergesOf({ model }: FullJson): (readonly [string, string])[] {
  return (model['merges'] as readonly (string | readonly [string, string])[]).map((pair) => (typeof pair === 'string' ? (pair.split(' ') as [string, string]) : pair))
}

function isOfBytes({ pre_tokenizer: step }: FullJson): boolean {
  return stepsOf(step).some(({ type }) => type === 'ByteLevel')
}

function stepsOf(step: Step | null): readonly Step[] {
  return step === null ? [] : step.type === 'Sequence' ? ((step['pretokenizers'] ?? step['normalizers']) as readonly Step[]) : [step]
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function refused(source: string, why: string): CheckpointError {
  return new CheckpointError(`exportGguf: the tokenizer of ${source} would split texts otherwise in llama.cpp: ${why} model.save(folder) writes what ` +
    "llama.cpp's own convert_hf_to_gguf.py reads.")
}
