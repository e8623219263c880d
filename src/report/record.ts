// What a report shows of a training, gathered from its events.

import type { EndEvent, EvaluateEvent, StepEvent, TrainerEvent } from '../training/events.ts'

/** A row that was measured, with what the model said. */
export interface ReportedExample {
  readonly input: string
  readonly expected: string
  readonly said: string
  readonly isRight: boolean
}

/** What a report shows. */
export interface RunRecord {
  /** Heads the page. */
  readonly title: string
  /** What was trained and how, by name; those of an object within by their path. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly steps: readonly Pick<StepEvent, 'step' | 'steps' | 'epoch' | 'loss' | 'learningRate' | 'gradNorm' | 'tokens' | 'memory' | 'milliseconds' | 'penalty'>[]
  readonly evaluations: readonly EvaluateEvent[]
  readonly warnings: readonly string[]
  /** Undefined while it trains. */
  readonly end?: EndEvent
  readonly examples?: readonly ReportedExample[]
}

/** Most steps that a record keeps: a line has no more points on a page. */
const MOST = 1000

/** A record with one event more. After a resumption, what was done twice counts once. */
export function withEvent(record: RunRecord, event: TrainerEvent): RunRecord {
  switch (event.type) {
    case 'step': {
      const { step, steps, epoch, loss, learningRate, gradNorm, tokens, memory, milliseconds, penalty } = event
      const kept = { step, steps, epoch, loss, learningRate, gradNorm, tokens, memory, milliseconds, ...(penalty === undefined ? {} : { penalty }) }
      return { ...record, steps: thinned([...record.steps, kept]) }
    }
    case 'evaluate':
      return { ...record, evaluations: [...record.evaluations, event] }
    case 'warning':
      return { ...record, warnings: [...new Set([...record.warnings, event.text])] }
    case 'resume':
      return without(record, event.step)
    case 'end':
      return { ...record, end: event }
    case 'checkpoint':
      return record
  }
}

/** Without its end, and what came behind a step. */
function without({ title, settings, steps, evaluations, warnings }: RunRecord, step: number): RunRecord {
  return { title, settings, warnings, steps: steps.filter((each) => each.step <= step), evaluations: evaluations.filter((each) => each.step <= step) }
}

/** Every second one where there are too many, always with the first. */
function thinned<T>(steps: readonly T[]): readonly T[] {
  return steps.length <= MOST ? steps : steps.filter((_, i) => i % 2 === 0)
}
