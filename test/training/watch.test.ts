import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { eventLog } from '../../src/training/event-log.ts'
import { progress } from '../../src/training/progress.ts'
import { tensorBoard } from '../../src/training/tensorboard.ts'
import type { EvaluateEvent, StepEvent } from '../../src/training/events.ts'

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'watch-'))))
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

const step = (number: number): StepEvent => ({
  type: 'step', step: number, steps: 200, epoch: 0, loss: 1 / number, learningRate: 3e-4, gradNorm: 2.5, milliseconds: 500, waited: 20, tokens: 1000, operations: 1e9, memory: 5e8,
})
const evaluation: EvaluateEvent = { type: 'evaluate', step: 100, epoch: 0, accuracy: 0.9712, f1: 0.9 }

function terminal(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = new PassThrough().setEncoding('utf8')
  Object.assign(stream, { isTTY, columns: 120, cursorTo: () => true, clearLine: () => true, moveCursor: () => true })
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => String(stream.read() ?? '') }
}

it('progress into a file is the first step, a line every ten seconds, every evaluation and the last step', () => {
  vi.useFakeTimers()
  const { stream, text } = terminal(false)
  const watcher = progress({ stream })
  for (let number = 1; number <= 30; number++) {
    vi.advanceTimersByTime(500)
    watcher.onEvent(step(number))
  }
  watcher.onEvent(evaluation)
  vi.advanceTimersByTime(500)
  watcher.onEvent(step(200))
  watcher.onEvent({ type: 'end', end: 'early', step: 200, steps: 300, reason: 'no better evaluation', best: { step: 100, value: 0.9, since: 1 }, cost: { seconds: 60, tokens: 25_600, operations: 2e12, memory: 5e8 } })
  watcher.close?.()
  const lines = text().trimEnd().replaceAll(/[\d.]+ GB/g, 'x GB').split('\n')
  expect(lines).toEqual([
    'training 1/200  loss 1.000  lr 3.0e-4  2000 tokens/s  4 % waiting  1 min 40 s left  x GB',
    'training 21/200  loss 0.048  lr 3.0e-4  2000 tokens/s  4 % waiting  1 min 30 s left  x GB',
    'evaluate after step 100  accuracy 0.971  f1 0.900',
    'training 200/200  loss 5.0e-3  lr 3.0e-4  2000 tokens/s  4 % waiting  0 s left  x GB',
    'ended early after step 200  no better evaluation  weights of step 100',
  ])
})

it('progress on a terminal is one moving bar, and an evaluation a line above it', () => {
  const { stream, text } = terminal(true)
  const watcher = progress({ stream })
  watcher.onEvent(step(1))
  watcher.onEvent(evaluation)
  watcher.onEvent(step(200))
  watcher.close?.()
  const shown = text()
  expect(shown).toMatch(/training .*1\/200 .* loss 1\.000/)
  expect(shown).toContain('evaluate after step 100  accuracy 0.971  f1 0.900\n')
  expect(shown).toMatch(/200\/200 .* loss 5\.0e-3/)
  expect(shown).not.toContain(' 0/200 ') // below a line it goes on where it was
})

it('the event log has each event in the file when it has happened, and goes on in a file that is there', () => {
  const path = join(folder, 'deep', 'run.jsonl')
  const read = (): unknown[] => readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as unknown)
  const first = eventLog(path)
  first.onEvent(step(1))
  expect(read()).toEqual([{ time: expect.stringMatching(/^\d{4}-.*Z$/) as string, ...step(1) }])
  first.close?.()
  const second = eventLog(path)
  second.onEvent(evaluation)
  second.close?.()
  expect(read().map((event) => (event as StepEvent).type)).toEqual(['step', 'evaluate'])
})

it('TensorBoard files are made in a folder of any depth, and no tensor stays behind', async () => {
  const tf = await import('@tensorflow/tfjs-core')
  const run = join(folder, 'runs', 'first')
  const board = await tensorBoard(run)
  const before = tf.memory().numTensors
  board.onEvent(step(1))
  board.onEvent(evaluation)
  board.close?.()
  expect(tf.memory().numTensors).toBe(before)
  expect(readdirSync(run)).toEqual([expect.stringMatching(/^events\.out\.tfevents\./)])
})
