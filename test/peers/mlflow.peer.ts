// The watcher of docs/command-line.md, told to MLflow's own server.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { peersPython } from '../../bench/process.ts'
import { runExample } from '../pages.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
let server: ChildProcess
let uri = ''

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0)
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

beforeAll(async () => {
  uri = `http://127.0.0.1:${await freePort()}`
  const python = peersPython('mlflow')
  const arguments_ = ['server', '--host', '127.0.0.1', '--port', uri.split(':').at(-1) ?? '', '--backend-store-uri', `sqlite:///${temporary('mlflow.db')}`, '--workers', '1']
  server = spawn(join(dirname(python), 'mlflow'), arguments_, { cwd: temporary(), stdio: 'ignore', detached: true })
  for (let i = 0; i < 120; i++) {
    if (await fetch(`${uri}/health`).then(({ ok }) => ok, () => false)) return
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  throw new Error('mlflow server did not answer')
}, 180_000)
afterAll(() => { if (server.pid !== undefined) process.kill(-server.pid) })

async function ask(path: string, body: object): Promise<unknown> {
  const answer = await fetch(`${uri}/api/2.0/mlflow/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  expect(answer.ok, path).toBe(true)
  return answer.json()
}

it('the ten lines of the page give MLflow every step, and the run its end', { timeout: 180_000 }, async () => {
  process.env['MLFLOW_TRACKING_URI'] = uri
  await runExample('docs/command-line.md', async (run) => { await run() }, '## Watching')
  const { runs: [found] } = await ask('runs/search', { experiment_ids: ['0'] }) as { readonly runs: readonly { readonly info: { readonly run_id: string; readonly status: string }; readonly data: { readonly metrics: readonly { readonly key: string }[] } }[] }
  expect(found?.info.status).toBe('FINISHED')
  expect(found?.data.metrics.map(({ key }) => key)).toEqual(expect.arrayContaining(['step/loss', 'step/learningRate', 'step/tokens']))
  const history = await (await fetch(`${uri}/api/2.0/mlflow/metrics/get-history?run_id=${found?.info.run_id ?? ''}&metric_key=step/loss`)).json() as { readonly metrics: readonly { readonly step: number }[] }
  expect(history.metrics.map(({ step }) => step)).toEqual([1, 2])
})
