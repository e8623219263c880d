/** The mean of so many last steps is by so much the loss of the first, where a training is said to have made it worse. */
const [LAST, TIMES] = [5, 4]
/** Guards that add so many times the loss are all that moves the weights. */
const FAR_STRONGER = 100
/** Below it one loss is not held to be many times another. */
const LITTLE = 0.1

/** The losses of a training at its beginning and its end. */
export interface LossWatch {
  /** @param penalty what guards add */
  see: (loss: number, penalty?: number) => void
  /** That the loss has become many times what it was in the first step, that there was none, or that guards were far stronger. */
  warnings: (learningRate: number) => string[]
}

/** Looks whether a training makes the loss larger, as a learning rate does that is far too high, and how guards compare with it. */
export function watchLosses(): LossWatch {
  let first: number | undefined
  let [highest, summed] = [0, 0]
  const last: { loss: number, penalty: number }[] = []
  const sumOf = (of: 'loss' | 'penalty'): number => last.reduce((sum, each) => sum + each[of], 0)
  return {
    see(loss, penalty = 0) {
      summed += Math.abs(loss)
      if (first === undefined) first = loss
      else last.push({ loss, penalty })
      if (last.length > LAST) last.shift()
      highest = Math.max(highest, sumOf('loss'))
    },
    warnings(learningRate) {
      if (first === undefined) return []
      if (summed === 0) return ['the loss was 0 in every step: nothing was learned. Is all of it known already, or are the rows alike?']
      const many = TIMES * LAST * Math.max(first, LITTLE) // of fewer steps the mean has to be the higher
      const [loss, penalty, count] = [sumOf('loss') / last.length, sumOf('penalty') / last.length, last.length]
      const isWorse = count > 0 && highest > many && loss > first
      const isHeld = count > 0 && penalty > FAR_STRONGER * Math.max(loss, LITTLE)
      const end = `in the last ${count === 1 ? 'step' : count}`
      return [
        ...(isWorse ? [`the loss was ${first.toPrecision(3)} in the first step and ${loss.toPrecision(3)} ${end}: the training has made it worse. Try a learning rate lower than ${learningRate}.`] : []),
        ...(isHeld ? [`the guards add ${penalty.toPrecision(3)} to a loss of ${loss.toPrecision(3)} ${end}: they alone move the weights. Try a lower strength.`] : []),
      ]
    },
  }
}
