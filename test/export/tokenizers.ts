// Tokenizers of the kinds that llama.cpp has, small: of bytes, split in each of the ways, and of pieces as SentencePiece makes them.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { goldenPath } from '../golden.ts'

const ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const REST = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

/** The patterns as the Hub's files of LLaMA 3, Qwen2 and Mistral Nemo have them. */
const PATTERNS: Readonly<Record<string, string>> = {
  'llama-bpe': String.raw`${ENDINGS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|${REST}`,
  qwen2: String.raw`${ENDINGS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|${REST}`,
  tekken: String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
}

/** Names of the ways. */
export const SPLITS = ['gpt-2', ...Object.keys(PATTERNS), 'smollm'] as const

/** Puts a tokenizer of bytes into a folder, of 400 tokens that Python's tokenizers learnt. */
export async function splitBy(name: (typeof SPLITS)[number], folder: string): Promise<void> {
  const json = JSON.parse(await readFile(join(goldenPath('tokenizer/bytes'), 'tokenizer.json'), 'utf8')) as object
  const bytes = (use: boolean): object => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: use })
  const pattern = PATTERNS[name]
  const steps = pattern !== undefined ? [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, bytes(false)]
    : name === 'smollm' ? [{ type: 'Digits', individual_digits: true }, bytes(true)] : [bytes(true)]
  const only = steps.length === 1 ? steps[0] : { type: 'Sequence', pretokenizers: steps }
  await write(folder, { ...json, pre_tokenizer: only, post_processor: bytes(true) }, { bos_token: '<s>', eos_token: '</s>' })
}

/** Puts a tokenizer of SentencePiece's kind into a folder, whose merges make the words of a text, the most frequent pieces first. */
export async function pieces(text: string, folder: string, { prefix = true, template = true } = {}): Promise<void> {
  const words = text.split(' ').map((word) => `▁${word}`)
  const letters = [...new Set(words.join(''))]
  const found = [...new Set(words.flatMap((word) => Array.from(word, (_, i) => Array.from({ length: word.length - i - 1 }, (__, j) => word.slice(i, i + j + 2))).flat()))]
  const longest = found.filter((piece) => piece.length <= 5).slice(0, 150)
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const vocab = Object.fromEntries(['<unk>', '<s>', '</s>', ...bytes, ...longest, ...letters].map((piece, id) => [piece, id]))
  const merges = longest.flatMap((piece) => Array.from({ length: piece.length - 1 }, (_, i) => [piece.slice(0, i + 1), piece.slice(i + 1)])).filter(([a = '', b = '']) => a in vocab && b in vocab)
  const special = (content: string, id: number): object => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })
  const start = { SpecialToken: { id: '<s>', type_id: 0 } }
  const row = { Sequence: { id: 'A', type_id: 0 } }
  await write(folder, {
    version: '1.0', truncation: null, padding: null,
    added_tokens: ['<unk>', '<s>', '</s>'].map(special),
    normalizer: { type: 'Sequence', normalizers: [...(prefix ? [{ type: 'Prepend', prepend: '▁' }] : []), { type: 'Replace', pattern: { String: ' ' }, content: '▁' }] },
    pre_tokenizer: null,
    post_processor: template ? { type: 'TemplateProcessing', single: [start, row], pair: [start, row, { Sequence: { id: 'B', type_id: 0 } }], special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } } } : null,
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: { type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true, byte_fallback: true, vocab, merges },
  }, { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' })
}

async function write(folder: string, json: object, config: object): Promise<void> {
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', ...config }))
}
