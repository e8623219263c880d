import { TrainingError } from '../errors.ts'
import type { BatchSource, PaddedBatch } from './batches.ts'

/** The batches of one step. */
export interface Group {
  readonly epoch: number
  readonly batches: readonly PaddedBatch[]
  /** Milliseconds until they were there. */
  readonly waited: number
}

/** Which steps: from one on, until all are done or it is over. */
interface Range {
  /** Batches of a step; the last one of an epoch may have fewer. */
  readonly accumulate: number
  /** Steps that are done already, and in all. */
  readonly from: number
  readonly steps: number
  readonly isOver: () => boolean
}

/** The batches of each step that is still to be done, epoch after epoch. */
export async function* stepGroups(source: BatchSource, { accumulate, from, steps, isOver }: Range): AsyncGenerator<Group, void> {
  const stepsInEpoch = Math.ceil(source.count / accumulate)
  let step = from
  while (step < steps) {
    const epoch = Math.floor(step / stepsInEpoch)
    let batches: PaddedBatch[] = []
    let asked = performance.now()
    let waited = 0
    for await (const batch of source.epoch(epoch, (step % stepsInEpoch) * accumulate)) {
      waited += performance.now() - asked
      batches.push(batch)
      if (batches.length === accumulate || batch.index === source.count - 1) {
        if (isOver() || step === steps) return
        step++
        yield { epoch, batches, waited }
        batches = []
        waited = 0
      }
      asked = performance.now()
    }
    if (step < steps && step < (epoch + 1) * stepsInEpoch) {
      throw new TrainingError(`Epoch ${epoch} ended before its ${source.count} batches had come; is the data being written to?`)
    }
  }
}
