// The page of a training, in a browser without a network.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium as playwright, type Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeReport } from '../../src/report/html-report.ts'
import type { RunRecord } from '../../src/report/record.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { chromium } from './chromium.ts'

const temporary = temporaryFolder()
let browser: Browser
beforeAll(async () => { browser = await playwright.launch({ executablePath: chromium(), args: ['--no-sandbox'] }) })
afterAll(async () => { await browser.close() })

const RECORD: RunRecord = {
  title: 'out/a-folder-with-a-long-name/of-a-run: sentence-transformers/all-MiniLM-L6-v2',
  settings: { model: 'sentence-transformers/all-MiniLM-L6-v2', method: { name: 'lora', targets: ['query', 'key', 'value', 'dense'] }, data: { train: '/a/very/long/path/'.repeat(8) } },
  steps: Array.from({ length: 400 }, (_, i) => ({ step: i + 1, steps: 400, epoch: 0, loss: Math.exp(-i / 100), learningRate: 1e-3 * (1 - i / 400), gradNorm: 1 + Math.sin(i), tokens: 100, memory: 5e8 + i * 1e5, milliseconds: 20, penalty: i / 1e4 })),
  evaluations: Array.from({ length: 4 }, (_, i) => ({ type: 'evaluate' as const, step: 100 * (i + 1), epoch: 0, accuracy: 0.7 + i / 20, macroF1: 0.6 + i / 20, loss: 0.6 - i / 10 })),
  warnings: ['3 rows have the text of another row, and another label'],
  end: { type: 'end', end: 'finished', step: 400, steps: 400, cost: { seconds: 300, tokens: 4e4, operations: 3e13, memory: 9e8, joules: 2e4, energySource: 'stated watts', gramsOfCo2: 2.1 } },
  examples: [true, false].map((isRight) => ({ input: 'A mail without a blank: '.concat('x'.repeat(200)), expected: 'ham', said: isRight ? 'ham' : 'spam', isRight })),
}

it.each([['at full width', 1280, 3], ['on a phone', 390, 1]])('a report can be read %s: nothing is wider than the page, drawings have letters of at least 9 px that do not lie on each other', async (_, width, columns) => {
  const file = temporary('report.html')
  await writeReport(file, RECORD)
  const page = await browser.newPage({ viewport: { width, height: 900 } })
  const asked: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(pathToFileURL(join(file)).href)
  expect(asked).toEqual([pathToFileURL(file).href])
  expect(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')).toBeLessThanOrEqual(0)
  const heights = await page.evaluate<number[]>("[...document.querySelectorAll('svg')].map((svg) => 11 * svg.getBoundingClientRect().width / Number(svg.getAttribute('width')))")
  expect(heights).toHaveLength(6)
  expect(Math.min(...heights)).toBeGreaterThanOrEqual(9)
  const lefts = await page.evaluate("[...new Set([...document.querySelectorAll('figure')].map((figure) => figure.getBoundingClientRect().left))].length")
  expect(lefts).toBe(columns)
  const covered = await page.evaluate(`[...document.querySelectorAll('svg')].flatMap((svg) => {
    const boxes = [...svg.querySelectorAll('text')].map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() })).filter(({ box }) => box.width > 0)
    const touch = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
    return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => touch(a.box, b.box)).map((b) => [a.text, b.text]))
  })`)
  expect(covered).toEqual([])
  await page.close()
})
