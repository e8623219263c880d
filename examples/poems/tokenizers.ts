// Three ways to cut Chinese into tokens, which has no blanks between words: each trained on the same poems, for a model as BERT is.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadTokenizer, type Tokenizer } from 'tfjs-peft'
import { trainBpe } from '../pretrain/bpe.ts'
import { joinPairs, type Word } from '../pretrain/pairs.ts'

/** Tokens that no poem has: padding, an unknown character, the begin and the end of a text, a hidden token. */
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']

/** Share of the vocabulary that WordPiece begins with: single characters. */
const SINGLE = 0.75

export const KINDS = {
  /** Each character is a token: the most frequent ones, as the Chinese BERT has them. */
  characters: (texts: readonly string[], size: number) => {
    const vocabulary = [...SPECIAL, ...frequent(texts, size - SPECIAL.length)]
    return tokenizerJson({ type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: false }, wordPiece(vocabulary))
  },
  /** Characters, and words of several of them within a line. A character is there twice: as a line's first, and as one that goes on. */
  WordPiece: (texts: readonly string[], size: number) => {
    const lines = new Map<string, number>()
    for (const text of texts) for (const [line] of text.matchAll(/\p{Script=Han}+|[^\p{Script=Han}]/gu)) lines.set(line, (lines.get(line) ?? 0) + 1)
    const single = frequent(texts, Math.floor(size * SINGLE / 2))
    const known = new Set(single)
    const words = Array.from(lines, ([line, count]): Word => ({ count, tokens: Array.from(line, (character, i) => (i === 0 ? character : `##${character}`)) }))
      .filter(({ tokens }) => tokens.every((token) => known.has(token.replace('##', ''))))
    const start = [...SPECIAL, ...single, ...single.filter((character) => /\p{Script=Han}/u.test(character)).map((character) => `##${character}`)]
    return tokenizerJson(null, wordPiece(joinPairs(words, start, size, '##').vocabulary))
  },
  /** Bytes of UTF-8, three a character, and what they are joined to. Nothing is unknown. */
  'byte-level BPE': (texts: readonly string[], size: number) => ({ ...trainBpe(texts, size, SPECIAL), post_processor: template() }),
} satisfies Readonly<Record<string, (texts: readonly string[], size: number) => object>>

export type Kind = keyof typeof KINDS

/** Trains a tokenizer, writes it into a folder as on the Hub, and reads it. */
export async function trainTokenizer(folder: string, kind: Kind, texts: readonly string[], size: number): Promise<Tokenizer> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(KINDS[kind](texts, size)))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({
    tokenizer_class: 'PreTrainedTokenizerFast', model_max_length: 512, pad_token: '[PAD]', unk_token: '[UNK]', cls_token: '[CLS]', sep_token: '[SEP]', mask_token: '[MASK]',
  }))
  return await loadTokenizer(folder)
}

/** Characters, the most frequent ones first. */
function frequent(texts: readonly string[], count: number): string[] {
  const counts = new Map<string, number>()
  for (const text of texts) for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, count).map(([character]) => character)
}

function wordPiece(vocabulary: readonly string[]): object {
  return {
    type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100,
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
  }
}

function tokenizerJson(normalizer: object | null, model: object): object {
  return {
    version: '1.0', truncation: null, padding: null,
    added_tokens: SPECIAL.map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    normalizer, pre_tokenizer: { type: 'BertPreTokenizer' }, post_processor: template(), decoder: { type: 'WordPiece', prefix: '##', cleanup: false }, model,
  }
}

/** [CLS] text [SEP]. */
function template(): object {
  const special = (id: string): object => ({ SpecialToken: { id, type_id: 0 } })
  return {
    type: 'TemplateProcessing', single: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
    pair: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]'), { Sequence: { id: 'B', type_id: 1 } }, special('[SEP]')],
    special_tokens: Object.fromEntries(['[CLS]', '[SEP]'].map((token) => [token, { id: token, ids: [SPECIAL.indexOf(token)], tokens: [token] }])),
  }
}
