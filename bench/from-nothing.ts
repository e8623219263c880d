// A training from nothing by torch, beside one here.

import type { TrainerOptions } from 'tfjs-peft'
import { writeSafetensors, type BatchSource, type PaddedBatch, type TensorToWrite } from 'tfjs-peft/advanced'
import { path, peersPython, run } from './process.ts'

type Settings = Readonly<Record<'batchSize' | 'learningRate' | 'warmup' | 'weightDecay' | 'maxGradNorm', number>> & Partial<TrainerOptions>

/** What a script of bench/peers makes of the untrained model and the rows in a folder. */
export async function byTorch(script: string, folder: string, steps: number, { batchSize, learningRate, warmup, weightDecay, maxGradNorm }: Settings): Promise<unknown> {
  const settings = { folder, steps, batch: batchSize, lr: learningRate, warmup: Math.ceil(warmup * steps), decay: weightDecay, clip: maxGradNorm }
  return await run(peersPython(), [path(`peers/${script}.py`), ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])])
}

/** Of batches with ids and labels so many, epoch after epoch: `<name>.ids` and `<name>.labels`, one behind the other, each filled up to its longest row. */
export async function writeBatches(file: string, sets: Readonly<Record<string, { readonly batches: BatchSource; readonly count: number }>>): Promise<void> {
  const tensors: TensorToWrite[] = []
  for (const [name, { batches, count }] of Object.entries(sets)) {
    const taken: PaddedBatch[] = []
    for (let epoch = 0; taken.length < count; epoch++) for await (const batch of batches.epoch(epoch)) if (taken.length < count) taken.push(batch)
    tensors.push(joined(`${name}.ids`, taken, ({ ids }) => ids, 0), joined(`${name}.labels`, taken, ({ labels }) => labels, IGNORED))
  }
  await writeSafetensors(file, tensors)
}

const IGNORED = -100

function joined(name: string, batches: readonly PaddedBatch[], of: (batch: PaddedBatch) => ArrayLike<number> | undefined, fill: number): TensorToWrite {
  const rows = batches.flatMap((batch) => {
    const values = Int32Array.from(of(batch) ?? [])
    const width = values.length / batch.batch
    return Array.from({ length: batch.batch }, (_, i) => values.subarray(i * width, (i + 1) * width))
  })
  const width = rows.reduce((most, { length }) => Math.max(most, length), 0)
  const data = new Int32Array(rows.length * width).fill(fill)
  rows.forEach((row, i) => { data.set(row, i * width) })
  return { name, dtype: 'I32', shape: [rows.length, width], data }
}
