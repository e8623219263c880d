// A training in a process of its own, for tests that interrupt it: node --import tsx long-run.ts CHECKPOINTS OUT

import { lora, attach, loadModel, Trainer, untilInterrupted } from '../../src/index.ts'
import { writeTensors } from '../../src/base/checkpoint/named-tensors.ts'
import { goldenPath, valuesOf } from '../golden.ts'

const [, , folder = '', out = ''] = process.argv
const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
const adapter = attach(model, lora({ rank: 4, dropout: 0.1 }), { seed: 1 })
const ids = Array.from({ length: 48 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (_, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
const rows = { ids, labels: Int32Array.from(ids, (_, i) => i % 2) }
const trainer = new Trainer({
  model, train: rows, evaluate: rows, batchSize: 4, accumulate: 2, epochs: 6, evaluateEvery: 5, learningRate: 1e-2, warmup: 0.1,
  best: { metric: 'accuracy' }, checkpoints: { folder, every: 3 },
})
const say = (text: string): void => void process.stdout.write(`${text}\n`)
await trainer.fit({ signal: untilInterrupted(), onEvent: (event) => say(JSON.stringify(event)) })
await writeTensors(out, new Map(Object.entries(adapter.trainable).map(([name, variable]) => [name, { shape: variable.shape, values: valuesOf(variable) }])))
