import { InputError } from '../../errors.ts'
import { checkNames } from '../options.ts'

/** How labels of words become labels of tokens. */
export interface AlignOptions {
  /** What the tokens of a word behind its first get: no label, or the word's. @default 'ignore' */
  readonly rest?: 'ignore' | 'same' | undefined
}

/** The label that no loss looks at, as in PyTorch. */
const IGNORED = -100

/**
 * Labels of tokens from labels of words: the first token of a word gets the word's, special tokens and padding get -100,
 * which no loss looks at. Words that were cut off have no tokens and lose their labels.
 *
 * @param wordIds of one row, as `tokenizer.encodeWords` gives them
 * @param labels of that row's words
 * @throws InputError when there is a word without a label
 * @example
 * const { ids, wordIds } = tokenizer.encodeWords([['Ada', 'lives', 'in', 'London']])
 * const tokenLabels = wordIds.map((row) => alignLabels(row, [1, 0, 0, 2]))
 */
export function alignLabels(wordIds: ArrayLike<number>, labels: ArrayLike<number>, options: AlignOptions = {}): Int32Array {
  checkNames('alignLabels', options, { rest: true })
  const { rest = 'ignore' } = options
  const words = Array.from(wordIds).reduce((most, word) => Math.max(most, word + 1), 0)
  if (words > labels.length) throw new InputError(`alignLabels: expected a label for each of ${words} words, got ${labels.length}. Are the words and the labels of the same row?`)
  return Int32Array.from(wordIds, (word, i) => word < 0 || (rest === 'ignore' && i > 0 && wordIds[i - 1] === word) ? IGNORED : labels[word] ?? IGNORED)
}
