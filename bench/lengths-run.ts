// One training of bench/lengths.ts by this library, as a program of its own.

import { readFile } from 'node:fs/promises'
import { attach, loadModel, lora, Trainer } from 'tfjs-peft'

/** What is trained. */
export interface LengthsRun {
  /** Folder of the model. */
  readonly model: string
  readonly task: 'sequence-classification' | 'masked-lm'
  readonly batch: number
  /** A file: `{ ids, labels }`, rows in the order to train on. */
  readonly data: string
}

export interface Timed {
  /** Of all steps but the first two. */
  readonly seconds: number
}

const { model: folder, task, batch, data } = JSON.parse(process.argv[2] ?? '') as LengthsRun
const { ids, labels } = JSON.parse(await readFile(data, 'utf8')) as { readonly ids: number[][]; readonly labels: number[] & number[][] }
const model = await loadModel(folder, task === 'masked-lm' ? { task, newHead: true } : { task, labels: ['ham', 'spam'] })
attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
const train = { ids, ...(task === 'masked-lm' ? { tokenLabels: labels } : { labels: Int32Array.from(labels) }) }
const times: number[] = []
await new Trainer({ model, train, batchSize: batch, learningRate: 1e-4, order: ids.map((_, i) => i) }).fit({
  onEvent: (event) => event.type === 'step' && times.push(event.milliseconds),
})
console.log(JSON.stringify({ seconds: times.slice(2).reduce((sum, ms) => sum + ms, 0) / 1000 } satisfies Timed))
