import { expect, it } from 'vitest'
import { notebookProgress } from '../../src/report/notebook-progress.ts'
import type { StepEvent } from '../../src/training/events.ts'

const step = (number: number): StepEvent => ({
  type: 'step', step: number, steps: 9, epoch: 0, loss: 1 / number, learningRate: 1e-3, gradNorm: 1, milliseconds: 10, waited: 0, tokens: 8, operations: 1e6, memory: 2 ** 28,
})

it('a cell of a notebook has one line that is written anew, and drawings that grow', async () => {
  const shown: string[] = []
  const watcher = notebookProgress({ html: (text) => void shown.push(text) }, { every: 0 })
  for (const number of [1, 2, 3]) await watcher.onEvent(step(number))
  expect(shown.map((text) => /<div>(.*?)<\/div>/.exec(text)?.[1]?.replace(/\d+ s left/, '… s left'))).toEqual([
    'step 1 of 9: loss 1.0000, learning rate 1.00e-3', 'step 2 of 9: loss 0.5000, learning rate 1.00e-3, … s left', 'step 3 of 9: loss 0.3333, learning rate 1.00e-3, … s left',
  ])
  expect(shown.map((text) => text.match(/<svg/g)?.length)).toEqual([1, 1, 1])
  await watcher.onEvent({ type: 'evaluate', step: 3, epoch: 0, accuracy: 0.5 })
  await watcher.onEvent({ type: 'end', end: 'stopped', step: 3, steps: 9, reason: 'SIGINT', cost: { seconds: 3, tokens: 24, operations: 3e6, memory: 2 ** 28 } })
  expect(shown.at(-1)).toContain('<div>stopped after step 3 of 9: loss 0.3333, 3.0 s</div>')
  expect(shown.at(-1)?.match(/<svg/g)).toHaveLength(2)
})

it('a cell is drawn once a second, not at every step', async () => {
  const shown: string[] = []
  const watcher = notebookProgress({ html: (text) => void shown.push(text) })
  for (const number of [1, 2, 3, 4]) await watcher.onEvent(step(number))
  expect(shown).toHaveLength(1)
  expect(() => notebookProgress({} as never)).toThrow("notebookProgress: expected a display, as tslab's newDisplay() gives one, got {}")
})
