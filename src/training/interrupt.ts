/**
 * A signal for `Trainer.fit` that Ctrl-C (SIGINT) or a polite end of the process (SIGTERM) gives: the step in progress is
 * finished, a checkpoint is kept where there are any, and `fit` returns. A second Ctrl-C ends the process at once.
 *
 * @example
 * await trainer.fit({ signal: untilInterrupted() })
 */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController()
  const stop = (signal: NodeJS.Signals): void => {
    process.stderr.write(`\n${signal}: the step in progress is finished; once more ends at once\n`)
    controller.abort(signal)
    for (const other of SIGNALS) process.off(other, stop)
  }
  for (const signal of SIGNALS) process.on(signal, stop)
  return controller.signal
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
