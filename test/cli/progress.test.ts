import { PassThrough } from 'node:stream'
import { afterEach, expect, it, vi } from 'vitest'
import { progressPrinter } from '../../src/cli/progress.ts'

afterEach(() => void vi.useRealTimers())

it('progress into a file is a line a step, and a line every five seconds for bytes', () => {
  vi.useFakeTimers()
  const stream = new PassThrough().setEncoding('utf8')
  const { report, close } = progressPrinter(stream as unknown as NodeJS.WriteStream)
  report({ kind: 'step', text: 'Fetching x' })
  for (const done of [1e6, 2e6, 3e6]) {
    vi.advanceTimersByTime(2600)
    report({ kind: 'bytes', done, total: 10e6 })
  }
  vi.advanceTimersByTime(5000)
  report({ kind: 'bytes', done: 4e6, total: undefined })
  report({ kind: 'note', text: 'done by another' })
  close()
  expect(stream.read()).toBe('Fetching x\n  2 of 10 MB\n  4 MB\n  done by another\n')
})
