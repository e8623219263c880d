// The training of a vocabulary from pairs: the most frequent pair of neighbours becomes one token, again and again (Sennrich et al. 2015,
// arXiv:1508.07909).

/** A word of the texts, as the tokens that it has by now. */
export interface Word {
  /** How often it is there. */
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
 * Of pairs that are equally frequent the first in the alphabet is taken, so the same words make the same tokens.
 *
 * @param words their tokens are changed; none has a blank @param start tokens of the vocabulary that are there already
 * @param size of the vocabulary at the end; smaller where no pair comes twice
 * @param continuing what a token has before it that goes on with a word
 */
export function joinPairs(words: readonly Word[], start: readonly string[], size: number, continuing = ''): { readonly vocabulary: string[]; readonly merges: string[] } {
  const pairs = new Map<string, Pair>()
  let least = Infinity // of the candidates, the pairs that are looked through for each merge; falls as the frequent ones are used up
  const candidates = new Map<string, Pair>()
  const note = (word: Word, sign: 1 | -1): void => {
    for (let i = 0; i + 1 < word.tokens.length; i++) {
      const key = `${word.tokens[i]} ${word.tokens[i + 1]}`
      const pair = pairs.get(key) ?? { key, count: 0, words: new Set<Word>() }
      pair.count += sign * word.count
      if (sign === 1) pair.words.add(word)
      pairs.set(key, pair)
      if (pair.count >= least) candidates.set(key, pair)
    }
  }
  for (const word of words) note(word, 1)
  const merges: string[] = []
  const known = new Set(start)
  while (known.size < size) {
    const best = mostFrequent(candidates)
    if (best === undefined || best.count < least) {
      if (least === 2) break // a pair that comes once is no pattern
      least = least === Infinity ? 2 ** 16 : least / 2
      candidates.clear()
      for (const [key, pair] of pairs) if (pair.count >= least) candidates.set(key, pair)
      continue
    }
    const [left = '', right = ''] = best.key.split(' ')
    const joined = left + right.replace(continuing, '')
    for (const word of best.words) {
      note(word, -1)
      word.tokens = join(word.tokens, left, right, joined)
      note(word, 1)
    }
    pairs.delete(best.key)
    candidates.delete(best.key)
    merges.push(best.key)
    known.add(joined) // two merges may make one token
  }
  return { vocabulary: [...known], merges }
}

function mostFrequent(pairs: ReadonlyMap<string, Pair>): Pair | undefined {
  let best: Pair | undefined
  for (const pair of pairs.values()) {
    if (best === undefined || pair.count > best.count || (pair.count === best.count && pair.key < best.key)) best = pair
  }
  return best
}

function join(tokens: readonly string[], left: string, right: string, whole: string): readonly string[] {
  const joined: string[] = []
  for (let i = 0; i < tokens.length; i++) {
    const isPair = tokens[i] === left && tokens[i + 1] === right
    joined.push(isPair ? whole : tokens[i] ?? '')
    if (isPair) i++
  }
  return joined
}
