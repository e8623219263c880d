import type { Tokenizer } from './tokenizer.ts'

/** Share of the tokens beyond which a text is of another language or script than the tokenizer's. */
const MOST = 0.2

/** That so many tokens are unknown to the tokenizer that little is left of the texts; undefined where it is not so. */
export function unknownTokens(tokenizer: Tokenizer, rows: readonly ArrayLike<number>[]): string | undefined {
  const special = new Set(tokenizer.specialIds)
  const unknown = ['<unk>', '[UNK]', '<|unk|>'].map((token) => tokenizer.tokenToId(token)).find((id) => id !== undefined)
  if (unknown === undefined) return undefined
  let [count, all] = [0, 0]
  for (const row of rows) {
    for (const id of Array.from(row)) {
      if (id === unknown) count++
      if (id === unknown || !special.has(id)) all++
    }
  }
  return count <= MOST * all ? undefined : `${count} of ${all} tokens are unknown to the tokenizer, and all the same to the model: are the texts of a language that it was made for?`
}
