import { InputError, shown } from '../errors.ts'
import { few, isNatural } from './problems.ts'
import { checkNames } from '../base/options.ts'

/** How documents become rows of one length. */
export interface PackOptions {
  /** Tokens of a row. */
  readonly length: number
  /** Id that ends every document; GPT-2's is `<|endoftext|>`. */
  readonly separator: number
  /** Keeps the tokens at the end that do not fill a row, as a shorter row. @default false */
  readonly keepRest?: boolean
}

/**
 * Rows of equal length for a causal LM, without padding: the documents one after another, each with the separator behind
 * it, cut every `length` tokens. As in GPT-2's own training, a row may hold the end of one document and the beginning
 * of the next, and attention sees across the separator.
 *
 * @param documents token ids of each document, of any length
 * @returns rows for `prepareBatches`, `Trainer` and `perplexity`
 * @throws InputError when the options or ids are no natural numbers, or no row is filled
 * @example
 * const rows = packTokens([[5, 6, 7], [8, 9]], { length: 3, separator: 0 }) // [5, 6, 7], [0, 8, 9]; the last 0 fills no row
 * console.log(rows.length)
 */
export function packTokens(documents: readonly ArrayLike<number>[], options: PackOptions): Int32Array[] {
  checkNames('packTokens', options, { length: true, separator: true, keepRest: true })
  const { length, separator, keepRest = false } = options
  const problems: string[] = []
  if (!isNatural(length) || length < 2) problems.push(`length: expected an integer of at least 2, got ${shown(length)}`)
  if (!isNatural(separator)) problems.push(`separator: expected a token id, got ${separator}`)
  const wrong = documents.flatMap((ids, document) => {
    const at = Array.prototype.findIndex.call(ids, (id: number) => !isNatural(id))
    return at < 0 ? [] : [`${String(ids[at])} at token ${at} of document ${document}`]
  })
  if (wrong.length > 0) problems.push(`ids that are not natural numbers: ${few(wrong)}`)
  if (problems.length > 0) throw new InputError('packTokens: the documents do not make rows. Correct these:', problems)

  const total = documents.reduce((sum, ids) => sum + ids.length + 1, 0)
  const stream = new Int32Array(total).fill(separator)
  let end = 0
  for (const ids of documents) {
    stream.set(ids, end)
    end += ids.length + 1
  }
  const count = keepRest ? Math.ceil(total / length) : Math.floor(total / length)
  if (count === 0) {
    throw new InputError(`packTokens: ${total} tokens, separators included, fill no row of ${length}. Lower length, or keep the rest.`)
  }
  return Array.from({ length: count }, (_, i) => stream.slice(i * length, (i + 1) * length))
}
