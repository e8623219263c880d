// A training that has less memory than its steps need: TF_CPU_BFC_MEM_LIMIT_IN_MB=… node --import tsx out-of-memory.ts

import { attach } from '../../src/base/adapter/attach.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { lora } from '../../src/lora/lora.ts'
import { Trainer } from '../../src/training/trainer.ts'

const model = await createModel(
  { model_type: 'bert', vocab_size: 100, hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 512, max_position_embeddings: 128 },
  { task: 'sequence-classification', labels: ['a', 'b'] },
)
const adapter = attach(model, lora({ rank: 4 }))
const rows = (count: number): { ids: number[][]; labels: number[] } =>
  ({ ids: Array.from({ length: count }, (_, i) => Array.from({ length: 128 }, (__, t) => (i * 7 + t) % 100)), labels: Array.from({ length: count }, (_, i) => i % 2) })
const weights = (): string => JSON.stringify(Object.values(adapter.trainable).map((variable) => [...variable.dataSync()]))
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

await new Trainer({ model, train: rows(4), batchSize: 2 }).fit()
const before = weights()
await new Trainer({ model, train: rows(512), batchSize: 512 }).fit({ onEvent: (event) => say(event) }).catch((error: unknown) => {
  const { name, message } = error as Error
  say({ type: 'error', name, message, unchanged: weights() === before })
})
await new Trainer({ model, train: rows(4), batchSize: 2 }).fit()
say({ type: 'trained on', changed: weights() !== before })
