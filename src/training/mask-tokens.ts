import { tokenIds } from '../base/batch.ts'
import { int, randomStream, type RandomStream } from '../base/random.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError } from '../errors.ts'
import type { BatchTransform } from './batches.ts'
import { checkNames } from '../base/options.ts'

/** Which tokens `maskTokens` hides, and how. */
export interface MaskOptions {
  readonly tokenizer: Pick<Tokenizer, 'maskId' | 'specialIds' | 'vocabSize' | 'idToToken'>
  /** Share of the tokens, or words, that are to be found again. @default 0.15 */
  readonly probability?: number
  /** Of those, the share that becomes the mask token. @default 0.8 */
  readonly masked?: number
  /** And the share that becomes any token of the vocabulary; the rest stays as it is. @default 0.1 */
  readonly random?: number
  /**
   * Words are chosen with all their tokens: pieces after `##` (WordPiece), or tokens without the sign of a blank before
   * them (`Ġ`, `▁`), belong to the word before. @default false
   */
  readonly wholeWords?: boolean
  /** Decides what is chosen, together with epoch and row. @default 0 */
  readonly seed?: number
}

/**
 * Masked LM with dynamic masking: other tokens in each epoch (BERT, arXiv:1810.04805; RoBERTa, arXiv:1907.11692). Labels
 * are the chosen tokens' own ids and −100 everywhere else. Special tokens and padding are never chosen. What is chosen
 * in a row depends on seed, epoch and row alone, not on the batch that the row is in; but where nothing of a batch was chosen, as
 * can be with few short rows, the word that came nearest to it is: there would be nothing to learn.
 *
 * Differs from transformers: with whole words too, 80 % of the chosen tokens are masked and 10 % replaced, as the paper
 * has it; transformers' collator masks all of them then.
 *
 * @throws InputError when the tokenizer has no mask token, or shares are no shares; in a batch that has labels already
 * @example
 * const { ids } = tokenizer.encode(texts)
 * const batches = prepareBatches({ ids }, { batchSize: 8, order: { seed: 0 }, transform: maskTokens({ tokenizer, wholeWords: true }) })
 */
export function maskTokens(options: MaskOptions): BatchTransform {
  checkNames('maskTokens', options, { tokenizer: true, probability: true, masked: true, random: true, wholeWords: true, seed: true })
  const { tokenizer, probability = 0.15, masked = 0.8, random = 0.1, wholeWords = false, seed = 0 } = options
  const { maskId, vocabSize } = tokenizer
  const problems = Object.entries({ probability, masked, random, 'masked + random': masked + random })
    .filter(([, share]) => !(share >= 0 && share <= 1))
    .map(([name, share]) => `${name}: expected a share from 0 to 1, got ${share}`)
  if (maskId === undefined) problems.push('tokenizer: expected one with a mask token; name it as "mask_token" in tokenizer_config.json')
  if (!Number.isSafeInteger(seed)) problems.push(`seed: expected an integer, got ${seed}`)
  if (maskId === undefined || problems.length > 0) throw new InputError('maskTokens: the options cannot be used:', problems)

  const special = new Set(tokenizer.specialIds)
  const continues = wholeWords ? continuation(tokenizer) : (): boolean => false
  const replacement = (id: number, stream: RandomStream): number => {
    const draw = share(stream)
    if (draw < masked) return maskId
    return draw < masked + random ? int(stream, vocabSize) : id
  }
  return (batch) => {
    if (batch.labels !== undefined) throw new InputError('maskTokens: expected a batch without labels, which it makes itself; leave them out of the examples.')
    const ids = tokenIds(batch, 'maskTokens').slice()
    const labels = new Int32Array(ids.length).fill(IGNORED_LABEL)
    const hide = (i: number, stream: RandomStream): void => {
      const id = ids[i] as number
      labels[i] = id
      ids[i] = replacement(id, stream)
    }
    let nearest = { draw: 1, row: 0, word: [] as number[] } // of those that were not chosen
    let isAny = false
    for (let row = 0; row < batch.batch; row++) {
      const stream = randomStream(seed, 'mask', batch.epoch, batch.rows[row] ?? row)
      let chosen = false
      let inWord = false
      let word: number[] = []
      for (let i = row * batch.length; i < (row + 1) * batch.length; i++) {
        const id = ids[i] as number // a batch has batch × length ids
        if (batch.mask?.[i] === 0 || special.has(id)) {
          inWord = false
          continue
        }
        if (!inWord || !continues(id)) {
          const draw = share(stream)
          chosen = draw < probability
          word = []
          if (!chosen && draw < nearest.draw) nearest = { draw, row, word }
        }
        inWord = true
        word.push(i)
        isAny ||= chosen
        if (chosen) hide(i, stream)
      }
    }
    if (!isAny && probability > 0) {
      const stream = randomStream(seed, 'mask', batch.epoch, batch.rows[nearest.row] ?? nearest.row, 'nearest')
      for (const i of nearest.word) hide(i, stream)
    }
    return { ...batch, ids, labels }
  }
}

/** From 0 to below 1. */
function share(stream: RandomStream): number {
  return stream() / 2 ** 32
}

/** Whether a token goes on with the word before it, by the sign that its kind of vocabulary has. */
function continuation({ idToToken, vocabSize }: MaskOptions['tokenizer']): (id: number) => boolean {
  const tokens = Array.from({ length: vocabSize }, (_, id) => idToToken(id) ?? '')
  const begins = tokens.some((token) => /^[Ġ▁]/.test(token)) && !tokens.some((token) => token.startsWith('##') && token.length > 2)
  return (id) => (begins ? !/^[Ġ▁]/.test(tokens[id] ?? '') : (tokens[id] ?? '').startsWith('##'))
}
