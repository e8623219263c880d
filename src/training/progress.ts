import { SingleBar } from 'cli-progress'
import type { StepEvent, TrainerEvent } from './events.ts'
import { measurements, type Watcher } from './watch.ts'
import { checkNames } from '../base/options.ts'

/** Where `progress` shows itself. */
export interface ProgressOptions {
  /** Where it is shown. @default process.stderr, so that a program's output stays its own */
  readonly stream?: NodeJS.WriteStream
  /** Seconds between lines where the stream is no terminal. @default 10 */
  readonly every?: number
}

/** Weight of what was before: a slow first step is forgotten after some twenty. */
const MEMORY = 0.9

/**
 * Shows how a training goes: a moving bar with the loss, the learning rate, tokens per second, the share of the time that
 * steps wait for data, time left and memory on a terminal; elsewhere a line at the first step, every ten seconds and at the last. Evaluations are lines in both.
 *
 * @example
 * await trainer.fit({ watchers: [progress()] })
 */
export function progress(options: ProgressOptions = {}): Watcher {
  checkNames('progress', options, { stream: true, every: true })
  const { stream = process.stderr, every = 10 } = options
  let bar: SingleBar | undefined
  let pace: Pace | undefined
  let lastEvent = performance.now()
  let lastLine = -Infinity
  const close = (): void => (bar?.stop(), (bar = undefined))

  const showStep = (event: StepEvent, now: number): void => {
    pace = mean(pace, { step: (now - lastEvent) / 1000, waited: event.waited / 1000, tokens: event.tokens })
    const shown = {
      loss: short(event.loss),
      rate: short(event.learningRate),
      speed: (pace.tokens / pace.step).toFixed(0),
      waited: ((100 * pace.waited) / pace.step).toFixed(0),
      left: duration((event.steps - event.step) * pace.step),
      memory: (process.memoryUsage.rss() / 1e9).toFixed(2),
    }
    if (stream.isTTY) {
      bar ??= startBar(stream, event, shown)
      bar.update(event.step, shown)
    } else if (now - lastLine >= every * 1000 || event.step === event.steps) {
      lastLine = now
      const { loss, rate, speed, waited, left, memory } = shown
      stream.write(`training ${event.step}/${event.steps}  loss ${loss}  lr ${rate}  ${speed} tokens/s  ${waited} % waiting  ${left} left  ${memory} GB\n`)
    }
  }
  return {
    onEvent: (event) => {
      const now = performance.now()
      if (event.type === 'step') {
        showStep(event, now)
      } else {
        close() // the bar goes on below the line
        stream.write(`${event.type === 'end' ? ENDED[event.end] : event.type} after step ${event.step}  ${details(event).join('  ')}\n`)
      }
      lastEvent = now
    },
    close,
  }
}

const ENDED = { finished: 'finished', early: 'ended early', stopped: 'stopped' }

function details(event: Exclude<TrainerEvent, StepEvent>): string[] {
  if (event.type === 'checkpoint') return [event.path]
  if (event.type === 'end') return [...(event.reason === undefined ? [] : [event.reason]), ...(event.best === undefined ? [] : [`weights of step ${event.best.step}`])]
  if (event.type === 'warning') return [event.text]
  if (event.type === 'resume') return event.refused.map((reason) => `(${reason})`)
  return [...measurements(event)].map(([name, value]) => `${name.replaceAll('_', ' ')} ${short(value)}`)
}

function startBar(stream: NodeJS.WriteStream, { step, steps }: StepEvent, payload: object): SingleBar {
  const format = 'training {bar} {value}/{total}  loss {loss}  lr {rate}  {speed} tokens/s  {waited} % waiting  {left} left  {memory} GB'
  const bar = new SingleBar({ stream, format, hideCursor: true })
  bar.start(steps, step, payload)
  return bar
}

/** Seconds of a step, those of them until its batches were there, and its tokens, in the mean over the last ones. */
interface Pace {
  readonly step: number
  readonly waited: number
  readonly tokens: number
}

function mean(before: Pace | undefined, now: Pace): Pace {
  if (before === undefined) return now
  const mix = (a: number, b: number): number => MEMORY * a + (1 - MEMORY) * b
  return { step: mix(before.step, now.step), waited: mix(before.waited, now.waited), tokens: mix(before.tokens, now.tokens) }
}

function short(value: number): string {
  return Math.abs(value) >= 0.01 && Math.abs(value) < 1000 ? value.toFixed(3) : value === 0 ? '0' : value.toExponential(1)
}

/** `1 h 02 min`, `3 min 05 s`, `12 s`. */
function duration(seconds: number): string {
  const whole = Math.round(seconds)
  const two = (value: number): string => String(value).padStart(2, '0')
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`
  return whole >= 60 ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s` : `${whole} s`
}
