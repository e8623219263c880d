// A training that workers share; prints its events, one a line, and its weights at the end.

import { attach, createModel, fullFineTuning, joinWorkers, lora, Trainer, untilInterrupted } from '../../src/index.ts'

/** What it is told, as JSON. */
export interface Told {
  readonly steps: number
  /** Of checkpoints. @default none */
  readonly folder?: string
  /** Steps between them. @default those that are asked for alone */
  readonly every?: number
  /** Seconds. @default 20 */
  readonly timeout?: number
  /** Trains the whole model, whose table of words is so large that its rows go by themselves. @default LoRA, of a small one */
  readonly whole?: boolean
  /** How the last worker is unlike the others. */
  readonly other?: 'seed' | 'data'
}

const ROWS = 12 // of all workers, in a step

const { steps, folder, every = 1_000_000, timeout = 20, whole = false, other } = JSON.parse(process.argv[2] ?? 'null') as Told
const workers = await joinWorkers({ timeout })
const is = (what: Told['other']): boolean => other === what && workers.rank === workers.count - 1
const model = await createModel({
  model_type: 'bert', vocab_size: whole ? 2 ** 15 : 37, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 64,
  max_position_embeddings: 24, type_vocab_size: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0,
}, { task: 'sequence-classification', labels: ['a', 'b'] })
const adapter = attach(model, whole ? fullFineTuning() : lora({ rank: 4, targets: 'all-linear' }), { seed: 1 })
const ids = Array.from({ length: 24 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (__, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
const trainer = new Trainer({
  model, train: { ids, labels: ids.map((_, i) => (is('data') ? 0 : i % 2)) }, batchSize: ROWS / workers.count, maxSteps: steps, learningRate: 1e-2, distributed: workers,
  seed: is('seed') ? 7 : 0,
  ...(folder === undefined ? {} : { checkpoints: { folder, every } }),
})
await trainer.fit({ signal: untilInterrupted(), onEvent: (event) => console.log(JSON.stringify(event)) })
const weights = Object.values(adapter.trainable).map((variable) => [...variable.dataSync<'float32'>().subarray(0, 4096)]) // of a table the rows that are read, and many more
console.log(JSON.stringify({ type: 'weights', step: 0, weights: weights.flat() }))
