import { byteTokens } from './bytes.ts'
import type { TokenModel, Tokens } from './models.ts'
import { noToken } from './unknown.ts'

export interface UnigramConfig {
  readonly unk_id?: number | null
  readonly vocab: readonly (readonly [string, number])[]
  readonly byte_fallback?: boolean
}

/** What an unknown character costs beside the least likely token. */
const unknownPenalty = 10

/** The likeliest of all ways to split a word; unknown characters beside each other are one token. */
export function unigram({ unk_id: unknown, vocab, byte_fallback: bytes }: UnigramConfig): TokenModel {
  if (typeof unknown === 'number' && !(unknown >= 0 && unknown < vocab.length)) throw new Error(`model (Unigram).unk_id: expected a place among the ${vocab.length} tokens of model.vocab, got ${unknown}`)
  const ids = new Map(vocab.map(([token], id) => [token, id]))
  const scores = vocab.map(([, score]) => score)
  const root = trieOf(vocab)
  const unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - unknownPenalty
  return { ids, split: (word) => tokensOf(partsOf(word)) }

  /** The parts of a word; unknown stretches whole. */
  function partsOf(word: string): string[] {
    const size = word.length
    const score = new Float64Array(size + 1)
    const from = new Int32Array(size + 1).fill(-1)
    const token = new Int32Array(size + 1).fill(-1)
    const offer = (begin: number, end: number, id: number, value: number): void => {
      const total = (score[begin] ?? 0) + value
      if (from[end] !== -1 && total <= (score[end] ?? 0)) return
      score[end] = total
      from[end] = begin
      token[end] = id
    }
    for (let begin = 0; begin < size;) {
      const step = (word.codePointAt(begin) ?? 0) > 0xFFFF ? 2 : 1
      let single = false
      let node: Node | undefined = root
      for (let end = begin; end < size;) {
        node = node.next.get(word.charCodeAt(end++))
        if (node === undefined) break
        if (node.id === -1) continue
        offer(begin, end, node.id, scores[node.id] ?? 0)
        if (end - begin === step) single = true
      }
      if (!single) {
        if (typeof unknown !== 'number') throw noToken(word.slice(begin, begin + step))
        offer(begin, begin + step, unknown, unknownScore)
      }
      begin += step
    }
    const parts: string[] = []
    for (let end = size, open = size; end > 0;) {
      const begin = from[end] ?? 0
      const joined = token[end] === unknown && begin > 0 && token[begin] === unknown
      if (!joined) {
        parts.push(word.slice(begin, token[end] === unknown ? open : end))
        open = begin
      }
      end = begin
    }
    return parts.reverse()
  }

  function tokensOf(parts: readonly string[]): Tokens {
    const out: number[] = []
    const spans: number[] = []
    let begin = 0
    for (const part of parts) {
      const add = (id: number): void => {
        out.push(id)
        spans.push(begin, begin + part.length)
      }
      const id = ids.get(part)
      if (id !== undefined) add(id)
      else {
        const fallback = bytes === true ? byteTokens(part).map((byte) => ids.get(byte)) : [undefined]
        if (fallback.every((byte) => byte !== undefined)) fallback.forEach(add)
        else if (typeof unknown === 'number') add(unknown)
        else throw noToken(part)
      }
      begin += part.length
    }
    return { ids: out, spans }
  }
}

interface Node {
  readonly next: Map<number, Node>
  /** The token that ends here, or -1. */
  id: number
}

function trieOf(vocab: UnigramConfig['vocab']): Node {
  const root: Node = { next: new Map(), id: -1 }
  vocab.forEach(([token], id) => {
    let node = root
    for (let i = 0; i < token.length; i++) {
      const unit = token.charCodeAt(i)
      let child = node.next.get(unit)
      if (child === undefined) node.next.set(unit, child = { next: new Map(), id: -1 })
      node = child
    }
    if (node !== root) node.id = id
  })
  return root
}
