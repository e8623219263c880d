// What the chain from poems to tasks and its comparison with torch share: the model, how it is pretrained, and rows.

import { attach, createModel, evaluate, fullFineTuning, maskTokens, merge, prepareBatches, Trainer, type Method, type Model, type Tokenizer, type TrainerOptions } from 'tfjs-peft'
import { cosine, type BatchSource, type FitOptions } from 'tfjs-peft/advanced'

/** A small BERT; no dropout, since torch draws other numbers. */
export const configOf = (vocabulary: number): Record<string, unknown> => ({
  model_type: 'bert', architectures: ['BertForMaskedLM'], vocab_size: vocabulary, hidden_size: 128, num_hidden_layers: 3, num_attention_heads: 4,
  intermediate_size: 512, max_position_embeddings: 320, type_vocab_size: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, pad_token_id: 0,
})

const BATCH = 32

/** Masked LM; AdamW with decay on every weight. */
export const SETTINGS = {
  learningRate: 2e-3, schedule: cosine, warmup: 0.05, weightDecay: 0.01, maxGradNorm: 1,
} as const satisfies Partial<TrainerOptions>

export const untrained = (tokenizer: Tokenizer, seed: number): Promise<Model> => createModel(configOf(tokenizer.vocabSize), { task: 'masked-lm', seed })

/** Batches of rows with 15 % of their words hidden, or of their tokens, others in each epoch. */
export function masked(ids: Rows, tokenizer: Tokenizer, seed: number, { order = { seed }, wholeWords = true }: Masking = {}): BatchSource {
  return prepareBatches({ ids }, { batchSize: BATCH, order, transform: maskTokens({ tokenizer, seed, wholeWords }) })
}

export interface Masking extends Pick<Parameters<typeof prepareBatches>[1], 'order'> {
  /** A word of a vocabulary that has Chinese in lines is a line. @default true */
  readonly wholeWords?: boolean
}

export type Rows = readonly Int32Array[]

/** Trains with a method by masked LM, and gives the model with what was learned in its weights; the one before is freed. */
export async function learnMasked(model: Model, ids: Rows, { tokenizer, seed, method = fullFineTuning(), fit = {}, wholeWords = true, ...options }: MaskedLm): Promise<Model> {
  const adapter = attach(model, method, { seed })
  await new Trainer({ model, train: masked(ids, tokenizer, seed, { wholeWords }), ...SETTINGS, ...options }).fit(fit)
  const trained = merge(model, adapter)
  model.dispose()
  return trained
}

export interface MaskedLm extends Pick<TrainerOptions, 'guards' | 'checkpoints' | 'learningRate'>, Pick<Masking, 'wholeWords'> {
  readonly tokenizer: Tokenizer
  readonly seed: number
  readonly maxSteps: number
  /** @default all weights */
  readonly method?: Method
  readonly fit?: FitOptions
}

/** Mean loss of a hidden token, where always the same ones are hidden. */
export async function maskedLoss(model: Model, ids: Rows, tokenizer: Tokenizer, options: Pick<Masking, 'wholeWords'> = {}): Promise<number> {
  const { loss = NaN } = await evaluate(model, masked(ids, tokenizer, 0, { order: 'given', ...options }))
  return loss
}
