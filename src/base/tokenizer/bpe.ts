import { InputError } from '../../errors.ts'
import { byteTokens } from './bytes.ts'
import type { Tokens } from './models.ts'

export interface BpeConfig {
  readonly unk_token?: string | null
  readonly continuing_subword_prefix?: string | null
  readonly end_of_word_suffix?: string | null
  readonly fuse_unk?: boolean | null
  readonly byte_fallback?: boolean
  readonly ignore_merges?: boolean
  readonly merges: readonly (string | readonly [string, string])[]
}

interface Merge {
  readonly rank: number
  readonly id: number
}

/**
 * Splits a word into its characters and joins neighbours again, always the pair that stands first in the list of merges.
 *
 * @throws Error where a merge names a token that the vocabulary does not have
 */
export function bytePairs(config: BpeConfig, vocabulary: ReadonlyMap<string, number>): (word: string) => Tokens {
  const { unk_token, continuing_subword_prefix, end_of_word_suffix, fuse_unk: fuse, byte_fallback: bytes, ignore_merges: whole } = config
  const prefix = continuing_subword_prefix ?? ''
  const suffix = end_of_word_suffix ?? ''
  const unknown = unk_token === null || unk_token === undefined ? undefined : vocabulary.get(unk_token)
  const merges = mergesOf(config.merges, vocabulary, prefix)
  return (word) => {
    const id = whole === true ? vocabulary.get(word) : undefined
    return id === undefined ? merged(symbols(word), merges) : { ids: [id], spans: [0, word.length] }
  }

  function symbols(word: string): Symbols {
    const ids: number[] = []
    const spans: number[] = []
    const characters = Array.from(word)
    if (characters.length >= mostIds) throw new InputError(`a stretch of ${characters.length} characters without a split is longer than BPE can take here: at most ${mostIds - 1}. Cut the text`)
    let waiting: [begin: number, end: number] | undefined // unknown characters whose token is still to be written, behind the bytes of others: so the reference does it
    let at = 0
    const flush = (): void => {
      if (waiting === undefined || unknown === undefined) return
      ids.push(unknown)
      spans.push(...waiting)
      waiting = undefined
    }
    for (const [i, character] of characters.entries()) {
      const begin = at
      at += character.length
      const symbol = (i === 0 ? '' : prefix) + character + (i === characters.length - 1 ? suffix : '')
      const id = vocabulary.get(symbol)
      const fallback = id === undefined && bytes === true ? byteTokens(symbol).map((token) => vocabulary.get(token)) : [id]
      if (id !== undefined) flush()
      if (fallback.every((token) => token !== undefined)) {
        for (const token of fallback) {
          ids.push(token)
          spans.push(begin, at)
        }
      } else {
        if (fuse !== true) flush()
        waiting = [waiting?.[0] ?? begin, at]
      }
    }
    flush()
    return { ids, spans }
  }
}

/** Merges by the pair of their ids, as one number. */
function mergesOf(list: BpeConfig['merges'], vocabulary: ReadonlyMap<string, number>, prefix: string): ReadonlyMap<number, Merge> {
  const merges = new Map<number, Merge>()
  const idOf = (token: string, rank: number): number => {
    const id = vocabulary.get(token)
    if (id !== undefined && id >= mostIds) throw new Error(`model (BPE).vocab: ids from ${mostIds} on are not supported, got ${id}`)
    if (id === undefined) throw new Error(`model (BPE).merges[${rank}] needs the token ${JSON.stringify(token)}, which model.vocab does not have`)
    return id
  }
  list.forEach((merge, rank) => {
    const [left, right]: readonly (string | undefined)[] = typeof merge === 'string' ? merge.split(' ') : merge
    if (left === undefined || right === undefined) throw new Error(`model (BPE).merges[${rank}]: expected two tokens, got ${JSON.stringify(merge)}`)
    merges.set(pairOf(idOf(left, rank), idOf(right, rank)), { rank, id: idOf(left + right.slice(prefix.length), rank) })
  })
  return merges
}

/** Ids, ranks and lengths are below this: two of them then fit in one exact number. */
const mostIds = 2 ** 26

const pairOf = (left: number, right: number): number => left * mostIds + right

interface Symbols {
  readonly ids: number[]
  readonly spans: number[]
}

function merged({ ids, spans }: Symbols, merges: ReadonlyMap<number, Merge>): Tokens {
  if (ids.length < 2) return { ids, spans }
  const next = Int32Array.from(ids, (_, i) => i + 1)
  const previous = Int32Array.from(ids, (_, i) => i - 1)
  const alive = new Uint8Array(ids.length).fill(1)
  const heap: number[] = [] // pairs in line to be joined, as rank and place in one number: the least comes first
  const mergeAt = (at: number): Merge | undefined => {
    const right = next[at] ?? ids.length
    return right < ids.length ? merges.get(pairOf(ids[at] ?? 0, ids[right] ?? 0)) : undefined
  }
  const consider = (at: number): void => {
    const merge = mergeAt(at)
    if (merge !== undefined) push(heap, merge.rank * mostIds + at)
  }
  for (let at = 0; at < ids.length; at++) consider(at)
  for (let top = pop(heap); top !== undefined; top = pop(heap)) {
    const at = top % mostIds
    const merge = mergeAt(at)
    if (alive[at] === 0 || merge?.rank !== Math.floor(top / mostIds)) continue // joined otherwise meanwhile
    const right = next[at] ?? ids.length
    const after = next[right] ?? ids.length
    ids[at] = merge.id
    spans[2 * at + 1] = spans[2 * right + 1] ?? 0
    alive[right] = 0
    next[at] = after
    if (after < ids.length) previous[after] = at
    const left = previous[at] ?? -1
    if (left >= 0) consider(left)
    consider(at)
  }
  return { ids: ids.filter((_, i) => alive[i] === 1), spans: spans.filter((_, i) => alive[i >> 1] === 1) }
}

function push(heap: number[], value: number): void {
  let at = heap.length
  heap.push(value)
  while (at > 0) {
    const up = (at - 1) >> 1
    const parent = heap[up] ?? 0
    if (value >= parent) break
    heap[at] = parent
    at = up
  }
  heap[at] = value
}

function pop(heap: number[]): number | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return top
  let at = 0
  for (let down = 1; down < heap.length; down = 2 * at + 1) {
    if (down + 1 < heap.length && (heap[down + 1] ?? 0) < (heap[down] ?? 0)) down++
    const child = heap[down] ?? 0
    if (child >= last) break
    heap[at] = child
    at = down
  }
  heap[at] = last
  return top
}
