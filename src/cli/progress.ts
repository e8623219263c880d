import { Presets, SingleBar } from 'cli-progress'
import type { Progress, Report } from '../setup/report.ts'

/** Plain lines about bytes come at most this often (ms): often enough to see life, seldom enough for a log file. */
const LINE_EVERY = 5_000

/**
 * Prints the progress of a set-up to a stream: a moving bar for bytes on a terminal, plain lines elsewhere.
 *
 * @returns the report to hand to a set-up, and `close`, which must be called at the end
 */
export function progressPrinter(stream: NodeJS.WriteStream): { readonly report: Report; readonly close: () => void } {
  let bar: SingleBar | undefined
  let lastLine = 0
  const close = (): void => (bar?.stop(), (bar = undefined))

  const showBytes = (done: number, total: number | undefined): void => {
    if (stream.isTTY && total !== undefined) {
      bar ??= startBar(stream, total)
      bar.setTotal(megabytes(total)) // a step may move several files
      bar.update(megabytes(Math.min(done, total)))
    } else if (Date.now() - lastLine >= LINE_EVERY) {
      lastLine = Date.now()
      stream.write(`  ${megabytes(done)}${total === undefined ? '' : ` of ${megabytes(total)}`} MB\n`)
    }
  }
  const report = (progress: Progress): void => {
    if (progress.kind === 'bytes') {
      showBytes(progress.done, progress.total)
      return
    }
    close()
    lastLine = Date.now()
    stream.write(progress.kind === 'step' ? `${progress.text}\n` : `  ${progress.text}\n`)
  }
  return { report, close }
}

function startBar(stream: NodeJS.WriteStream, total: number): SingleBar {
  const format = '  {bar} {value} of {total} MB, {eta_formatted} left'
  const bar = new SingleBar({ stream, format, hideCursor: true, clearOnComplete: true }, Presets.shades_classic)
  bar.start(megabytes(total), 0)
  return bar
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6)
}
