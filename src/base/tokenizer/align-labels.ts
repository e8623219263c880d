import { InputError } from '../../errors.ts'
import { IGNORED_LABEL } from '../ops/cross-entropy.ts'
import { checkNames } from '../options.ts'

/** How labels of words become labels of tokens. */
export interface AlignOptions {
  /** What the tokens of a word behind its first get: no label, or the word's. @default 'ignore' */
  readonly rest?: 'ignore' | 'same' | undefined
}

/**
 * Labels of tokens from labels of words, numbers or names: the first token of a word gets the word's, special tokens and
 * padding get -100, which no loss looks at. Words that were cut off have no tokens and lose their labels.
 *
 * @param wordIds of one row, as `tokenizer.encodeWords` gives them
 * @param labels of that row's words
 * @throws InputError when there is a word without a label
 * @example
 * const rows = [{ words: ['Ada', 'lives', 'in', 'London'], tags: ['B-PER', 'O', 'O', 'B-LOC'] }]
 * const { ids, wordIds } = tokenizer.encodeWords(rows.map(({ words }) => words))
 * const examples = { ids, tokenLabels: rows.map(({ tags }, i) => alignLabels(wordIds[i] ?? [], tags)) }
 */
export function alignLabels<L extends number | string>(wordIds: ArrayLike<number>, labels: ArrayLike<L>, options: AlignOptions = {}): (L | number)[] {
  checkNames('alignLabels', options, { rest: true })
  const { rest = 'ignore' } = options
  const words = Array.from(wordIds).reduce((most, word) => Math.max(most, word + 1), 0)
  if (words > labels.length) throw new InputError(`alignLabels: expected a label for each of ${words} words, got ${labels.length}. Are the words and the labels of the same row?`)
  return Array.from(wordIds, (word, i) => word < 0 || (rest === 'ignore' && i > 0 && wordIds[i - 1] === word) ? IGNORED_LABEL : labels[word] ?? IGNORED_LABEL)
}
