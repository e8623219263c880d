// What someone new does: an empty folder with the package, and the first program of a page, saved as it stands. The first of them fetches its model, from a
// Hub on this machine.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { packed } from '../../scripts/packed.mjs'
import { resolveSource } from '../../src/base/hub/download.ts'
import { hasCollectives } from '../distributed/launched.ts'
import { startHub } from '../hub-server.ts'
import { root } from '../pages.ts'

const canJoin = await hasCollectives()
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const FIVE_MINUTES = 300_000

const { folder } = packed()
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
symlinkSync(join(root, 'node_modules', 'tsx'), join(folder, 'node_modules', 'tsx'), 'junction')
const model = await resolveSource(MODEL, {})
const files = readdirSync(model, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(model, name)).isFile())
const hub = await startHub({
  [MODEL]: { refs: { main: COMMIT }, commits: { [COMMIT]: Object.fromEntries(files.map((name) => [name, readFileSync(join(model, name))])) }, large: ['model.safetensors'] },
})
const env = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, 'home'), HF_HUB_CACHE: undefined, HF_HUB_OFFLINE: undefined }
afterAll(async () => {
  await hub.close()
  rmSync(folder, { recursive: true })
})

/** A folder of its own with a page's first program, after changes that the page speaks of. */
function saved(page: string, name: string, change = (program: string): string => program): string {
  const text = readFileSync(join(folder, 'node_modules', 'tfjs-peft', page), 'utf8')
  const place = join(folder, page.replace(/\W/g, '-'))
  mkdirSync(place)
  writeFileSync(join(place, name), change(/```ts\n(.*?)```/s.exec(text)?.[1] ?? ''))
  return place
}

async function node(place: string, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('node', args, { cwd: place, env })).stdout
}

describe('the first program of a page gives what it says within five minutes', () => {
  it.each([
    ['README.md', 'a first LoRA', /^3 [\d.]+$/m],
    ['docs/getting-started.md', 'set up', /2 rows/],
    ['docs/classification.md', 'label texts by a CSV', /^ham 0\.\d+\nspam 0\.\d+$/m],
    ['docs/similarity.md', 'similarity and search', /new password".*\n.*three days/],
    ['docs/entities.md', 'entities', /^LOC: London/m],
    ['docs/answers.md', 'answers', /^ten /m],
    ['docs/chat.md', 'chat', /as saved: .*Norway/],
    ['docs/pictures.md', 'pictures', /^plum 0\.\d+$/m],
    ['docs/server.md', 'two adapters behind a server', /^spam 0\.\d+\n\w+ 0\.\d+$/m],
    ['docs/where-it-runs.md', 'merge, and run elsewhere', /out\/spam-onnx/],
    ['docs/forgetting.md', 'keep a first task', /best with 0\.\d+ of the way/],
    ['docs/quantised.md', 'a base that does not fit', /^ham 0\.\d+\nspam 0\.\d+$/m],
  ])('%s: %s', { timeout: FIVE_MINUTES }, async (page, _, printed) => {
    expect(await node(saved(page, 'first.ts'), '--import', 'tsx', 'first.ts')).toMatch(printed)
  })

  it('docs/long-training.md: Ctrl-C, and on from there', { timeout: FIVE_MINUTES }, async () => {
    const place = saved('docs/long-training.md', 'first.ts', (program) => program.replace('epochs: 2,', 'epochs: 200,'))
    const interrupted = async (): Promise<string> => {
      const child = spawn('node', ['--import', 'tsx', 'first.ts'], { cwd: place, env })
      let output = ''
      let told = false
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (!told && output.includes('checkpoint after step')) told = child.kill('SIGINT')
      })
      await once(child, 'close')
      return output
    }
    const before = /^(\d+) of 1000 steps; run it again to go on$/m.exec(await interrupted())?.[1] ?? 'not stopped'
    expect(await interrupted()).toContain(`resume after step ${before}`)
  })

  it.runIf(canJoin)('docs/distributed.md: two machines, here two launchers', { timeout: FIVE_MINUTES }, async () => {
    const place = saved('docs/distributed.md', 'train.js')
    const hosts = (await Promise.all([freePort(), freePort()])).map((port) => `127.0.0.1:${port}`).join(',')
    const launch = (rank: string): Promise<string> => node(place, join(folder, 'node_modules/tfjs-peft/dist/cli/main.js'), 'launch', '--hosts', hosts, '--rank', rank, 'train.js')
    expect((await Promise.all([launch('0'), launch('1')]))[0]).toContain('2 workers, accuracy 1')
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}
