/**
 * Trains a byte-level BPE tokenizer as GPT-2 has (Sennrich et al., arXiv:1508.07909; Radford et al., 2019): the words of
 * the texts begin as single bytes, and the most frequent pair of neighbours becomes one token, again and again.
 */
import { InputError } from '../../src/errors.ts'

/** How GPT-2 cuts a text into words; no token reaches over a word's end. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** Ends every document. */
export const END_OF_TEXT = '<|endoftext|>'

interface Word {
  readonly count: number
  tokens: readonly string[]
}

interface Pair {
  readonly key: string
  count: number
  /** Where it is, or was. */
  readonly words: Set<Word>
}

/**
 * The content of a tokenizer.json with `vocabSize` tokens, which `loadTokenizer` and Python's `tokenizers` read. Of pairs
 * that are equally frequent the first in the alphabet is taken, so the same texts make the same tokenizer.
 *
 * @param vocabSize the end of text, 256 bytes, and a token for each pair that is joined; fewer where the texts have no more
 * @throws InputError when `vocabSize` has no room for the bytes
 * @example
 * await writeFile('tokenizer.json', JSON.stringify(trainBpe(texts, 4096)))
 */
export function trainBpe(texts: readonly string[], vocabSize: number): object {
  const bytes = byteLetters()
  if (!(vocabSize >= bytes.length + 1)) throw new InputError(`trainBpe: expected a vocabulary of at least ${bytes.length + 1}, got ${vocabSize}.`)
  const words = countWords(texts, bytes)
  const pairs = new Map<string, Pair>()
  let least = Infinity // of the candidates, the pairs that are looked through for each merge; falls as the frequent ones are used up
  const candidates = new Map<string, Pair>()
  const note = (word: Word, sign: 1 | -1): void => {
    for (let i = 0; i + 1 < word.tokens.length; i++) {
      const key = `${word.tokens[i]} ${word.tokens[i + 1]}` // no token has a blank: it is written Ġ
      const pair = pairs.get(key) ?? { key, count: 0, words: new Set<Word>() }
      pair.count += sign * word.count
      if (sign === 1) pair.words.add(word)
      pairs.set(key, pair)
      if (pair.count >= least) candidates.set(key, pair)
    }
  }
  for (const word of words) note(word, 1)
  const vocab = [END_OF_TEXT, ...[...bytes].sort()]
  const merges: string[] = []
  const known = new Set(vocab)
  while (known.size < vocabSize) {
    const best = mostFrequent(candidates)
    if (best === undefined || best.count < least) {
      if (least === 2) break // a pair that comes once is no pattern
      least = least === Infinity ? 2 ** 16 : least / 2
      candidates.clear()
      for (const [key, pair] of pairs) if (pair.count >= least) candidates.set(key, pair)
      continue
    }
    const [left = '', right = ''] = best.key.split(' ')
    for (const word of best.words) {
      note(word, -1)
      word.tokens = join(word.tokens, left, right)
      note(word, 1)
    }
    pairs.delete(best.key)
    candidates.delete(best.key)
    merges.push(best.key)
    known.add(left + right) // two merges may make one token
  }
  return tokenizerJson([...known], merges)
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

function mostFrequent(pairs: ReadonlyMap<string, Pair>): Pair | undefined {
  let best: Pair | undefined
  for (const pair of pairs.values()) {
    if (best === undefined || pair.count > best.count || (pair.count === best.count && pair.key < best.key)) best = pair
  }
  return best
}

function join(tokens: readonly string[], left: string, right: string): readonly string[] {
  const joined: string[] = []
  for (let i = 0; i < tokens.length; i++) {
    const isPair = tokens[i] === left && tokens[i + 1] === right
    joined.push(isPair ? left + right : tokens[i] ?? '')
    if (isPair) i++
  }
  return joined
}

function tokenizerJson(tokens: readonly string[], merges: readonly string[]): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return {
    version: '1.0', truncation: null, padding: null,
    added_tokens: [{ id: 0, content: END_OF_TEXT, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
    normalizer: null, pre_tokenizer: byteLevel, post_processor: null, decoder: byteLevel,
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false, byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: merges.map((pair) => pair.split(' ')),
    },
  }
}
