// A training from nothing by torch, beside one here.

import type { TrainerOptions } from 'tfjs-peft'
import { path, peersPython, run } from './process.ts'

type Settings = Readonly<Record<'batchSize' | 'learningRate' | 'warmup' | 'weightDecay' | 'maxGradNorm', number>> & Partial<TrainerOptions>

/** What a script of bench/peers makes of the untrained model and the rows in a folder. */
export async function byTorch(script: string, folder: string, steps: number, { batchSize, learningRate, warmup, weightDecay, maxGradNorm }: Settings): Promise<unknown> {
  const settings = { folder, steps, batch: batchSize, lr: learningRate, warmup: Math.ceil(warmup * steps), decay: weightDecay, clip: maxGradNorm }
  return await run(peersPython(), [path(`peers/${script}.py`), ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])])
}
