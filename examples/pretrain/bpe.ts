/**
 * Trains a byte-level BPE tokenizer as GPT-2 has (Sennrich et al., arXiv:1508.07909; Radford et al., 2019): the words of
 * the texts begin as single bytes, and the most frequent pair of neighbours becomes one token, again and again.
 */
import { InputError } from '../../src/errors.ts'
import { joinPairs, type Word } from './pairs.ts'

/** How GPT-2 cuts a text into words; no token reaches over a word's end. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** Ends every document. */
export const END_OF_TEXT = '<|endoftext|>'

/**
 * The content of a tokenizer.json with `vocabSize` tokens, which `loadTokenizer` and Python's `tokenizers` read. Of pairs
 * that are equally frequent the first in the alphabet is taken, so the same texts make the same tokenizer.
 *
 * @param vocabSize special tokens, 256 bytes, and a token for each pair that is joined; fewer where the texts have no more
 * @param special tokens that no text has, which come first
 * @throws InputError when `vocabSize` has no room for the bytes
 * @example
 * await writeFile('tokenizer.json', JSON.stringify(trainBpe(texts, 4096)))
 */
export function trainBpe(texts: readonly string[], vocabSize: number, special: readonly string[] = [END_OF_TEXT]): object {
  const bytes = byteLetters()
  const least = bytes.length + special.length
  if (!(vocabSize >= least)) throw new InputError(`trainBpe: expected a vocabulary of at least ${least}, got ${vocabSize}.`)
  const words = countWords(texts, bytes)
  const { vocabulary, merges } = joinPairs(words, [...special, ...[...bytes].sort()], vocabSize)
  return tokenizerJson(vocabulary, merges, special)
}

/** The letter that stands for each byte: itself where it can be printed, else one from 256 on, as GPT-2 has it. */
function byteLetters(): readonly string[] {
  let next = 256
  const isPrinted = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrinted(byte) ? byte : next++))
}

function countWords(texts: readonly string[], bytes: readonly string[]): readonly Word[] {
  const counts = new Map<string, number>()
  for (const text of texts) for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1)
  return Array.from(counts, ([word, count]) => ({ count, tokens: Array.from(Buffer.from(word), (byte) => bytes[byte] ?? '') }))
}

function tokenizerJson(tokens: readonly string[], merges: readonly string[], special: readonly string[]): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return {
    version: '1.0', truncation: null, padding: null,
    added_tokens: special.map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    normalizer: null, pre_tokenizer: byteLevel, post_processor: null, decoder: byteLevel,
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false, byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: merges.map((pair) => pair.split(' ')),
    },
  }
}
