// Loads a causal LM and trains LoRA for a step or several, in a process of its own; prints what it took as JSON, memory in bytes.
//
//   load-and-step.ts FOLDER LENGTH DTYPE [STEPS]

import { readFileSync, writeFileSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs-core'
import { attach, loadModel, lora, Trainer, type LoadOptions } from '../../src/index.ts'
import { loadEngine } from '../../src/advanced.ts'

/** What is printed: what the engine alone takes, and beyond it the model and the training. */
export interface Report {
  readonly engine: number
  readonly load: { readonly seconds: number; readonly peak: number; readonly now: number }
  readonly step: { readonly seconds: number; readonly peak: number; readonly loss: number; readonly moved: boolean }
}

const [folder = '', length = '', dtype, steps = '1'] = process.argv.slice(2)
await loadEngine()
tf.tidy(() => tf.matMul(tf.ones([256, 256]), tf.ones([256, 256])).dataSync()) // the engine's threads and buffers are there
const engine = memory('VmRSS')
writeFileSync('/proc/self/clear_refs', '5') // VmHWM counts from here on

let start = performance.now()
const model = await loadModel(folder, { task: 'causal-lm', dtype: dtype as NonNullable<LoadOptions['dtype']> })
const load = { seconds: since(), peak: memory('VmHWM') - engine, now: memory('VmRSS') - engine }

start = performance.now()
const adapter = attach(model, lora({ rank: 8, alpha: 16 }))
const ids = [Int32Array.from({ length: Number(length) }, (_, i) => (i * 7919) % (model.parts.architecture.text?.vocabSize ?? 0))]
let loss = NaN
await new Trainer({ model, train: { ids }, batchSize: 1, epochs: Number(steps), learningRate: 1e-3 }).fit({
  onEvent: (event) => event.type === 'step' && (loss = event.loss),
})
const moved = Object.values(adapter.trainable).some((tensor) => tf.tidy(() => (tf.max(tf.abs(tensor)).dataSync()[0] ?? 0) > 0))
console.log(JSON.stringify({ engine, load, step: { seconds: since(), peak: memory('VmHWM') - engine, loss, moved } }))

function memory(field: 'VmHWM' | 'VmRSS'): number {
  const kilobytes = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return 1024 * Number(kilobytes)
}

function since(): number {
  return (performance.now() - start) / 1000
}
