import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'

/** Stands for "never" in scores: finite even when added twice, so that a row without a visible key gives no NaN. */
export const MASKED = -1e30

/**
 * What one attention product is made of. T queries, K keys; fewer key/value heads than query heads are shared. A score is
 * cap · tanh(scale · q k / cap) + bias + keyBias.
 */
export interface AttentionCall {
  /**
   * Rows of different lengths stand one behind the other, and do not see each other: B is 1, row i has the queries
   * [borders[i], borders[i + 1]), and each row the same number of keys before those of its tokens. @default B rows of one length
   */
  readonly borders?: readonly number[] | undefined
  readonly q: Tensor4D // (B, T, H, D)
  readonly k: Tensor4D // (B, K, Hkv, D); K need not be T: in cross attention keys are another sequence's
  readonly v: Tensor4D // (B, K, Hkv, D)
  /** Factor of the scores: 1/√D in most models, 1 in T5 (arXiv:1910.10683). */
  readonly scale: number
  /** Keeps scores between −cap and cap, before any bias; above 0. Gemma 2, arXiv:2408.00118. @default none */
  readonly cap?: number | undefined
  /**
   * Added to the scores, (1 or B, H, T, K), of rows with borders as for the longest of them or longer; finite: T5's relative positions (arXiv:1910.10683), ALiBi (arXiv:2108.12409). It has
   * a gradient, over the batch where all samples share it. @default none
   */
  readonly bias?: Tensor4D | undefined
  /** Added to the scores of each key, (B, K): 0 where it may be seen, a large negative number where not. @default all are seen */
  readonly keyBias?: Tensor2D | undefined
  /**
   * One score more for each head, (H): it takes part in the softmax and gives no value, so that a query need not look
   * anywhere. It has a gradient. gpt-oss; cf. Xiao et al. 2023, arXiv:2309.17453. @default none
   */
  readonly sinks?: Tensor1D | undefined
  /** A query sees only the keys up to its own position, counted from the end of the keys. @default false */
  readonly causal?: boolean
  /**
   * A query sees only the keys that are less than this many tokens away, its own included: back, and where attention is not causal ahead
   * too. Keys that `keyBias` hides do not count. At least 1. Beltagy et al. 2020, arXiv:2004.05150. @default all
   */
  readonly window?: number | undefined
  /** Dropout on the attention probabilities. @default none */
  readonly dropout?: { readonly rate: number; readonly seed: readonly [number, number] } | undefined
}

/** One way to compute attention. */
export interface AttentionForm {
  readonly forward: (call: AttentionCall) => { readonly y: Tensor4D; readonly kept: readonly Tensor[] }
  /**
   * dq, dk, dv, dbias and the rows (B·T, H) that add up to dsinks, from what forward kept. Of `call`, its numbers and shapes alone: its
   * tensors may be gone.
   */
  readonly backward: (
    dy: Tensor4D,
    kept: readonly Tensor[],
    call: AttentionCall,
    needs: readonly boolean[],
  ) => readonly (Tensor | null)[]
}
