import type { Schedule } from './schedules.ts'

/** The mean of so many last steps is by so much the loss of the first, where a training is said to have made it worse. */
const [LAST, TIMES] = [5, 4]

/** The losses of a training at its beginning and its end. */
export interface LossWatch {
  see: (loss: number) => void
  /** That the loss has become many times what it was in the first step. */
  warning: (learningRate: number) => string | undefined
}

/** Looks whether a training makes the loss larger, as a learning rate does that is far too high. */
export function watchLosses(): LossWatch {
  let first: number | undefined
  const last: number[] = []
  return {
    see(loss) {
      if (first === undefined) first = loss
      else last.push(loss)
      if (last.length > LAST) last.shift()
    },
    warning(learningRate) {
      const mean = last.reduce((sum, loss) => sum + loss, 0) / LAST
      if (first === undefined || last.length < LAST || !(mean > TIMES * Math.max(first, 0.1))) return undefined
      return `the loss was ${first.toPrecision(3)} in the first step and ${mean.toPrecision(3)} in the last ${LAST}: the training has made it worse. Try a learning rate lower than ${learningRate}.`
    },
  }
}

/** That no step of a training would move anything. */
export function idleRate(learningRate: number, multiplier: Schedule, { from, to }: { readonly from: number; readonly to: number }): string | undefined {
  for (let step = from; step < to; step++) if (learningRate * multiplier(step) !== 0) return undefined
  const why = learningRate === 0 ? 'learningRate is 0' : `the schedule and its warm-up give ${learningRate} · 0`
  return `the learning rate is 0 in every step: ${why}. Nothing will be learned.`
}
