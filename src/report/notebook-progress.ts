import { checkNames } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import type { TrainerEvent } from '../training/events.ts'
import type { Watcher } from '../training/watch.ts'
import { withEvent, type RunRecord } from './record.ts'

/** A place in a notebook whose content is replaced each time, as tslab's `newDisplay()` gives one. */
export interface NotebookDisplay {
  /** Shows this in place of what it showed. */
  html(text: string): void
}

/** How often a notebook is drawn anew. */
export interface NotebookOptions {
  /** Seconds between two drawings. @default 1 */
  readonly every?: number
}

/**
 * Progress of a training in a notebook: one line that is written anew, and below it the loss and what was measured, which grow. Jupyter keeps
 * the last state.
 *
 * @param display in tslab what `newDisplay()` gives
 * @throws InputError where it is no display
 * @example
 * const display = { html: (text: string) => writeFileSync('cell.html', text) } // in tslab: import { newDisplay } from 'tslab'; newDisplay()
 * await trainer.fit({ watchers: [notebookProgress(display)] })
 */
export function notebookProgress(display: NotebookDisplay, options: NotebookOptions = {}): Watcher {
  checkNames('notebookProgress', options, { every: true })
  if (typeof (display as Partial<NotebookDisplay> | undefined)?.html !== 'function') throw new InputError(`notebookProgress: expected a display, as tslab's newDisplay() gives one, got ${shown(display)}.`)
  const { every = 1 } = options
  let record: RunRecord = { title: '', settings: {}, steps: [], evaluations: [], warnings: [] }
  let [drawn, begin] = [-Infinity, performance.now()]
  let before = Promise.resolve()
  const draw = (line: string): Promise<void> => {
    drawn = performance.now()
    before = before.then(async () => {
      const { drawings } = await import('./page.ts') // with what draws
      display.html(`<div>${line}</div>${drawings(record).slice(0, record.evaluations.length > 0 ? 2 : 1).join('')}`)
    })
    return before
  }
  return {
    onEvent: async (event) => {
      if (record.steps.length === 0) begin = performance.now()
      record = withEvent(record, event)
      if (event.type === 'evaluate' || event.type === 'end' || performance.now() - drawn >= every * 1000) await draw(lineOf(event, record, begin))
    },
  }
}

/** Where the training stands, in a line. */
function lineOf(event: TrainerEvent, { steps, end }: RunRecord, begin: number): string {
  const last = steps.at(-1)
  if (last === undefined) return event.type
  if (end !== undefined) return `${end.end} after step ${end.step} of ${end.steps}: loss ${last.loss.toFixed(4)}, ${end.cost.seconds.toFixed(1)} s`
  const seconds = (performance.now() - begin) / 1000
  const first = steps[0]?.step ?? last.step
  const left = last.step === first ? '' : `, ${((seconds / (last.step - first)) * (last.steps - last.step)).toFixed(0)} s left`
  return `step ${last.step} of ${last.steps}: loss ${last.loss.toFixed(4)}, learning rate ${last.learningRate.toExponential(2)}${left}`
}
