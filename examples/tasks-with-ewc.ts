// One LoRA learns tasks one after the other: as it comes, and with elastic weight consolidation (EWC). What is left of each?
//
//   npx tsx examples/tasks-with-ewc.ts                 120 steps a task
//   npx tsx examples/tasks-with-ewc.ts --steps 2       a short run

import { parseArgs } from 'node:util'
import {
  accuracy, attach, detach, diagonalFisher, ewc, learnInSequence, loadModel, loadTokenizer, lora, predict, Trainer, type Guard,
} from 'tfjs-peft'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const { values } = parseArgs({ options: { steps: { type: 'string', default: '120' }, strength: { type: 'string', default: '1000' } } })

const NAMES = ['Anna', 'Ben', 'Clara', 'David', 'Emma', 'Felix', 'Grace', 'Henry']
/** Two kinds of sentence each, which a model tells apart after a few steps. */
const TASKS = [
  task((name) => `${name} ate soup and bread.`, (name) => `${name} drove the car to town.`),
  task((name) => `${name} is very happy today.`, (name) => `${name} is sad and tired.`),
  task((name) => `It rained when ${name} came home.`, (name) => `${name} paid the invoice by card.`),
]

const tokenizer = await loadTokenizer(MODEL)
const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['first', 'second'] })
const rows = TASKS.map(({ texts, labels }) => ({ ids: tokenizer.encode(texts).ids, labels }))

console.log('as it comes')
await learn()
console.log('with EWC')
const guard = ewc({ strength: Number(values.strength) })
await learn([guard], guard)
guard.dispose()

/** Trains a new LoRA on all tasks and prints the accuracy on each, a line after each training. */
async function learn(guards: readonly Guard[] = [], memory?: ReturnType<typeof ewc>): Promise<void> {
  const adapter = attach(model, lora({ rank: 8, alpha: 16 }))
  const learned = await learnInSequence(rows, {
    train: async (train) => {
      await new Trainer({ model, train, batchSize: 8, learningRate: 2e-3, maxSteps: Number(values.steps), guards }).fit()
      if (memory === undefined) return
      const fisher = await diagonalFisher(model, adapter.trainable, train)
      memory.addTask(adapter.trainable, fisher)
      for (const tensor of Object.values(fisher)) tensor.dispose() // it keeps copies
    },
    evaluate: async (task) => accuracy((await predict(model, task)).classes, task.labels),
  })
  for (const row of learned.accuracies) console.log(`  ${row.map((share) => share.toFixed(2)).join('  ')}`)
  console.log(`  average ${learned.averageAccuracy.toFixed(3)}, forgetting ${learned.forgetting.toFixed(3)}`)
  detach(adapter)
}

function task(first: (name: string) => string, second: (name: string) => string): { readonly texts: string[]; readonly labels: number[] } {
  const texts = NAMES.flatMap((name) => [first(name), second(name)])
  return { texts, labels: texts.map((_, i) => i % 2) }
}
