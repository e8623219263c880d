import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { given, parsePlaces } from '../usage.ts'

/** What a run writes beside the adapter: it shows rows of the data, and stays here unless it is asked for. */
const OF_THE_RUN: readonly string[] = ['job.json', 'events.jsonl', 'report.html']

/** Uploads the folder of an adapter or a model. */
export async function pushCommand(args: string[]): Promise<number> {
  const { values: { 'with-report': withReport, ...options }, places: [folder = '', repo = ''] } = parsePlaces('push', args, {
    create: { type: 'boolean' }, private: { type: 'boolean' }, title: { type: 'string' }, revision: { type: 'string' }, 'with-report': { type: 'boolean' },
  }, ['folder', 'owner/name'])
  const { push } = await import('../../base/hub/push.ts')
  const copy = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    if (withReport !== true) await cp(folder, copy, { recursive: true, filter: (path) => !OF_THE_RUN.includes(basename(path)) })
    const { url } = await push(withReport === true ? folder : copy, repo, given(options))
    console.log(url)
    return 0
  } finally {
    await rm(copy, { recursive: true })
  }
}
