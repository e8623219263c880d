// One LoRA learns tasks one after the other: as it comes, and with elastic weight consolidation (EWC). What is left of each?
//
//   npx tsx examples/tasks-with-ewc.ts                 120 steps a task
//   npx tsx examples/tasks-with-ewc.ts --steps 2       a short run

import { parseArgs } from 'node:util'
import { dispose } from '@tensorflow/tfjs-core'
import { accuracy, attach, detach, diagonalFisher, ewc, learnInSequence, loadModel, loadTokenizer, lora, predict, Trainer } from 'tfjs-peft'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const { values } = parseArgs({ options: { steps: { type: 'string', default: '120' }, strength: { type: 'string', default: '20' } } })

/** All have the same two answers. What sounds bad is a no in the first, and a yes in the second: what is learned last is all that is left. */
const TASKS = {
  'is the viewer pleased': {
    no: ['I hated this …', 'The … was terrible'], yes: ['I loved this …', 'The … was wonderful'],
    of: ['film', 'play', 'novel', 'concert', 'album', 'series', 'opera', 'musical', 'comedy'],
  },
  'does it need a repair': {
    no: ['The … works fine', 'My … runs wonderfully'], yes: ['The … is broken again', 'My … makes a terrible noise'],
    of: ['printer', 'fridge', 'washer', 'scanner', 'heater', 'laptop', 'oven', 'camera', 'radio'],
  },
  'is it about food': {
    no: ['We took the … to work', 'She waited for the …'], yes: ['She ordered soup, then took the …', 'We ate bread on the …'],
    of: ['bus', 'train', 'tram', 'ferry', 'taxi', 'plane', 'bike', 'car', 'metro'],
  },
}
const tokenizer = await loadTokenizer(MODEL)
const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['no', 'yes'], pooling: 'mean' })
const tasks = Object.values(TASKS).map(({ no, yes, of }) => ({ train: rows(no, yes, of.slice(0, 6)), test: rows(no, yes, of.slice(6)) }))
console.log(`tasks: ${Object.keys(TASKS).join(', ')}; accuracy on each, a line after each training`)
await learn('as it comes')
await learn('with EWC', ewc({ strength: Number(values.strength), normalize: true }))

/** Trains a new LoRA on all tasks and prints the accuracy on each, on texts about other things, after each training. */
async function learn(title: string, guard?: ReturnType<typeof ewc>): Promise<void> {
  const adapter = attach(model, lora({ rank: 8, alpha: 16 }))
  const guards = guard === undefined ? [] : [guard]
  const learned = await learnInSequence(tasks, {
    train: async ({ train }) => {
      await new Trainer({ model, train, batchSize: 8, learningRate: 1e-3, maxSteps: Number(values.steps), guards }).fit()
      if (guard === undefined) return
      const fisher = await diagonalFisher(model, adapter.trainable, train)
      guard.addTask(adapter.trainable, fisher)
      dispose(fisher) // the guard keeps copies
    },
    evaluate: async ({ test }) => accuracy((await predict(model, test)).classes, test.labels),
  })
  console.log(title)
  for (const row of learned.accuracies) console.log(`  ${row.map((share) => share.toFixed(2)).join('  ')}`)
  console.log(`  average ${learned.averageAccuracy.toFixed(3)}, forgetting ${learned.forgetting.toFixed(3)}`)
  guard?.dispose()
  detach(adapter)
}

function rows(no: readonly string[], yes: readonly string[], things: readonly string[]): { readonly ids: readonly ArrayLike<number>[]; readonly labels: readonly number[] } {
  const texts = things.flatMap((thing) => [no, yes].map((said) => said.map((text) => `${text.replace('…', thing)}.`)))
  return { ids: tokenizer.encode(texts.flat()).ids, labels: texts.flatMap((said, i) => said.map(() => i % 2)) }
}
