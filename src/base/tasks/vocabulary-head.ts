// Heads that end in the words of a vocabulary: of each token, how likely each word is to stand there, or behind it.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D } from '@tensorflow/tfjs-core'
import type { Head } from '../architecture.ts'
import { isDifferentiable, keepsExamplesApart } from '../autodiff/tape.ts'
import { activation } from '../ops/activation.ts'
import { addRow, capped, reshape, times } from '../ops/algebra.ts'
import { IGNORED_LABEL } from '../ops/cross-entropy.ts'
import { lookup } from '../ops/lookup.ts'
import { vocabularyLoss } from '../ops/vocabulary-loss.ts'
import type { Pass } from '../pass.ts'
import { eachToken, realTokens } from './heads.ts'
import { entropy, weightingOf, weightOf } from './losses.ts'

/** What the logits are made by. */
export interface Vocabulary {
  /** Of the product. */
  readonly name: string
  readonly size: number
  /** The product has a bias. @default true */
  readonly bias?: boolean
  /** What tokens go through before. @default nothing */
  readonly transform?: (pass: Pass, rows: Tensor2D) => Tensor2D
  /** A row (1, size) that is added to a product without bias. @default none */
  readonly row?: (pass: Pass) => Tensor2D
  /** What the logits are multiplied by. @default 1 */
  readonly factor?: number
  /** What they are kept below, then. @default none */
  readonly cap?: number | undefined
}

/** Its loss takes the tokens that have a label alone, and where the product is frozen never has the logits of all of them. */
export function vocabularyHead({ name, size, bias = true, transform = (_, rows) => rows, row, factor = 1, cap }: Vocabulary): Head {
  const logitsOf = (pass: Pass, rows: Tensor2D): Tensor2D => {
    const product = pass.linear(name, rows, size, { role: 'head', bias })
    const logits = times(row === undefined ? product : addRow(product, row(pass)), factor)
    return cap === undefined ? logits : capped(logits, cap)
  }
  return {
    modules: [],
    run: (pass, encoded) => eachToken(encoded, (rows) => logitsOf(pass, transform(pass, rows))),
    vocabularyLoss: (pass, encoded, given, { held, ...options }) => {
      const tokens = realTokens(encoded)
      const [B, T, D] = tokens.shape
      const all = reshape<Rank.R2>(tokens, [B * T, D])
      const words = pass.outputsOf(name) // an adapter may have another table
      const every = held(given, [B, T, words])
      if (keepsExamplesApart()) return entropy(logitsOf(pass, transform(pass, all)), every, options)
      const { rows, labels } = labelled(all, every)
      const input = transform(pass, rows)
      const product = pass.frozenProduct(name, { bias })
      const added = row === undefined ? product?.bias : reshape<Rank.R1>(row(pass), [words])
      if (product === undefined || (added !== undefined && isDifferentiable(added))) return entropy(logitsOf(pass, input), labels, options)
      return { sum: vocabularyLoss(input, { ...product, bias: added, factor, cap }, labels, weightingOf(options, words)), weight: weightOf(labels, options) }
    },
  }
}

/** The rows that have a label; the first row where none has one. */
function labelled(rows: Tensor2D, labels: Int32Array): { readonly rows: Tensor2D; readonly labels: Int32Array } {
  const places = Int32Array.from(labels.keys()).filter((i) => labels[i] !== IGNORED_LABEL)
  if (places.length === labels.length) return { rows, labels }
  const taken = places.length === 0 ? Int32Array.of(0) : places
  return { rows: lookup(rows, tf.tensor1d(taken, 'int32')), labels: taken.map((i) => labels[i] ?? IGNORED_LABEL) }
}

/** The next token. @param name of the product @param factor what the logits are multiplied by @param cap what they are kept below */
export function causalLm(size: number, { name = 'lm_head', ...rest }: Partial<Pick<Vocabulary, 'name' | 'factor' | 'cap' | 'row'>> = {}): Head {
  return vocabularyHead({ name, size, bias: false, ...rest })
}

/** Full names of a masked-LM head's modules. */
export interface MaskedLmNames {
  readonly dense: string
  readonly norm: string
  readonly decoder: string
}

interface MaskedLmOptions {
  readonly vocabSize: number
  /** Of the rows of the decoder, which may be those of the table of words. */
  readonly embeddingSize: number
  readonly activation: string
  readonly epsilon: number
}

export function maskedLm(names: MaskedLmNames, { vocabSize, embeddingSize, activation: kind, epsilon }: MaskedLmOptions): Head {
  return vocabularyHead({
    name: names.decoder,
    size: vocabSize,
    transform: (pass, rows) => pass.layerNorm(names.norm, activation(kind, pass.linear(names.dense, rows, embeddingSize)), epsilon),
  })
}
