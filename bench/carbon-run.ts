// One training that bench/carbon.ts has watched: steps of 16 rows of 64 tokens with LoRA on MiniLM. Prints its cost as JSON.

import { attach, loadModel, lora, Trainer } from 'tfjs-peft'

const [steps, watts, gramsPerKilowattHour] = process.argv.slice(2).map(Number)
const model = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sequence-classification', labels: ['ham', 'spam'] })
attach(model, lora({ rank: 8, alpha: 16 }))
const ids = Array.from({ length: 256 }, (_, row) => Array.from({ length: 64 }, (__, i) => 1000 + ((row * 64 + i) * 7919) % 20_000))
const trainer = new Trainer({ model, train: { ids, labels: ids.map((_, i) => i % 2) }, batchSize: 16, maxSteps: steps ?? 60, power: { watts: watts ?? 40, gramsPerKilowattHour: gramsPerKilowattHour ?? 380 } })
const { cost } = await trainer.fit({ onEvent: () => undefined })
console.log(JSON.stringify(cost))
