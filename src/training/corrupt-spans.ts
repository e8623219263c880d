import { joinBatches, tokenIds, type Batch } from '../base/batch.ts'
import type { Model } from '../base/model.ts'
import { checkKind } from '../base/awaited.ts'
import { checkNames } from '../base/options.ts'
import { permutation, randomStream, type RandomStream } from '../base/random.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError } from '../errors.ts'
import type { BatchTransform, PaddedBatch } from './batches.ts'

/** Which tokens `corruptSpans` takes out. */
export interface CorruptionOptions {
  /** The encoder-decoder that is to learn: its decoder begins with a token of its own. */
  readonly model: Pick<Model, 'parts'>
  readonly tokenizer: Pick<Tokenizer, 'maskId' | 'padId' | 'specialIds' | 'tokenToId'>
  /** Share of a row's tokens that are taken out; at least one of them, and not all. @default 0.15 with sentinels, 0.3 with mask tokens */
  readonly probability?: number
  /** Mean length of a span, in tokens. @default 3 */
  readonly meanLength?: number
  /** Decides what is taken out, together with epoch and row. @default 0 */
  readonly seed?: number
}

/**
 * Denoising for encoder-decoders: spans of a row are taken out, others in each epoch, and the decoder writes what is missing.
 *
 * With a tokenizer that has sentinels (`<extra_id_0>` and on: T5, arXiv:1910.10683) a sentinel stands for each span, and the target
 * is the sentinels with their spans, and one more where the row goes on behind the last of them. With one that has a mask token (BART's text
 * infilling, arXiv:1910.13461) a single mask token stands for each span, and the target is the whole row. A row begins with what is kept, and all
 * ways to take that many tokens out in that many spans are equally likely; of a row for which there are too few sentinels in fewer, longer ones.
 * T5's own pretraining lets each row end with a span: of a row of one sentence that would take out the same words each time. BART drew the lengths
 * from a Poisson distribution, and changed the order of sentences too; that is not done here.
 *
 * Special tokens before and behind the text stay. What is taken out depends on seed, epoch and row alone, not on the batch. The rows that come of it
 * are filled up on the right.
 *
 * @throws InputError when the model is not for 'seq2seq-lm', the tokenizer has neither sentinels nor a mask token, or the numbers make no
 *   sense; in a batch that has labels already
 * @example
 * const sizes = { vocab_size: tokenizer.vocabSize, d_model: 16, d_kv: 4, d_ff: 32, num_heads: 4, num_layers: 1 }
 * const t5 = await createModel({ model_type: 't5', ...sizes, pad_token_id: 0, decoder_start_token_id: 0 }, { task: 'seq2seq-lm' }) // or loadModel
 * const { ids } = tokenizer.encode(texts)
 * const batches = prepareBatches({ ids }, { batchSize: 8, order: { seed: 0 }, transform: corruptSpans({ model: t5, tokenizer }) })
 * await evaluate(t5, batches)
 * t5.dispose()
 */
export function corruptSpans(options: CorruptionOptions): BatchTransform {
  checkNames('corruptSpans', options, { model: true, tokenizer: true, probability: true, meanLength: true, seed: true })
  const { model, tokenizer, meanLength = 3, seed = 0 } = options
  checkKind('model', model)
  checkKind('tokenizer', tokenizer)
  const { padId = 0, maskId = -1 } = tokenizer
  const sentinels = sentinelsOf(tokenizer)
  const isNumbered = sentinels.length > 0
  const { probability = isNumbered ? 0.15 : 0.3 } = options
  const { task, architecture: { decoderStart } } = model.parts
  const isWriter = task === 'seq2seq-lm' && decoderStart !== undefined
  const problems = [
    ...(isWriter ? [] : [`model: expected an encoder-decoder (T5, BART) for 'seq2seq-lm', whose decoder writes what the encoder lacks, got a model for '${task}'; others learn by maskTokens or from the ids themselves`]),
    ...(isNumbered || maskId >= 0 ? [] : ['tokenizer: expected one with sentinels (<extra_id_0> and on), or with a mask token; add them, as in tokenizer.withTokens']),
    ...(probability > 0 && probability < 1 ? [] : [`probability: expected a share between 0 and 1, got ${probability}`]),
    ...(meanLength >= 1 && meanLength < Infinity ? [] : [`meanLength: expected a number of at least 1, got ${meanLength}`]),
    ...(Number.isSafeInteger(seed) ? [] : [`seed: expected an integer, got ${seed}`]),
  ]
  if (!isWriter || problems.length > 0) throw new InputError('corruptSpans: the options cannot be used:', problems)

  const special = new Set(tokenizer.specialIds)
  const corrupted = (row: Int32Array, number: number, epoch: number): Batch => {
    const { before, text, behind } = withoutSpecial(row, special)
    const most = isNumbered ? Math.max(1, sentinels.length - 1) : Infinity // one more may end the target
    const { spans, rest } = cut(text, { probability, meanLength, most }, randomStream(seed, 'spans', epoch, number))
    const signOf = (span: number): number => (isNumbered ? sentinels[span] ?? padId : maskId)
    const end = rest.length > 0 ? sentinels.slice(spans.length, spans.length + 1) : []
    const ids = [...before, ...spans.flatMap(({ kept }, i) => [...kept, signOf(i)]), ...rest, ...behind]
    const target = isNumbered ? [...spans.flatMap(({ taken }, i) => [signOf(i), ...taken]), ...end, ...behind] : Array.from(row)
    return {
      ids: Int32Array.from(ids), decoderIds: Int32Array.from(target, (_, i) => target[i - 1] ?? decoderStart), labels: Int32Array.from(target), batch: 1, length: ids.length,
    }
  }
  return (batch): PaddedBatch => {
    if (batch.labels !== undefined) throw new InputError('corruptSpans: expected a batch without labels, which it makes itself; leave them out of the examples.')
    const ids = tokenIds(batch, 'corruptSpans')
    const { rows, epoch, index, length } = batch
    const own = Array.from(rows, (number, i) => corrupted(ids.subarray(i * length, (i + 1) * length).filter((_, t) => batch.mask?.[i * length + t] !== 0), number, epoch))
    return { ...joinBatches(own, { padId, tokenLabels: true }), rows, epoch, index }
  }
}

/** The sentinels that follow each other, from the first. mT5's have the sign of a blank before them. */
function sentinelsOf({ tokenToId }: CorruptionOptions['tokenizer']): number[] {
  const ids: number[] = []
  const next = (): number | undefined => ['', '▁'].map((blank) => tokenToId(`${blank}<extra_id_${ids.length}>`)).find((id) => id !== undefined)
  for (let id = next(); id !== undefined; id = next()) ids.push(id)
  return ids
}

/** A row's text, and the special tokens on both sides of it. */
function withoutSpecial(row: Int32Array, special: ReadonlySet<number>): { readonly before: Int32Array; readonly text: Int32Array; readonly behind: Int32Array } {
  let [start, end] = [0, row.length]
  while (end > 0 && special.has(row[end - 1] as number)) end--
  while (start < end && special.has(row[start] as number)) start++
  return { before: row.subarray(0, start), text: row.subarray(start, end), behind: row.subarray(end) }
}

interface Span {
  /** What stands before it, back to the span before. */
  readonly kept: Int32Array
  readonly taken: Int32Array
}

/** What is taken out of a text, in at most so many spans, and what stands behind the last of them. */
function cut(
  text: Int32Array, { probability, meanLength, most }: { readonly probability: number; readonly meanLength: number; readonly most: number }, stream: RandomStream,
): { readonly spans: readonly Span[]; readonly rest: Int32Array } {
  if (text.length === 0) return { spans: [], rest: text }
  const taken = Math.max(1, Math.min(Math.round(text.length * probability), text.length - 1))
  const kept = text.length - taken
  const count = Math.max(1, Math.min(Math.round(taken / meanLength), kept, most))
  const [takenLengths, keptLengths] = [parts(taken, count, stream), kept === 0 ? [0] : parts(kept + 1, count + 1, stream)] // the last of them may be empty: one less
  let end = 0
  const next = (length = 0): Int32Array => text.subarray(end, (end += length))
  const spans = takenLengths.map((length, i) => ({ kept: next(keptLengths[i]), taken: next(length) }))
  return { spans, rest: text.subarray(end) }
}

/** So many parts of at least one each, which make up a total: each way to cut it is equally likely. */
function parts(total: number, count: number, stream: RandomStream): number[] {
  const cuts = Array.from(permutation(stream, total - 1).subarray(0, count - 1), (place) => place + 1).sort((a, b) => a - b)
  return [...cuts, total].map((end, i) => end - (cuts[i - 1] ?? 0))
}
