// One training of bench/frozen.ts, as a program of its own.

import { readFile } from 'node:fs/promises'
import { attach, detach, loadModel, lora, Trainer } from 'tfjs-peft'

/** What is trained. */
export interface FrozenRun {
  /** Folder of the model. */
  readonly model: string
  /** Layers with LoRA. */
  readonly layers: readonly number[]
  readonly batch: number
  readonly epochs: number
  /** A file: `{ ids, labels }`. */
  readonly data: string
  readonly cacheFrozen: boolean
  /** Padding is computed, as it was before rows stood one behind the other. */
  readonly padded: boolean
}

export interface FrozenTimed {
  /** From the call of `fit` to its end. */
  readonly seconds: number
  readonly peak_rss_mb: number
  /** The loss of the last step, by which sides are held against each other. */
  readonly loss: number
}

const { model: folder, layers, batch, epochs, data, cacheFrozen, padded } = JSON.parse(process.argv[2] ?? '') as FrozenRun
const { ids, labels } = JSON.parse(await readFile(data, 'utf8')) as { readonly ids: number[][]; readonly labels: number[] }
const loaded = await loadModel(folder, { task: 'sequence-classification', labels: ['ham', 'spam'] })
const method = lora({ rank: 8, alpha: 16, targets: ['query', 'value'], layers })
const options = { batchSize: batch, learningRate: 1e-4, seed: 0 }

const first = attach(loaded, method) // once through everything, so that no side waits for what is made once
await new Trainer({ model: loaded, train: { ids: ids.slice(0, batch), labels: Int32Array.from(labels.slice(0, batch)) }, ...options }).fit()
detach(first)

attach(loaded, method)
if (padded) loaded.attached = { ...loaded.attached, wiring: { ...loaded.attached.wiring, seesPadding: true } }
let loss = NaN
const begin = performance.now()
await new Trainer({ model: loaded, train: { ids, labels: Int32Array.from(labels) }, epochs, cacheFrozen, ...options }).fit({
  onEvent: (event) => { if (event.type === 'step') loss = event.loss },
})
console.log(JSON.stringify({ seconds: (performance.now() - begin) / 1000, peak_rss_mb: (process.resourceUsage().maxRSS * 1024) / 1e6, loss } satisfies FrozenTimed))
