// A training that workers share; prints its events, one a line, and the sum of its weights at the end.

import { attach, createModel, joinWorkers, lora, Trainer, untilInterrupted } from '../../src/index.ts'

const [steps = '10', checkpoints = '', seedOfWorker1 = '0', every = '1000000'] = process.argv.slice(2)
const workers = await joinWorkers({ timeout: 20 })
const model = await createModel({
  model_type: 'bert', vocab_size: 37, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 64,
  max_position_embeddings: 24, type_vocab_size: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0,
}, { task: 'sequence-classification', labels: ['a', 'b'] })
const adapter = attach(model, lora({ rank: 4, targets: 'all-linear' }), { seed: 1 })
const ids = Array.from({ length: 24 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (__, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
const trainer = new Trainer({
  model, train: { ids, labels: ids.map((_, i) => i % 2) }, batchSize: 8 / workers.count, maxSteps: Number(steps), learningRate: 1e-2, distributed: workers,
  seed: workers.rank === 1 ? Number(seedOfWorker1) : 0,
  ...(checkpoints === '' ? {} : { checkpoints: { folder: checkpoints, every: Number(every) } }),
})
await trainer.fit({ signal: untilInterrupted(), onEvent: (event) => console.log(JSON.stringify(event)) })
const weights = Object.values(adapter.trainable).map((variable) => variable.dataSync<'float32'>().reduce((sum, value) => sum + Math.abs(value), 0))
console.log(JSON.stringify({ type: 'weights', step: 0, weights }))
