import { TrainingError } from '../errors.ts'

/** What is wrong with the output of the process, since a training began. */
export interface Output {
  /** Undefined while it can be written. */
  readonly error: Error | undefined
  close(): void
}

/**
 * Notices that the reader of the output has gone, as in `train | head -1` or with a closed terminal: such an error would end the
 * process at once, without a checkpoint.
 */
export function watchOutput(): Output {
  let found: Error | undefined
  const onError = (error: Error): void => void (found ??= error)
  const streams = [process.stdout, process.stderr]
  for (const stream of streams) stream.on('error', onError)
  return {
    get error() { return found },
    close() {
      if (found !== undefined) return // each later line would fail again, and end the process before it has saved what it has
      for (const stream of streams) stream.off('error', onError)
    },
  }
}

/** The error of a training that ended for it. @param folder of its checkpoints */
export function lostOutput(cause: Error, step: number, folder: string | undefined): TrainingError {
  const kept = folder === undefined ? 'The weights are those of that step' : `A checkpoint of it is in ${folder}, and the same program resumes from there`
  return new TrainingError(`The training stopped after step ${step}, because the output of the program cannot be written any more: ${cause.message}. ${kept}.`, [], { cause })
}
