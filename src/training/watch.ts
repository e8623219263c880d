// Watching a training: what turns its events into something to look at, now or afterwards.

import { InputError, shown } from '../errors.ts'
import type { TrainerEvent } from './events.ts'

/** Receives the events of one training, in order; `close` is called once, also when the training fails. */
export interface Watcher {
  /** Told everything that happens, in order. A promise that it returns is waited for at the end of the training. */
  onEvent(event: TrainerEvent): unknown
  /** The training is over: files are closed, lines ended. */
  close?(): unknown
}

/**
 * Tells watchers of a training's events. One that throws is told nothing more, and the training comes to its end: what it threw is
 * thrown then, when every watcher has been closed.
 */
export class Audience {
  readonly #watchers: readonly Watcher[]
  readonly #failed = new Map<Watcher, unknown>()
  readonly #stop = new AbortController()
  /** What asynchronous watchers are at: a failure of theirs is one of the training too. */
  readonly #pending = new Set<Promise<void>>()

  constructor(watchers: readonly Watcher[]) {
    this.#watchers = watchers
  }

  /** Given when a watcher has failed. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  tell(event: TrainerEvent): void {
    for (const watcher of this.#watchers) if (!this.#failed.has(watcher)) this.#try(watcher, watcher.onEvent.bind(watcher, event))
  }

  /** Closes all of them. */
  close(): void {
    for (const watcher of this.#watchers) if (watcher.close !== undefined) this.#try(watcher, watcher.close.bind(watcher))
  }

  /** @throws what a watcher threw first */
  check(): void {
    for (const error of this.#failed.values()) throw error
  }

  /** When what asynchronous ones do is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }

  #try(watcher: Watcher, work: () => unknown): void {
    const fail = (error: unknown): void => {
      if (!this.#failed.has(watcher)) this.#failed.set(watcher, error)
      this.#stop.abort('a watcher failed')
    }
    try {
      const done = work()
      if (!(done instanceof Promise)) return
      const pending = done.then(() => undefined, fail).finally(() => this.#pending.delete(pending))
      this.#pending.add(pending)
    } catch (error) {
      fail(error)
    }
  }
}

/** The measurements of an event by name (`loss`, `learning_rate`, ...): its numbers, without those that say where it stands. */
export function measurements(event: TrainerEvent): ReadonlyMap<string, number> {
  const positions = new Set(['step', 'steps', 'epoch'])
  const numbers = Object.entries(event).filter((entry): entry is [string, number] => typeof entry[1] === 'number')
  return new Map(numbers.filter(([name]) => !positions.has(name)).map(([name, value]) => [snakeCase(name), value]))
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** @throws InputError where they are not what watches and ends a training */
export function checkFit(signal: unknown, watchers: unknown, onEvent?: unknown): void {
  const problems = (Array.isArray(watchers) ? watchers as unknown[] : [watchers]).flatMap((watcher) => {
    if (typeof (watcher as Partial<Watcher> | undefined)?.onEvent === 'function' && Array.isArray(watchers)) return []
    const got = watcher instanceof Promise ? 'a promise: write `await` before what gives it' : typeof watcher === 'function' ? `the function ${watcher.name}: call it` : Array.isArray(watchers) ? shown(watcher) : 'no list'
    return [`watchers: expected a list of what progress() and its like give, got ${got}`]
  })
  if (signal !== undefined && !(signal instanceof AbortSignal)) problems.push(`signal: expected an AbortSignal, as untilInterrupted() gives one, got ${typeof signal === 'function' ? `the function ${signal.name}: call it` : shown(signal)}`)
  if (onEvent !== undefined && typeof onEvent !== 'function') problems.push(`onEvent: expected a function of an event, got ${shown(onEvent)}`)
  if (problems.length > 0) throw new InputError('Trainer.fit: the options cannot be used:', problems)
}
