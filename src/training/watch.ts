// Watching a training: what turns its events into something to look at, now or afterwards.

import type { TrainerEvent } from './events.ts'

/** Receives the events of one training, in order; `close` is called once, also when the training fails. */
export interface Watcher {
  /** Told everything that happens, in order. */
  onEvent(event: TrainerEvent): void
  /** The training is over: files are closed, lines ended. */
  close?(): void
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
