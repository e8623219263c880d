import { InputError, shown } from '../../errors.ts'
import { checkNames } from '../options.ts'
import { trimEnd } from './normalizers.ts'

/** A token outside the vocabulary's reach: found in the text as it stands and never split. */
export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Only where no letter or digit touches it. */
  readonly single_word?: boolean
  /** Takes the white space before it along. */
  readonly lstrip?: boolean
  readonly rstrip?: boolean
  /** Sought in the normalised text. */
  readonly normalized?: boolean
  readonly special?: boolean
}

/** A special token of a configuration: its text, or an object that holds it. */
export function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' && token !== null && 'content' in token ? token.content : token
  return typeof content === 'string' ? content : undefined
}

/** Whether a token is sought in the normalised text. */
export function inNormalized(token: AddedToken): boolean {
  return token.normalized ?? token.special !== true
}

/** What tokens are that are added to a tokenizer. */
export interface AddTokensOptions {
  /** They stand for no text: decoding leaves them out, and they are sought in the text before it is normalised. @default false */
  readonly special?: boolean
}

/**
 * Tokens that come to those there are, numbered as the reference (tokenizers 0.23) numbers them: one that the vocabulary has
 * keeps its id, the others come behind all.
 *
 * @throws InputError
 */
export function newTokens(contents: readonly string[], options: AddTokensOptions, before: readonly AddedToken[], vocabulary: ReadonlyMap<string, number>): AddedToken[] {
  checkNames('withTokens', options, { special: true })
  const { special = false } = options
  const problems = contents.flatMap((content: unknown, i) => (typeof content === 'string' && content !== '' ? [] : [`token ${i}: expected a text, got ${shown(content)}`]))
  if (contents.length === 0) problems.push('expected at least one token, got none')
  if (problems.length > 0) throw new InputError('withTokens: the tokens cannot be added:', problems)
  const known = new Set(before.map(({ content }) => content))
  let next = before.reduce((most, { id }) => Math.max(most, id + 1), vocabulary.size)
  return [...new Set(contents)].filter((content) => !known.has(content)).map((content) => ({
    id: vocabulary.get(content) ?? next++, content, single_word: false, lstrip: false, rstrip: false, normalized: !special, special,
  }))
}

/** A stretch of text from `begin` on; one with an id is an added token. */
export interface Section {
  readonly text: string
  readonly begin: number
  readonly id?: number
}

/** A function that cuts a text at added tokens, the longest first where several begin. */
export function addedTokenSplitter(tokens: readonly AddedToken[]): (text: string) => Section[] {
  if (tokens.length === 0) return (text) => [{ text, begin: 0 }]
  const byContent = new Map(tokens.map((token) => [token.content, token]))
  const contents = [...byContent.keys()].filter((content) => content !== '').sort((a, b) => b.length - a.length)
  const pattern = new RegExp(contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'g')
  return (text) => {
    const sections: Section[] = []
    let done = 0
    const addText = (end: number): void => {
      if (end > done) sections.push({ text: text.slice(done, end), begin: done })
    }
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0])
      let begin = match.index
      let end = begin + match[0].length
      if (token === undefined || begin < done) continue
      if (token.single_word === true && (wordAtEnd.test(text.slice(Math.max(0, begin - 2), begin)) || wordAtStart.test(text.slice(end, end + 2)))) continue
      if (token.lstrip === true) begin = done + trimEnd(text.slice(done, begin)).length
      if (token.rstrip === true) end += /^\p{White_Space}*/u.exec(text.slice(end))?.[0].length ?? 0
      addText(begin)
      sections.push({ text: text.slice(begin, end), begin, id: token.id })
      done = end
    }
    addText(text.length)
    return sections
  }
}

/** Letters as the reference's \w knows them. */
const wordAtEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]$/u
const wordAtStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]/u
