/**
 * The real client against a server that speaks the Hub's protocol (test/hub-server.ts). With TFJS_PEFT_PEERS set to a
 * Python environment that has huggingface_hub, the cache is also exchanged with it in both directions.
 */
import { execFile, spawn } from 'node:child_process'
import { lstat, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { inspect, promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { HubError, InputError } from '../../../src/errors.ts'
import { hubFile, hubSnapshot, resolveSource } from '../../../src/base/hub/download.ts'
import type { HubOptions, HubProgress } from '../../../src/base/hub/download.ts'
import { gitBlobId, sha256, startHub } from '../../hub-server.ts'
import type { HubServer } from '../../hub-server.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()
const first = '1'.repeat(40)
const second = '2'.repeat(40)
const repo = 'org/model'
const config = Buffer.from('{"model_type":"bert"}')
const weights = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => (i * i) % 251))

let hub: HubServer
let cacheFolder: string
let count = 0

beforeAll(async () => {
  hub = await startHub({})
})
afterAll(() => hub.close())

beforeEach(() => {
  // The cache of the machine and its login must not reach into the tests.
  for (const name of ['HF_TOKEN', 'HF_ENDPOINT', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN_PATH']) vi.stubEnv(name, undefined)
  cacheFolder = inFolder(`cache${count++}`)
  vi.stubEnv('HF_HOME', join(cacheFolder, 'home'))
  hub.faults.clear()
  hub.seen.length = 0
  Object.assign(hub.repos, {
    [repo]: {
      refs: { main: first, 'refs/pr/1': second },
      commits: {
        [first]: { 'config.json': config, 'model.safetensors': weights, 'sub folder/ü.txt': Buffer.from('deep'), 'empty': Buffer.alloc(0) },
        [second]: { 'config.json': Buffer.from('{}'), 'model.safetensors': weights },
      },
      large: ['model.safetensors'],
    },
    'org/gated': { gated: true, refs: { main: first }, commits: { [first]: { 'config.json': config } } },
  })
})
afterEach(() => vi.unstubAllEnvs())

const options = (more: HubOptions = {}): HubOptions => ({ cacheFolder, endpoint: hub.endpoint, retryDelay: 1, timeout: 5000, ...more })
const inRepo = (...names: string[]): string => join(cacheFolder, 'models--org--model', ...names)
const blob = (content: Buffer): string => inRepo('blobs', sha256(content))

async function failure(work: Promise<unknown>): Promise<HubError> {
  const error = await work.then(() => undefined, (thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(HubError)
  return error as HubError
}

/** Paths asked of the servers, without the API's. */
const downloads = (): string[] => hub.seen.filter(({ path }) => !path.startsWith('/api')).map(({ path, range }) => `${path.startsWith('cdn:') ? 'cdn' : path}${range === undefined ? '' : ` ${range}`}`)

describe('a download', () => {
  it('lays the cache out as huggingface_hub does', async () => {
    const path = await hubFile(repo, 'model.safetensors', options())
    expect(path).toBe(inRepo('snapshots', first, 'model.safetensors'))
    expect(await readFile(path)).toEqual(weights)
    expect(await readlink(path)).toBe(`../../blobs/${sha256(weights)}`)
    expect(await readFile(inRepo('refs', 'main'), 'utf8')).toBe(first)
    const nested = await hubFile(repo, 'sub folder/ü.txt', options())
    expect(await readlink(nested)).toBe(`../../../blobs/${gitBlobId(Buffer.from('deep'))}`)
    expect((await readdir(inRepo('blobs'))).sort()).toEqual([sha256(weights), gitBlobId(Buffer.from('deep'))].sort())
  })

  it('of a snapshot takes what is allowed, and every file without a list', async () => {
    const folder = await hubSnapshot(repo, { ...options(), allow: ['*.json', 'sub folder/*'] })
    expect((await readdir(folder, { recursive: true })).sort()).toEqual(['config.json', 'sub folder', 'sub folder/ü.txt'])
    expect(await hubSnapshot(repo, options())).toBe(folder)
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'empty', 'model.safetensors', 'sub folder'])
    expect((await stat(join(folder, 'empty'))).size).toBe(0)
  })

  it('happens once: what the cache has is not fetched again, and a commit is not even asked about', async () => {
    await hubSnapshot(repo, options())
    hub.seen.length = 0
    await hubSnapshot(repo, options())
    expect(hub.seen.map(({ path }) => path.split('?')[0])).toEqual(['/api/models/org/model/revision/main'])
    hub.seen.length = 0
    await hubSnapshot(repo, options({ revision: first }))
    expect(hub.seen).toEqual([])
  })

  it('follows a branch that moves, keeps the old snapshot and shares unchanged blobs', async () => {
    const before = await hubSnapshot(repo, { ...options(), allow: ['config.json', 'model.safetensors'] })
    hub.repos[repo] = { ...hub.repos[repo], refs: { main: second } } as HubServer['repos'][string]
    hub.seen.length = 0
    const after = await hubSnapshot(repo, options())
    expect(after).toBe(inRepo('snapshots', second))
    expect(await readFile(join(before, 'config.json'), 'utf8')).toBe(config.toString())
    expect(await readFile(join(after, 'config.json'), 'utf8')).toBe('{}')
    expect(downloads()).toEqual([`/org/model/resolve/${second}/config.json`])
    expect(await readFile(inRepo('refs', 'main'), 'utf8')).toBe(second)
  })

  it('takes a revision with slashes', async () => {
    expect(await readFile(await hubFile(repo, 'config.json', options({ revision: 'refs/pr/1' })), 'utf8')).toBe('{}')
    expect(await readFile(inRepo('refs', 'refs', 'pr', '1'), 'utf8')).toBe(second)
  })

  it('reports progress in bytes', async () => {
    const events: HubProgress[] = []
    await hubFile(repo, 'model.safetensors', options({ onProgress: (event) => void events.push(event) }))
    expect(events.at(-1)).toEqual({ file: 'model.safetensors', loaded: 200_000, total: 200_000 })
    expect(events.map(({ loaded }) => loaded)).toEqual(events.map(({ loaded }) => loaded).sort((a, b) => a - b))
  })

  it('sends the token to the Hub and not to the storage it points to', async () => {
    await hubFile(repo, 'model.safetensors', options({ token: hub.token }))
    for (const { path, authorization } of hub.seen) expect(authorization).toBe(path.startsWith('cdn:') ? undefined : 'Bearer hf_reader')
    expect(downloads()).toContain('cdn')
  })
})

describe('a download that goes wrong', () => {
  it.each([
    [{ kind: 'status', status: 429, retryAfter: '0', times: 2 }],
    [{ kind: 'status', status: 429, retryAfter: new Date().toUTCString(), times: 1 }],
    [{ kind: 'status', status: 500, times: 2 }],
    [{ kind: 'status', status: 503, times: 5 }],
  ] as const)('is tried again after %j', async (fault) => {
    for (const place of ['model.safetensors', 'api']) hub.faults.set(place, fault)
    expect(await readFile(await hubFile(repo, 'model.safetensors', options()))).toEqual(weights)
  })

  it('goes on where the connection broke, without limit while it makes progress', async () => {
    hub.faults.set('model.safetensors', { kind: 'cut', after: 20_000 })
    expect(await readFile(await hubFile(repo, 'model.safetensors', options()))).toEqual(weights)
    const ranges = downloads().filter((path) => path.startsWith('cdn'))
    expect(ranges[0]).toBe('cdn')
    expect(ranges.length).toBeGreaterThanOrEqual(10)
    expect(ranges.slice(1).every((range) => /^cdn bytes=\d+-$/.test(range))).toBe(true)
  })

  it('gives up when the connection breaks every time before a byte, and names the reason', async () => {
    hub.faults.set('model.safetensors', { kind: 'cut', after: 0 })
    const error = await failure(hubFile(repo, 'model.safetensors', options()))
    expect(error.message).toMatch(/^http:\/\/127.0.0.1:\d+ cannot be reached: /)
    expect(downloads().filter((path) => path === 'cdn')).toHaveLength(6)
  })

  it('goes on after a stalled body', async () => {
    hub.faults.set('model.safetensors', { kind: 'stall', after: 50_000, times: 1 })
    expect(await readFile(await hubFile(repo, 'model.safetensors', options({ timeout: 200 })))).toEqual(weights)
    expect(downloads().at(-1)).toMatch(/^cdn bytes=[1-9]\d*-$/)
  })

  it('says when a body stalls every time', async () => {
    hub.faults.set('model.safetensors', { kind: 'stall', after: 0 })
    const error = await failure(hubFile(repo, 'model.safetensors', options({ timeout: 50 })))
    expect(error.message).toBe(`${hub.endpoint} sent nothing for 0.05 s`)
  })

  it('starts over when the server sends the whole for a part', async () => {
    hub.faults.set('model.safetensors', { kind: 'cut', after: 150_000, times: 1 })
    const handled = hubFile(repo, 'model.safetensors', options({ onProgress: () => hub.faults.get('model.safetensors') ?? hub.faults.set('model.safetensors', { kind: 'no-range' }) }))
    expect(await readFile(await handled)).toEqual(weights)
  })

  it.each([
    ['config.json', 'of the same size', Buffer.from('{"model_type":"BERT"}'), gitBlobId(config)],
    ['model.safetensors', 'of the same size', Buffer.alloc(200_000), sha256(weights)],
  ])('%s with other content %s is deleted and reported', async (file, _how, content, etag) => {
    hub.faults.set(file, { kind: 'content', content })
    const error = await failure(hubFile(repo, file, options()))
    expect(error.message).toBe(`org/model: ${file} arrived with other content than the Hub announced (its hash is not ${etag}) and was deleted. Try again; if it stays so, a proxy or mirror changes the file`)
    expect(await readdir(inRepo('blobs'))).toEqual([])
    await expect(lstat(inRepo('snapshots', first, file))).rejects.toThrow('ENOENT')
  })

  it('is reported when the file is longer or shorter than announced', async () => {
    hub.faults.set('config.json', { kind: 'content', content: Buffer.alloc(50) })
    expect((await failure(hubFile(repo, 'config.json', options()))).message).toBe('org/model: config.json is longer than the 21 bytes the Hub announced')
    hub.faults.set('config.json', { kind: 'content', content: Buffer.alloc(0) })
    expect((await failure(hubFile(repo, 'config.json', options()))).message).toBe('org/model: config.json broke off: expected 21 bytes, got 0')
  })

  it.each([
    ['longer than announced', { kind: 'content', content: Buffer.concat([weights, weights]) }, 'is longer than the 200000 bytes the Hub announced', 6],
    ['sent from its start whatever is asked for, and cut', { kind: 'no-range', length: 150_000 }, 'broke off: expected 200000 bytes, got 150000', 6],
  ] as const)('gives up on a file that is %s: bytes that are thrown away are no progress', async (_what, fault, reason, requests) => {
    hub.faults.set('model.safetensors', fault)
    const error = await failure(hubFile(repo, 'model.safetensors', options()))
    expect(error.message).toBe(`org/model: model.safetensors ${reason}`)
    expect(downloads().filter((path) => path.startsWith('cdn'))).toHaveLength(requests)
  })

  it.skipIf(process.platform !== 'linux')('says that the disk is full at the first byte that does not fit', async () => {
    await mkdir(inRepo('blobs'), { recursive: true })
    await symlink('/dev/full', `${blob(weights)}.incomplete`)
    const error = await failure(hubFile(repo, 'model.safetensors', options()))
    expect(error.message).toBe(`${blob(weights)}.incomplete cannot be written: ENOSPC: no space left on device, write. Make room there, or name another folder with the option cacheFolder or with HF_HUB_CACHE`)
    expect(downloads().filter((path) => path === 'cdn')).toHaveLength(1)
    expect(await readdir(inRepo('blobs'))).toEqual([`${sha256(weights)}.incomplete`])
  })

  it('says that the cache is in the way of a file', async () => {
    await mkdir(cacheFolder, { recursive: true })
    await writeFile(inRepo(), '')
    const error = await failure(hubFile(repo, 'config.json', options()))
    expect(error.message).toMatch(/^.*models--org--model.* cannot be written: E(NOTDIR|EXIST): .*\. Name a folder that can be written with the option cacheFolder or with HF_HUB_CACHE$/)
  })

  it('continues the part of an earlier run, and starts over when that part is bad', async () => {
    await mkdir(inRepo('blobs'), { recursive: true })
    await writeFile(`${blob(weights)}.incomplete`, weights.subarray(0, 120_000))
    expect(await readFile(await hubFile(repo, 'model.safetensors', options()))).toEqual(weights)
    expect(downloads().at(-1)).toBe('cdn bytes=120000-')

    await rm(inRepo(), { recursive: true })
    await mkdir(inRepo('blobs'), { recursive: true })
    await writeFile(`${blob(weights)}.incomplete`, Buffer.alloc(120_000))
    expect(await readFile(await hubFile(repo, 'model.safetensors', options()))).toEqual(weights)
    expect(downloads().slice(-3)).toEqual(['cdn bytes=120000-', `/org/model/resolve/${first}/model.safetensors`, 'cdn'])
  })

  it('stops when it is aborted, and keeps the part', async () => {
    hub.faults.set('model.safetensors', { kind: 'stall', after: 50_000 })
    const stop = new AbortController()
    const reason = new Error('the user left')
    await expect(hubFile(repo, 'model.safetensors', options({ signal: stop.signal, onProgress: () => stop.abort(reason) }))).rejects.toBe(reason)
    expect(await readdir(inRepo('blobs'))).toEqual([`${sha256(weights)}.incomplete`])
    expect((await stat(`${blob(weights)}.incomplete`)).size).toBeGreaterThan(0)
  })
})

describe('an error of the Hub', () => {
  it('tells a missing file, revision and repository apart', async () => {
    const file = await failure(hubFile(repo, 'none.json', options()))
    expect([file.status, file.message]).toEqual([404, 'org/model has no file none.json at revision "main". It has config.json, model.safetensors, sub folder/ü.txt, empty'])
    const revision = await failure(hubFile(repo, 'config.json', options({ revision: 'v9' })))
    expect([revision.status, revision.message]).toEqual([404, `org/model has no revision "v9". Branches, tags and commits are listed on ${hub.endpoint}/org/model/tree/main`])
    for (const [token, status] of [['', 401], [hub.token, 404]] as const) {
      const missing = await failure(hubFile('org/none', 'config.json', options({ token })))
      expect([missing.status, missing.message]).toEqual([status, `there is no model org/none on ${hub.endpoint}, or it is private. Check the name; for a private one set HF_TOKEN to a token that may read it`])
    }
  })

  it('says what to do about a gated repository, and a token opens it', async () => {
    const error = await failure(hubFile('org/gated', 'config.json', options()))
    expect([error.status, error.message]).toEqual([401, `org/gated is gated: accept its licence on ${hub.endpoint}/org/gated, then set HF_TOKEN to a token of that account`])
    expect((await failure(hubFile('org/gated', 'config.json', options({ token: 'hf_other' })))).message).toContain('(the token in use has no access)')
    expect(await readFile(await hubFile('org/gated', 'config.json', options({ token: hub.token })))).toEqual(config)
  })

  it.each([
    [{ status: 401, message: 'Invalid credentials in Authorization header' }, 'the Hub does not know the token: set HF_TOKEN to a valid one, or unset it for public models'],
    [{ status: 403, message: 'Needs the read scope' }, 'org/model: access refused: Needs the read scope. Check that the token in HF_TOKEN may read it'],
    [{ status: 418, message: 'fault' }, 'HUB answered 418: fault for org/model'],
    [{ status: 429, retryAfter: '3600' }, 'org/model: config.json at revision "main" is not in the cache CACHE, and HUB has had too many requests from here. Try again in some minutes; with HF_TOKEN set the limit is higher. With a connection, this fetches it: hf download org/model config.json'],
    [{ status: 503 }, 'org/model: config.json at revision "main" is not in the cache CACHE, and HUB answered 503: fault for org/model. Try again later. With a connection, this fetches it: hf download org/model config.json'],
  ])('%j reads so', async (fault, text) => {
    hub.faults.set('api', { kind: 'status', ...fault })
    const error = await failure(hubFile(repo, 'config.json', options()))
    expect([error.status, error.message]).toEqual([fault.status, text.replaceAll('HUB', hub.endpoint).replace('CACHE', cacheFolder)])
  })

  it('says when the answers are not those of a Hub', async () => {
    const notHub: typeof fetch = () => Promise.resolve(new Response('<html>Please log in to the hotel</html>'))
    expect((await failure(hubFile(repo, 'config.json', options({ fetch: notHub })))).message).toContain(`${hub.endpoint} did not answer as the Hub does: `)
    const noCommit: typeof fetch = () => Promise.resolve(Response.json({ sha: '../../x' }))
    expect((await failure(hubFile(repo, 'config.json', options({ fetch: noCommit })))).message).toBe(`${hub.endpoint} named "../../x" as the commit of org/model, which is none. Check HF_ENDPOINT`)
  })
})

it('a list of files whose last page leads to the first is an error', async () => {
  const circle: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const url = input as string
    return url.includes('/tree/') ? new Response(await response.text(), { headers: { Link: `<${url}>; rel="next"` } }) : response
  }
  const error = await failure(hubSnapshot(repo, options({ fetch: circle })))
  expect(error.message).toBe(`${hub.endpoint} lists the files of org/model without end. Check HF_ENDPOINT`)
})

describe('a secret', () => {
  const token = 'hf_aSecretOfMine/+'
  const inside = (error: unknown): string => inspect(error, { depth: 10, showHidden: true })

  it.each([
    ['refuses', { status: 403 }],
    ['does not know it', { status: 401 }],
    ['fails', { status: 500 }],
    ['answers something else', { status: 418 }],
  ])('that the server sends back when it %s is not in the error', async (_what, fault) => {
    const echo = `Bearer ${token} or ${encodeURIComponent(token)}, ${btoa(token)}`
    hub.faults.set('api', { kind: 'status', message: `you sent ${echo}`, ...fault })
    const error = await failure(hubFile(repo, 'config.json', options({ token })))
    expect(inside(error)).not.toMatch(/aSecret|YVNlY3Jl/)
    hub.faults.clear()
    hub.faults.set('config.json', { kind: 'status', message: echo, ...fault })
    expect(inside(await failure(hubFile(repo, 'config.json', options({ token }))))).not.toMatch(/aSecret|YVNlY3Jl/)
  })

  it.each([`${token} is no JSON`, `"${token}"`, JSON.stringify({ sha: token })])('in an answer that is not the Hub\'s (%s) is not in the error', async (answer) => {
    const echo: typeof fetch = () => Promise.resolve(new Response(answer))
    const error = await failure(hubFile(repo, 'config.json', options({ token, fetch: echo })))
    expect(error.message).toContain(hub.endpoint)
    expect(inside(error)).not.toContain('hf_')
  })

  it('in the message of another library is not in the error', async () => {
    const failing: typeof fetch = () => Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error(`bad header ${token}`), { data: `Bearer ${token}` }) }))
    const error = await failure(hubFile(repo, 'config.json', options({ token, fetch: failing })))
    expect(error.message).toContain('cannot be reached: bad header ***')
    expect(inside(error)).not.toContain('aSecret')
  })

  it('of several lines is taken without its line breaks, as in Python, and refused unseen when it holds other than ASCII', async () => {
    expect(await readFile(await hubFile('org/gated', 'config.json', options({ token: ` hf_rea\r\nder\n` })))).toEqual(config)
    for (const bad of ['hf_a secret', 'hf_secretä', 'hf_secret\u0000']) {
      const error: unknown = await hubFile(repo, 'config.json', options({ token: bad })).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(InputError)
      expect((error as InputError).message).toBe('The Hub cannot be asked so\n  - token: expected visible ASCII characters alone, got others among them: see HF_TOKEN, or run `hf auth login` again')
      expect(inside(error)).not.toContain('secret')
    }
  })

  it.each(['http://ada:secret@127.0.0.1:9', 'http://ada:sec/ret@127.0.0.1:9', 'ada:secret@mirror', 'https://mirror/?key=secret', 'https://mirror/#secret', 'ftp://secret', 'secret', ''])(
    'in the address of the Hub is not in the error: %j is refused unseen', async (endpoint) => {
      const error: unknown = await hubFile(repo, 'config.json', options({ endpoint })).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(InputError)
      expect((error as InputError).message).toBe('The Hub cannot be asked so\n  - endpoint (HF_ENDPOINT): expected an address as https://huggingface.co, without a name and password ("@") and without "?" and "#"; a token goes into HF_TOKEN')
      expect(inside(error)).not.toMatch(/sec\/?ret/)
    })

  it('in an address given as the name of a model is not in the error', async () => {
    const error: unknown = await resolveSource('https://ada:secret@127.0.0.1/org/model').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InputError)
    expect(inside(error)).not.toContain('secret')
  })

  it('what a server says is shown in one line and not for ever', async () => {
    hub.faults.set('api', { kind: 'status', status: 403, message: `no\tway ${'x'.repeat(5000)}` })
    const { message } = await failure(hubFile(repo, 'config.json', options()))
    expect(message).toBe(`org/model: access refused: no way ${'x'.repeat(293)}. Check that the token in HF_TOKEN may read it`)
  })
})

describe('without the Hub', () => {
  it('the cache is used when it holds what is wanted, by branch and by commit', async () => {
    const path = await hubFile(repo, 'config.json', options())
    const nobody = 'http://127.0.0.1:9' // the discard port: nothing listens
    expect(await hubFile(repo, 'config.json', options({ endpoint: nobody }))).toBe(path)
    expect(await hubFile(repo, 'config.json', options({ offline: true }))).toBe(path)
    expect(await hubFile(repo, 'config.json', options({ offline: true, revision: first }))).toBe(path)
    hub.faults.set('api', { kind: 'status', status: 503 })
    expect(await hubFile(repo, 'config.json', options())).toBe(path)
    hub.faults.set('api', { kind: 'status', status: 401 })
    expect(await hubFile(repo, 'config.json', options())).toBe(path)
  })

  it('a missing file is named with the command that fetches it', async () => {
    await hubFile(repo, 'config.json', options())
    hub.seen.length = 0
    const offline = await failure(hubFile(repo, 'model.safetensors', options({ offline: true })))
    expect(offline.message).toBe(`org/model: model.safetensors at revision "main" is not in the cache ${cacheFolder}, and the Hub is not to be asked (offline). With a connection, this fetches it: hf download org/model model.safetensors`)
    expect(offline.status).toBeUndefined()
    const unreached = await failure(hubSnapshot(repo, { ...options({ endpoint: 'http://127.0.0.1:9', revision: 'v1' }), allow: ['*.json'] }))
    expect(unreached.message).toMatch(/^org\/model: \*\.json at revision "v1" is not in the cache .*, and http:\/\/127.0.0.1:9 cannot be reached: .*\. With a connection, this fetches it: hf download org\/model --include "\*\.json" --revision v1$/)
    const model = await failure(hubSnapshot(repo, { ...options({ offline: true, revision: 'v1' }), allow: ['config.json', 'tokenizer.json', 'model*.safetensors', 'vocab.txt', 'modules.json'] }))
    expect(model.message).toBe(`org/model: what is needed of it (config.json, tokenizer.json and others) at revision "v1" is not in the cache ${cacheFolder}, and the Hub is not to be asked (offline). ` +
      'With a connection, this fetches it: hf download org/model --include "*.json" --include "*.safetensors" --include "*.txt" --revision v1')
    expect(hub.seen).toEqual([])
  })

  it('a part of a snapshot is not taken for the whole', async () => {
    await hubFile(repo, 'config.json', options())
    await expect(hubSnapshot(repo, options({ offline: true }))).rejects.toThrow('org/model: the repository at revision "main" is not in the cache')
    await hubSnapshot(repo, options())
    expect(await hubSnapshot(repo, options({ offline: true }))).toBe(inRepo('snapshots', first))
  })

  it('a branch keeps its old commit when the download of the new one fails', async () => {
    await hubSnapshot(repo, options())
    hub.repos[repo] = { ...hub.repos[repo], refs: { main: second } } as HubServer['repos'][string]
    hub.faults.set('config.json', { kind: 'content', content: Buffer.from('[]') })
    await failure(hubSnapshot(repo, options()))
    expect(await hubSnapshot(repo, options({ offline: true }))).toBe(inRepo('snapshots', first))
  })
})

describe('the environment', () => {
  it('is read at the call: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE', async () => {
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`)
    vi.stubEnv('HF_HOME', inFolder('home'))
    vi.stubEnv('HF_TOKEN', hub.token)
    expect(await hubFile('org/gated', 'config.json')).toBe(inFolder('home', 'hub', 'models--org--gated', 'snapshots', first, 'config.json'))
    vi.stubEnv('HF_HUB_CACHE', inFolder('hub-cache'))
    expect(await hubFile(repo, 'config.json')).toBe(inFolder('hub-cache', 'models--org--model', 'snapshots', first, 'config.json'))
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(hubFile(repo, 'model.safetensors')).rejects.toThrow('the Hub is not to be asked (offline)')
  })

  it('gives the token that was stored at login', async () => {
    await mkdir(join(cacheFolder, 'home'), { recursive: true })
    await writeFile(join(cacheFolder, 'home', 'token'), `${hub.token}\n`)
    expect(await readFile(await hubFile('org/gated', 'config.json', options()))).toEqual(config)
  })
})

describe('names', () => {
  it.each(['../config.json', 'a/../../b', '/etc/passwd', '..\\x', 'a\\b', 'C:x', 'a//b', ''])('a file %j is refused', async (file) => {
    await expect(hubFile(repo, file, options())).rejects.toThrow(new InputError(
      `${JSON.stringify(file)}: expected the path of a file within the repository, without "..", "\\" or a drive letter`))
    expect(hub.seen).toEqual([])
  })

  it.each(['../x', '..', '/main', ''])('a revision %j is refused', async (revision) => {
    await expect(hubFile(repo, 'config.json', options({ revision }))).rejects.toThrow(`revision ${JSON.stringify(revision)} cannot be the name of a branch, tag or commit`)
  })

  it('that a repository lists and that lead outside are refused when they are wanted', async () => {
    hub.repos[repo] = { refs: { main: first }, commits: { [first]: { 'config.json': config, '../../../evil': Buffer.from('x') } } }
    await expect(hubSnapshot(repo, options())).rejects.toThrow('org/model lists files whose names or hashes could lead outside the cache folder: "../../../evil"')
    expect(await readFile(await hubFile(repo, 'config.json', options()))).toEqual(config)
  })
})

describe('names that a file system has no place for', () => {
  const long = `${'n'.repeat(251)}.txt`
  const tooLong = `${'n'.repeat(252)}.txt`

  it('a file may have the longest name there is; a longer one is named and the others can be had', async () => {
    hub.repos[repo] = { refs: { main: first }, commits: { [first]: { 'config.json': config, [long]: config, [tooLong]: config } } }
    expect(await readFile(await hubFile(repo, long, options()))).toEqual(config)
    const error = await failure(hubSnapshot(repo, options()))
    expect(error.message).toBe(`org/model has files with longer names than a file can have: "${'n'.repeat(119)}… (258 characters). Ask for the others alone`)
    await expect(hubFile(repo, tooLong, options())).rejects.toThrow(InputError)
    expect(await readdir(await hubSnapshot(repo, { ...options(), allow: ['config.json'] }))).toContain('config.json')
  })

  it('names that differ in case or accents alone are two files where the disk tells them apart, and an error elsewhere', async () => {
    const names = ['Data.txt', 'data.txt', 'é.txt', 'e\u0301.txt']
    hub.repos[repo] = { refs: { main: first }, commits: { [first]: Object.fromEntries(names.map((name, i) => [name, Buffer.from(String(i))])) } }
    const folder = await hubSnapshot(repo, options()).catch((error: unknown) => {
      if (process.platform === 'linux') throw error
      expect((error as HubError).message).toContain('"Data.txt" and "data.txt", which are one file on the disk of')
    })
    if (folder !== undefined) for (const [i, name] of names.entries()) expect(await readFile(join(folder, name), 'utf8')).toBe(String(i))
  })

  it('a file where another has its folder is an error with the place', async () => {
    hub.repos[repo] = { refs: { main: first }, commits: { [first]: { a: config, 'a/b': config } } }
    const error = await failure(hubSnapshot(repo, options()))
    expect(error.message).toMatch(/^.*a.b cannot be written: E(EXIST|NOTDIR): /)
  })

  it('a branch below another\'s name, or with a long name, is had, though not remembered', async () => {
    const revisions = ['dev', 'dev/new', 'n'.repeat(250)]
    hub.repos[repo] = { refs: Object.fromEntries(revisions.map((name) => [name, first])), commits: { [first]: { 'config.json': config } } }
    hub.repos['org/model'] = hub.repos[repo]
    await hubFile(repo, 'config.json', options({ revision: 'dev' }))
    await hubFile(repo, 'config.json', options({ revision: 'n'.repeat(250) }))
    await rm(inRepo('refs', 'dev'))
    await mkdir(inRepo('refs', 'dev'))
    await hubFile(repo, 'config.json', options({ revision: 'dev' }))
    expect(await readdir(inRepo('refs'))).toEqual(['dev'])
  })
})

describe('resolveSource', () => {
  it('takes a folder that exists, and what looks like a path only as one', async () => {
    expect(await resolveSource(inFolder())).toBe(inFolder())
    expect(await resolveSource('src/base')).toBe('src/base')
    for (const path of ['./none', '/none', '~/none-of-this', 'C:\\none']) {
      await expect(resolveSource(path)).rejects.toThrow(new InputError(`${path}: there is no such folder`))
    }
    await expect(resolveSource('package.json')).rejects.toThrow('package.json: expected a folder, got a file')
  })

  it.each([
    ['a/b/c', '"a/b/c": expected "name" or "namespace/name", got 3 parts'],
    ['org/na me', '"org/na me": expected names of 1 to 96 letters, digits, "-", "_" and ".", not beginning or ending with "-" or "."'],
    ['org/-x', '"org/-x": expected names of 1 to 96 letters'],
    ['org/x--y', '"org/x--y": "--" and ".." are not allowed in an id'],
    ['org/x.git', '"org/x.git": an id does not end in ".git"'],
    ['', '"": expected names of 1 to 96 letters'],
  ])('says why %j is neither a folder nor an id', async (source, reason) => {
    const error = await resolveSource(source).then(() => undefined, (thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InputError)
    expect((error as InputError).message).toContain(`${source}: expected a folder or the id of a repository on the Hub\n  - there is no such folder\n  - ${reason}`)
  })

  it('fetches configuration, weights, tokenizer and pooling of an id, and nothing else', async () => {
    const content = Buffer.from('x')
    const wanted = ['1_Pooling/config.json', 'config.json', 'model-00001-of-00002.safetensors', 'model.safetensors.index.json', 'modules.json', 'tokenizer.json', 'vocab.txt']
    const rest = ['README.md', 'pytorch_model.bin', 'consolidated.safetensors', 'onnx/model.onnx', '2_Dense/config.json']
    hub.repos['org/full'] = { refs: { main: first }, commits: { [first]: Object.fromEntries([...wanted, ...rest].map((file) => [file, content])) } }
    const folder = await resolveSource('org/full', options())
    const found = await readdir(folder, { recursive: true })
    expect(found.filter((file) => file !== '1_Pooling').sort()).toEqual(wanted)
  })
})

describe('two processes', () => {
  const program = (onProgress: string): string => `import { hubSnapshot } from './src/base/hub/download.ts'
    await hubSnapshot('org/model', { onProgress: ${onProgress} })`
  const args = (onProgress = '() => {}'): string[] => ['--import', 'tsx', '--input-type=module', '-e', program(onProgress)]
  const env = (): NodeJS.ProcessEnv => ({ ...process.env, HF_HUB_CACHE: cacheFolder, HF_ENDPOINT: hub.endpoint })

  it('at once fetch a file once and both have it whole', async () => {
    const run = (): Promise<unknown> => promisify(execFile)(process.execPath, args(), { env: env() })
    await Promise.all([run(), run(), hubSnapshot(repo, options())])
    expect(downloads().filter((path) => path === 'cdn')).toHaveLength(1)
    expect(await readFile(inRepo('snapshots', first, 'model.safetensors'))).toEqual(weights)
    expect((await readdir(inRepo('blobs'))).filter((name) => name.includes('.'))).toEqual([])
  })

  it('one killed in the middle leaves a part that the next one continues at once', async () => {
    hub.faults.set('model.safetensors', { kind: 'stall', after: 100_000, times: 1 })
    const killed = spawn(process.execPath, args('({ file, loaded }) => { if (file === "model.safetensors" && loaded === 100000) process.kill(process.pid, "SIGKILL") }'), { env: env() })
    await new Promise((done) => killed.once('exit', done))
    expect((await readdir(inRepo('blobs'))).filter((name) => name.startsWith(sha256(weights))).sort()).toEqual([`${sha256(weights)}.incomplete`, `${sha256(weights)}.incomplete.lock`])
    await hubSnapshot(repo, options())
    expect(downloads()).toContain('cdn bytes=100000-')
    expect((await readdir(inRepo('blobs'))).filter((name) => name.includes('.'))).toEqual([])
  })
})

const peers = process.env['TFJS_PEFT_PEERS']

describe.skipIf(peers === undefined)('huggingface_hub in Python', () => {
  async function python(code: string, environment: Record<string, string>): Promise<string> {
    const { stdout } = await promisify(execFile)(join(peers ?? '', 'bin', 'python'), ['-c', code], {
      env: { ...process.env, HF_HUB_CACHE: cacheFolder, HF_HUB_DISABLE_XET: '1', ...environment },
    })
    return stdout.trim()
  }

  it('reads what we downloaded, offline', async () => {
    const folder = await hubSnapshot(repo, options())
    expect(await python('from huggingface_hub import snapshot_download, hf_hub_download, scan_cache_dir\n'
      + 'info = scan_cache_dir()\nassert not info.warnings, info.warnings\n'
      + 'assert open(hf_hub_download("org/model", "sub folder/ü.txt")).read() == "deep"\n'
      + 'print(snapshot_download("org/model"))', { HF_HUB_OFFLINE: '1' })).toBe(folder)
  })

  it('continues a snapshot of which we have a part, and we use what it laid out without network', async () => {
    await hubFile(repo, 'config.json', options())
    const theirs = await python('from huggingface_hub import snapshot_download\nprint(snapshot_download("org/model"))', { HF_ENDPOINT: hub.endpoint })
    hub.seen.length = 0
    expect(await hubSnapshot(repo, options({ offline: true }))).toBe(theirs)
    expect(await readFile(await hubFile(repo, 'model.safetensors', options({ offline: true })))).toEqual(weights)
    expect(hub.seen).toEqual([])
    await rm(join(dirname(dirname(theirs)), 'trees'), { recursive: true }) // earlier versions keep no list of files
    expect(await hubSnapshot(repo, options({ offline: true }))).toBe(theirs)
  })
})
