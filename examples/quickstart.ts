// Fine-tunes all-MiniLM-L6-v2 into a spam filter with LoRA, saves the adapter and loads it again.
//
//   npm run quickstart                     one epoch over all mails
//   npm run quickstart -- --mails 400      a short run
//   npm run quickstart -- --out spam-lora  where the adapter goes

import { parseArgs } from 'node:util'
import {
  accuracy, attach, loadAdapter, loadModel, loadTokenizer, lora, precisionRecallF1, predict, progress, Trainer,
  type Examples,
} from 'tfjs-peft'
import { loadMails, splitMails, type Mail } from './mails.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const TASK = { task: 'sequence-classification', labels: ['ham', 'spam'] } as const

const { values } = parseArgs({
  options: {
    mails: { type: 'string' },
    out: { type: 'string', default: 'out/spam-lora' },
    seed: { type: 'string', default: '0' },
  },
})
const limit = values.mails === undefined ? {} : { limit: Number(values.mails) }
const seed = Number(values.seed)

const tokenizer = await loadTokenizer(MODEL)
const { train, evaluate } = splitMails(await loadMails(limit), { evaluate: 0.2 })
const [trainRows, evaluateRows] = [tokenize(train), tokenize(evaluate)]
console.log(`mails       ${train.length} to train on, ${evaluate.length} held out, ${share(evaluateRows.labels)} of them spam`)

const model = await loadModel(MODEL, { ...TASK, seed })
const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }), { seed })
const summary = adapter.summary()
console.log(`LoRA        ${summary.sites} modules, ${summary.trainable} of ${summary.total} parameters trained (${percent(summary.share)})`)

const batchSize = train.length < 1000 ? 8 : 32 // a short run needs its steps
const trainer = new Trainer({ model, train: trainRows, batchSize, learningRate: 3e-3, maxGradNorm: Infinity, seed })
const stop = new AbortController()
process.once('SIGINT', () => stop.abort()) // the step in progress ends, and the adapter is saved
const times: number[] = []
const start = performance.now()
await trainer.fit({
  signal: stop.signal,
  watchers: [progress()],
  onEvent: (event) => {
    if (event.type === 'step') times.push(event.milliseconds)
  },
})
const seconds = (performance.now() - start) / 1000

await adapter.save(values.out)
if (stop.signal.aborted) {
  console.log(`stopped     after ${times.length} of ${trainer.steps} steps; the adapter is in ${values.out}`)
  process.exit(130)
}
const trained = await predict(model, evaluateRows)
const { f1 } = precisionRecallF1(trained.classes, evaluateRows.labels)
console.log(`held out    accuracy ${accuracy(trained.classes, evaluateRows.labels).toFixed(4)}, F1 ${f1.toFixed(4)}`)
console.log(`time        ${seconds.toFixed(0)} s for ${times.length} steps, median ${median(times).toFixed(0)} ms a step`)
console.log(`memory      ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB at most`)
console.log(`saved       ${values.out}, in HF PEFT's format`)

const fresh = await loadModel(MODEL, TASK)
await loadAdapter(fresh, values.out)
const reloaded = await predict(fresh, evaluateRows)
const same = reloaded.logits.every((logit, i) => logit === trained.logits[i])
console.log(`reloaded    into a fresh model: ${same ? 'identical' : 'DIFFERENT'} predictions on all ${evaluate.length} held-out mails`)
if (!same) process.exitCode = 1

function tokenize(mails: readonly Mail[]): Examples & { readonly labels: Int32Array } {
  const { ids } = tokenizer.encode(mails.map(({ text }) => text), { maxLength: 128 })
  return { ids, labels: Int32Array.from(mails, ({ label }) => label) }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN
}

function percent(value: number): string {
  return `${(100 * value).toFixed(2)} %`
}

function share(labels: Int32Array): string {
  return percent(labels.reduce((sum, label) => sum + label, 0) / labels.length)
}
