/**
 * A signal for `Trainer.fit` that Ctrl-C (SIGINT), a polite end of the process (SIGTERM) or the end of its terminal (SIGHUP) gives: the
 * step in progress is finished, a checkpoint is kept where there are any, and `fit` returns that it was stopped. A second Ctrl-C ends the
 * process at once, and so does the first one outside of a training: after `fit` the signals are what they were.
 *
 * @example
 * const { end, step, steps } = await trainer.fit({ signal: untilInterrupted() })
 * if (end === 'stopped') console.log(`half trained, ${step} of ${steps} steps`)
 * else await adapter.save('out/spam-lora')
 */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController()
  controllers.set(controller.signal, controller)
  hear(controller, 0)
  return controller.signal
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const controllers = new WeakMap<AbortSignal, AbortController>()
/** Those that a signal of the process is passed on to, and how many trainings listen. One listener of the process serves them all. */
const hearing = new Map<AbortController, number>()

/** Listens during one training. @returns what ends it */
export function listen(signal: AbortSignal): () => void {
  const controller = controllers.get(signal)
  if (controller === undefined || signal.aborted) return () => undefined
  hear(controller, (hearing.get(controller) ?? 0) + 1)
  return () => { leave(controller) }
}

function hear(controller: AbortController, trainings: number): void {
  if (hearing.size === 0) for (const each of SIGNALS) process.on(each, stop)
  hearing.set(controller, trainings)
}

function leave(controller: AbortController): void {
  if (!hearing.has(controller)) return // it was given
  const trainings = (hearing.get(controller) ?? 0) - 1
  if (trainings > 0) hearing.set(controller, trainings)
  else hearing.delete(controller)
  if (hearing.size === 0) for (const each of SIGNALS) process.off(each, stop)
}

function stop(signal: NodeJS.Signals): void {
  process.stderr.write(`\n${signal}: the step in progress is finished; once more ends at once\n`)
  const stopped = [...hearing.keys()]
  hearing.clear()
  for (const each of SIGNALS) process.off(each, stop)
  for (const controller of stopped) controller.abort(signal)
}
