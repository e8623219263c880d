import type { Tokenizer } from '../tokenizer/tokenizer.ts'

/**
 * Whether a row's text has one of these strings that ends within its last token, as `stop_strings` of transformers: where
 * it begins does not matter, so tokens may cross its borders, and so may the prompt's.
 *
 * @returns a function of all ids of a row
 */
export function stopStringCheck(tokenizer: Tokenizer, strings: readonly string[]): (row: readonly number[]) => boolean {
  if (strings.length === 0) return () => false
  // A token is at least one byte. One token more, because decoding may take the blank before the first one away.
  const most = 1 + Math.max(...strings.map((text) => Buffer.byteLength(text)))
  const textOf = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: false })
  return (row) => {
    const tail = row.slice(-most)
    const text = textOf(tail)
    const before = textOf(tail.slice(0, -1)).replace(/\uFFFD+$/, '') // what stands for half a character
    return strings.some((stop) => text.includes(stop, Math.max(0, before.length - stop.length + 1)))
  }
}
