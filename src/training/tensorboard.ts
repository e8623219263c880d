import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { loadEngine } from '../base/engine/engine.ts'
import { tensorflow } from '../base/engine/tensorflow.ts'
import { EngineError } from '../errors.ts'
import { measurements, type Watcher } from './watch.ts'

/** What is used of tfjs-node. */
interface WithSummaries {
  readonly node: {
    summaryFileWriter(folder: string, maxQueue?: number, flushMilliseconds?: number): {
      scalar(name: string, value: number, step: number): void
      flush(): void
    }
  }
}

/** Below the 30 s after which TensorBoard looks again by itself. */
const FLUSH_EVERY = 10_000 // ms

/**
 * Writes every measurement of a training (loss, learning rate, gradient norm, accuracy, ...) as a TensorBoard event file,
 * through TensorFlow's own summary writer: `tensorboard --logdir runs` draws them, each run a folder. Names are the event's
 * type and the measurement: `step/loss`, `evaluate/accuracy`.
 *
 * @param folder of this run, made where it is missing; the files of an earlier run in it are shown with this one's
 * @throws EngineError where the engine is not TensorFlow
 * @example
 * await trainer.fit({ watchers: [await tensorBoard('out/runs/spam-lora')] })
 */
export async function tensorBoard(folder: string): Promise<Watcher> {
  await loadEngine()
  if (tensorflow() === undefined) {
    throw new EngineError('tensorBoard: its files are written by TensorFlow, and another tfjs backend is in use. Take eventLog instead.')
  }
  const { node } = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu') as WithSummaries
  mkdirSync(folder, { recursive: true }) // TensorFlow makes one level only
  const writer = node.summaryFileWriter(resolve(folder), undefined, FLUSH_EVERY)
  return {
    onEvent: (event) => {
      for (const [name, value] of measurements(event)) writer.scalar(`${event.type}/${name}`, value, event.step)
    },
    close: () => writer.flush(),
  }
}
