// The pretraining's data, tokenizer, model and settings, which the script and its comparison with torch share.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createModel, loadTokenizer, packTokens, type Model, type TrainerOptions } from 'tfjs-peft'
import { cosine } from 'tfjs-peft/advanced'
import { loadBrown, splitSamples } from '../brown.ts'
import { END_OF_TEXT, trainBpe } from './bpe.ts'

/** The genre that pretraining never sees. */
export const GENRE = 'learned'
export const LENGTH = 128
export const VOCABULARY = 4096

export const CONFIG = {
  model_type: 'gpt2', architectures: ['GPT2LMHeadModel'], vocab_size: VOCABULARY, n_positions: LENGTH, n_embd: 256, n_layer: 4, n_head: 4,
  embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0, bos_token_id: 0, eos_token_id: 0, tie_word_embeddings: true,
} // no dropout: torch draws other numbers

/** How it is pretrained; AdamW with decay on every weight. */
export const SETTINGS = {
  batchSize: 16, learningRate: 1e-3, schedule: cosine, warmup: 0.05, weightDecay: 0.01, maxGradNorm: 1, seed: 0,
} as const satisfies Partial<TrainerOptions>

type Rows = readonly Int32Array[]

export interface Prepared {
  readonly model: Model
  readonly tokenizer: Awaited<ReturnType<typeof loadTokenizer>>
  /** Rows of all genres but one, and of that one. */
  readonly general: { readonly train: Rows; readonly evaluate: Rows }
  readonly genre: { readonly train: Rows; readonly evaluate: Rows }
  /** Tokenizer's training, in seconds. */
  readonly seconds: number
}

/**
 * Reads the corpus, trains the tokenizer on the pretraining's own texts, writes it into the folder, and makes the model.
 *
 * @param oneIn takes one sample in so many
 */
export async function prepare(folder: string, oneIn = 1): Promise<Prepared> {
  const { train, evaluate } = await splitSamples((await loadBrown()).filter((_, i) => i % oneIn === 0), 0.1)
  const texts = (samples: typeof train, isGenre: boolean): string[] =>
    samples.filter(({ genre }) => (genre === GENRE) === isGenre).map(({ text }) => text)
  await mkdir(folder, { recursive: true })
  const start = performance.now()
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(trainBpe(texts(train, false), VOCABULARY)))
  const seconds = (performance.now() - start) / 1000
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({
    tokenizer_class: 'GPT2TokenizerFast', bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: END_OF_TEXT, model_max_length: LENGTH,
  }))
  const tokenizer = await loadTokenizer(folder)
  const rows = (some: readonly string[]): Rows => packTokens(tokenizer.encode(some).ids, { length: LENGTH, separator: 0 })
  return {
    model: await createModel(CONFIG, { seed: SETTINGS.seed }),
    tokenizer,
    general: { train: rows(texts(train, false)), evaluate: rows(texts(evaluate, false)) },
    genre: { train: rows(texts(train, true)), evaluate: rows(texts(evaluate, true)) },
    seconds,
  }
}
