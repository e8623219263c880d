import type { Tokenizer } from './tokenizer.ts'

/** Turns tokens into text as they come. */
export interface TextStream {
  /** The text that is certain now: it never ends inside a character. */
  push(id: number): string
  /** What is left, at the end. */
  end(): string
}

/** How many tokens before a new one have a say in its text: they decide about the blank before it. */
const CONTEXT = 6

/**
 * A stream of the text of tokens, special ones left out. Its pieces joined are the text of all its tokens behind `before`.
 *
 * @param before the tokens that come before those of the stream
 * @example
 * const stream = textStream(tokenizer, promptIds)
 * for await (const [id] of generate(model, promptIds, options)) process.stdout.write(stream.push(id))
 * process.stdout.write(stream.end())
 */
export function textStream(tokenizer: Tokenizer, before: readonly number[] = []): TextStream {
  let known = before.slice(-CONTEXT) // tokens whose text has been given
  let pending: number[] = []
  const take = (whole: boolean): string => {
    // A character whose bytes have not all come is decoded as U+FFFD; only the tokens before the stream can end in one.
    const given = tokenizer.decode(known).replace(/\uFFFD+$/, '')
    const text = tokenizer.decode([...known, ...pending])
    if (!whole && (text.length <= given.length || text.endsWith('\uFFFD'))) return ''
    known = [...known, ...pending].slice(-CONTEXT)
    pending = []
    return text.slice(given.length)
  }
  return {
    push: (id) => {
      pending.push(id)
      return take(false)
    },
    end: () => take(true),
  }
}
