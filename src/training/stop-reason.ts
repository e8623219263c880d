/** Why a training is to end before its last step; undefined where it is not. @param lost what is wrong with the output of the program */
export function stopReason(signal: AbortSignal | undefined, lost: Error | undefined, timeIsOver: boolean): string | undefined {
  if (lost !== undefined) return `the output cannot be written any more: ${lost.message}`
  if (signal?.aborted === true) return signal.reason instanceof Error || signal.reason === undefined ? 'asked to' : String(signal.reason)
  return timeIsOver ? 'maxSeconds is over' : undefined
}
