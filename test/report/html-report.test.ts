import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { addExamples, htmlReport, readReport, writeReport } from '../../src/report/html-report.ts'
import type { StepEvent } from '../../src/training/events.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()

const step = (number: number, loss = 1 / number): StepEvent => ({
  type: 'step', step: number, steps: 4000, epoch: 0, loss, learningRate: 1e-3, gradNorm: 1, milliseconds: 10, waited: 0, tokens: 8, operations: 1e6, memory: 2 ** 28,
})
const cost = { seconds: 12, tokens: 32, operations: 4.2e9, memory: 2 ** 28, joules: 780, energySource: 'RAPL', gramsOfCo2: 0.0824 }

it('a page shows what a training was, and holds its record', async () => {
  const file = temporary('new/report.html')
  const watcher = htmlReport(file, { title: 'A <b>', settings: { model: 'm', method: { name: 'lora', targets: ['query', 'value'] } } })
  for (const number of [1, 2, 3]) await watcher.onEvent(step(number))
  await watcher.onEvent({ type: 'evaluate', step: 3, epoch: 0, accuracy: 0.75, loss: 0.5 })
  expect(readFileSync(file, 'utf8')).toContain('It trains: 3 of 4000 steps are done.')
  await watcher.onEvent({ type: 'warning', step: 3, text: 'the loss <has> grown' })
  await watcher.onEvent({ type: 'end', end: 'early', step: 3, steps: 4000, reason: 'no better evaluation', best: { step: 2, value: 0.8, since: 1 }, cost })
  await watcher.close?.()
  await addExamples(file, [{ input: '</script><i>', expected: 'ham', said: 'spam', isRight: false }])
  const page = readFileSync(file, 'utf8')
  for (const part of [
    'A &lt;b&gt;', 'Ended early after 3 of 4000 steps: no better evaluation. It has the weights of step 2, the best evaluation (0.8).', 'the loss &lt;has&gt; grown',
    '<dd>0.75</dd>', '4.20 GFLOP', '780 J', '0.0824 g', 'Energy by RAPL.', '<th>method.targets</th><td>query, value</td>', 'Held out, and wrong', '&lt;/script&gt;&lt;i&gt;',
  ]) expect(page).toContain(part)
  expect(page.match(/<svg/g)).toHaveLength(5) // loss, accuracy, learning rate, norm, memory
  expect(page.match(/<script/g)).toHaveLength(1)
  expect(page.replaceAll('http://www.w3.org/', '')).not.toMatch(/https?:|src=|@import|url\(/)
  expect(await readReport(file)).toMatchObject({ title: 'A <b>', steps: [{ step: 1 }, { step: 2 }, { step: 3 }], examples: [{ input: '</script><i>' }] })
})

it('a training that resumes goes on with the page that is there, without what is done again', async () => {
  const file = temporary('resumed.html')
  const first = htmlReport(file)
  for (const number of [1, 2, 3]) await first.onEvent(step(number))
  await first.onEvent({ type: 'end', end: 'stopped', step: 3, steps: 4000, reason: 'SIGINT', cost })
  await first.close?.()
  const second = htmlReport(file)
  void second.onEvent({ type: 'resume', step: 2, refused: [] }) // a training does not wait for its watchers
  void second.onEvent(step(3, 7))
  await second.close?.()
  const record = await readReport(file)
  expect(record?.steps.map(({ step: number, loss }) => [number, loss])).toEqual([[1, 1], [2, 0.5], [3, 7]])
  expect(record?.end).toBeUndefined()
})

it('a long training has a page of bounded size, from its first step to its last', async () => {
  const file = temporary('long.html')
  const watcher = htmlReport(file)
  for (let number = 1; number <= 4000; number++) await watcher.onEvent(step(number))
  await watcher.close?.()
  const steps = (await readReport(file))?.steps ?? []
  expect(steps.length).toBeLessThanOrEqual(1000)
  expect(steps[0]?.step).toBe(1)
  expect(steps.at(-1)?.step).toBeGreaterThan(3990)
})

it('there is no record where there is no page, and none is written of anything else', async () => {
  expect(await readReport(temporary('nowhere.html'))).toBeUndefined()
  await expect(writeReport(temporary('none.html'), {} as never)).rejects.toThrow('writeReport: expected a record, as readReport gives one, got {}')
  expect(() => htmlReport(temporary('x.html'), { titel: 'x' } as never)).toThrow("'titel': did you mean title?")
})
