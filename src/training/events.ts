import type { BestState } from './best.ts'
import type { Cost } from './cost.ts'

/** One optimiser step is done. */
export interface StepEvent {
  readonly type: 'step'
  /** Steps done, from 1, and steps in all. */
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly loss: number
  /** What the guards add to the loss, which stays that of the task; there where a guard adds something. */
  readonly penalty?: number
  readonly learningRate: number
  /** Norm of all gradients, before clipping. */
  readonly gradNorm: number
  /** Of computing; `waited` not included. */
  readonly milliseconds: number
  /** Milliseconds until the batches were there. */
  readonly waited: number
  /** Tokens in the step, padding left out. */
  readonly tokens: number
  /** Floating-point operations of the step's products, forward and backward. */
  readonly operations: number
  /** Bytes of memory that the process has. */
  readonly memory: number
  /** The gradients were not finite and the weights stayed as they were (`nonFinite: 'skip'`). */
  readonly skipped?: true
}

/** What held-out rows are measured by; those of one's own by their names. */
export interface Measures {
  /**
   * Classification: share of the rows, or tokens, that are right; of several labels a row, that are right as a whole. Sentence
   * embedding, pictures with texts: share of the rows whose own text is the nearest of its batch.
   */
  readonly accuracy?: number
  /** Of class 1 for two classes, else the mean over classes; of question answering the mean of each answer's, by its words. */
  readonly f1?: number
  /** Question answering: share of the answers that are one of the right ones. */
  readonly exactMatch?: number
  /** Of several labels a row: all labels counted together, and the mean over them. */
  readonly microF1?: number
  readonly macroF1?: number
  /** Sentence embedding, pictures with texts: mean of 1 / rank of the row's own text in its batch. */
  readonly mrr?: number
  /** Pictures with texts: share of the rows whose own text is among the nearest five of its batch. */
  readonly recallAt5?: number
  /** Regression: mean squared error, and the correlations of what is said with what is right; of pairs with scores, those of their cosines. */
  readonly mse?: number
  readonly pearson?: number
  readonly spearman?: number
  /** The mean over everything that counts. */
  readonly loss?: number
  /** Language models: exp(loss). */
  readonly perplexity?: number
  readonly [own: string]: number | string | undefined
}

/** The held-out rows were measured. */
export interface EvaluateEvent extends Measures {
  readonly type: 'evaluate'
  readonly step: number
  readonly epoch: number
}

/** A checkpoint is on the disk. */
export interface CheckpointEvent {
  readonly type: 'checkpoint'
  readonly step: number
  readonly path: string
}

/** Training resumes from a checkpoint. */
export interface ResumeEvent {
  readonly type: 'resume'
  /** Steps that are done already. */
  readonly step: number
  /** Why newer checkpoints could not be used. */
  readonly refused: readonly string[]
}

/** Something that a user should know before it is too late. */
export interface WarningEvent {
  readonly type: 'warning'
  /** Steps done. */
  readonly step: number
  readonly text: string
}

/** How a training ended: its last event. */
export interface EndEvent {
  readonly type: 'end'
  /**
   * `'finished'`: every step is done. `'early'`: no better evaluation came, see `best.patience`. `'stopped'`: by a signal or by
   * `maxSeconds`, so that what is trained is half trained; where there are checkpoints, the same program goes on from there.
   */
  readonly end: 'finished' | 'early' | 'stopped'
  /** Steps done, and steps in all. */
  readonly step: number
  readonly steps: number
  /** Why not every step is done. */
  readonly reason?: string
  /** The evaluation whose weights were kept, see `best`; not of a training that was stopped, which has the weights of its last step. */
  readonly best?: BestState
  /** Time, operations, memory and energy of this run. */
  readonly cost: Cost
}

/** Everything that a training reports, told apart by `type`. */
export type TrainerEvent = StepEvent | EvaluateEvent | CheckpointEvent | ResumeEvent | EndEvent | WarningEvent
