// A page for each training, which another program need not be there to read: one file, that asks for nothing over a network.

import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { checkNames } from '../base/options.ts'
import { writeAtomic } from '../base/files/atomic.ts'
import { InputError, shown } from '../errors.ts'
import type { Watcher } from '../training/watch.ts'
import { withEvent, type ReportedExample, type RunRecord } from './record.ts'

/** What a report says beside the events. */
export interface HtmlReportOptions {
  /** Heads the page. @default 'Training' */
  readonly title?: string
  /** What is trained and how, by name. @default none */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Seconds between two versions of the page while it trains; there is one at each evaluation and at the end. @default 30 */
  readonly every?: number
}

/**
 * Writes a page of a training: loss, learning rate, evaluations, memory, what it has cost, its settings and warnings. It is one file
 * without scripts, whole at any moment, written again as the training goes on; open it in a browser. A training that resumes goes on with
 * the page that is there.
 *
 * @param file its path, as in out/report.html; missing folders are made
 * @throws InputError where the options are others
 * @example
 * await trainer.fit({ watchers: [htmlReport('out/report.html', { title: 'Spam filter' })] })
 */
export function htmlReport(file: string, options: HtmlReportOptions = {}): Watcher {
  checkNames('htmlReport', options, { title: true, settings: true, every: true })
  const { title = 'Training', settings = {}, every = 30 } = options
  let record: RunRecord = { title, settings, steps: [], evaluations: [], warnings: [] }
  let [written, before] = [performance.now(), Promise.resolve()]
  const write = (): Promise<void> => {
    written = performance.now()
    before = before.then(() => writeReport(file, record)) // one after the other
    return before
  }
  return {
    onEvent: async (event) => {
      if (event.type === 'resume') {
        const there = existsSync(file) ? recordIn(readFileSync(file, 'utf8')) : undefined // at once: the next event does not wait
        record = { ...record, steps: there?.steps ?? [], evaluations: there?.evaluations ?? [], warnings: there?.warnings ?? [] }
      }
      record = withEvent(record, event)
      if (event.type === 'evaluate' || (event.type === 'step' && performance.now() - written >= every * 1000)) await write()
    },
    close: write,
  }
}

/** Stands before the record in the page's text. */
const [OPEN, CLOSE] = ['<script type="application/json" id="record">', '</script>']

/**
 * Writes the page of a record.
 *
 * @throws InputError where it is no record; what the file system says when the page cannot be written
 * @example
 * const written = await readReport('out/report.html')
 * if (written !== undefined) await writeReport('out/again.html', { ...written, title: 'The same again' })
 */
export async function writeReport(file: string, record: RunRecord): Promise<void> {
  if (!Array.isArray((record as Partial<RunRecord> | undefined)?.steps)) throw new InputError(`writeReport: expected a record, as readReport gives one, got ${shown(record)}.`)
  const { pageOf } = await import('./page.ts') // with what draws
  const json = JSON.stringify(record).replaceAll('<', '\\u003c')
  await mkdir(dirname(file), { recursive: true })
  await writeAtomic(file, pageOf(record).replace('</body>', () => `${OPEN}${json}${CLOSE}\n</body>`))
}

/**
 * The record that a page was written of.
 *
 * @returns undefined where there is no such page
 * @example
 * const record = await readReport('out/report.html')
 * console.log(record?.evaluations.at(-1)?.accuracy)
 */
export async function readReport(file: string): Promise<RunRecord | undefined> {
  return recordIn(await readFile(file, 'utf8').catch(() => ''))
}

function recordIn(page: string): RunRecord | undefined {
  const begin = page.lastIndexOf(OPEN)
  if (begin < 0) return undefined
  return JSON.parse(page.slice(begin + OPEN.length, page.indexOf(CLOSE, begin))) as RunRecord
}

/** Puts rows that were measured into a page that is there. */
export async function addExamples(file: string, examples: readonly ReportedExample[]): Promise<void> {
  const record = await readReport(file)
  if (record !== undefined) await writeReport(file, { ...record, examples })
}
