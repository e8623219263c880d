import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import { sharedByBatch } from '../base/autodiff/tape.ts'
import type { InitContext, Inits, Method, SiteTensors } from '../base/method.ts'
import { prepend, reshape } from '../base/ops/algebra.ts'
import { prependEach, widerBorders } from '../base/ops/packed.ts'
import type { Sequence, SequenceSite } from '../base/sites.ts'
import { textStarts } from '../base/adapter/virtual-tokens.ts'
import type { FileFormat } from '../base/adapter/file-format.ts'

/** What the methods of this folder differ in. */
export interface VirtualRows {
  /** The method's name in errors. */
  readonly name: string
  readonly virtualTokens: number
  /** The tensors that are trained. */
  readonly init: (site: SequenceSite, context: InitContext) => Inits
  /** The rows they stand for, (virtualTokens, D). */
  readonly rows: (own: SiteTensors) => Tensor2D
  /** What a class for a sequence is read off. */
  readonly pooling: PromptPooling
  readonly format: FileFormat
}

/**
 * Where a class for a sequence is read from: `'text'`, the text's own tokens as without the rows; `'all'`, HF PEFT's way, all
 * rows: of an encoder the first virtual one, or the mean of them and the text where the model takes a mean, of a decoder the last one,
 * padding or not. Padding has positions then too.
 */
export type PromptPooling = 'text' | 'all'

/** A method that puts rows in front of the token rows. */
export function virtualRows({ name, virtualTokens, init, rows, pooling, format }: VirtualRows): Method {
  return {
    name,
    select: (sites) => textStarts(sites, name, virtualTokens, 'encoder'),
    init: (site, context) => (site.kind === 'sequence' ? init(site, context) : {}),
    sequence: (_, own) => (sequence, next) => putBefore(sharedByBatch(() => rows(own)), next(sequence), pooling),
    seesPadding: pooling === 'all',
    format,
  }
}

function putBefore(added: Tensor2D, sequence: Sequence, pooling: PromptPooling): Sequence {
  const { rows, batch: B, length: T, mask, lengths, virtual, ...rest } = sequence
  const [P, D] = added.shape
  const { packed } = sequence
  if (packed !== undefined) {
    const all = prependEach(added, rows, widerBorders(packed.borders, T))
    const length = all.shape[0]
    return { ...rest, rows: all, batch: B, length, mask: tf.ones([B, length]), lengths: [length], virtual: virtual + P }
  }
  const all = prepend(added, reshape<Rank.R3>(rows, [B, T, D]))
  return {
    ...rest,
    rows: reshape<Rank.R2>(all, [B * (P + T), D]),
    batch: B,
    length: P + T,
    mask: tf.pad(mask, [[0, 0], [P, 0]], 1),
    lengths: lengths.map((tokens) => tokens + P),
    virtual: virtual + P,
    ...(pooling === 'all' ? { countsAll: true } : {}),
  }
}

/** @throws InputError unless it is a number of tokens */
export function checkTokens(method: string, virtualTokens: number): void {
  if (Number.isInteger(virtualTokens) && virtualTokens >= 1) return
  throw new InputError(`${method}: virtualTokens: expected an integer of at least 1, got ${shown(virtualTokens)}.`)
}
