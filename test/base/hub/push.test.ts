// The real client against a server that speaks the Hub's protocol for uploads (test/hub-uploads.ts).

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { detach } from '../../../src/base/adapter/attached.ts'
import type { FrozenWeight } from '../../../src/base/engine/frozen-weight.ts'
import type { HubProgress } from '../../../src/base/hub/download.ts'
import { push, type PushOptions } from '../../../src/base/hub/push.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { HubError, InputError } from '../../../src/errors.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { lora } from '../../../src/lora/lora.ts'
import { valuesOf } from '../../golden.ts'
import { sha256, startHub, type HubServer } from '../../hub-server.ts'
import { attachTrained, closeModel, forward, tinyModel } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()
const repo = 'me/spam-lora'
let hub: HubServer
let count = 0

beforeEach(async () => {
  hub = await startHub({})
  for (const name of ['HF_TOKEN', 'HF_ENDPOINT', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN_PATH']) vi.stubEnv(name, undefined)
  vi.stubEnv('HF_HOME', inFolder(`home${count++}`))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await hub.close()
})

const options = (more: PushOptions = {}): PushOptions => ({ endpoint: hub.endpoint, token: hub.writer, retryDelay: 1, timeout: 5000, create: true, ...more })

/** The files of a branch, as they arrived. */
function filesAt(id: string, branch = 'main'): Readonly<Record<string, Buffer>> {
  return hub.repos[id]?.commits[hub.repos[id].refs[branch] ?? ''] ?? {}
}

/** A folder that looks like an adapter's. */
async function makeFolder(files: Readonly<Record<string, Buffer | string>> = {}): Promise<string> {
  const folder = inFolder(`folder${count++}`)
  const all = { 'adapter_config.json': '{"peft_type":"LORA"}', 'adapter_model.safetensors': bytes(20_000), ...files }
  for (const [path, content] of Object.entries(all)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}

function bytes(length: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * i * seed) % 251))
}

async function failure(work: Promise<unknown>): Promise<HubError> {
  const error = await work.then(() => undefined, (thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(HubError)
  return error as HubError
}

it('an adapter that was pushed is the same when it is loaded from there', async () => {
  const model = await tinyModel()
  try {
    const adapter = attachTrained(model, 'spam', lora({ rank: 2 }), { enabled: true, train: ['classifier'] })
    const [adapted, tensors] = [forward(model), tf.memory().numTensors]
    const pushed = await push(adapter, repo, options({ private: true }))
    expect(tf.memory().numTensors).toBe(tensors)
    expect(pushed).toEqual({ commit: hub.repos[repo]?.refs['main'], url: `${hub.endpoint}/${repo}/commit/${pushed.commit}` })
    expect(hub.repos[repo]?.private).toBe(true)
    expect(hub.commits).toEqual([{
      repo, branch: 'main', summary: 'Upload adapter',
      files: { 'README.md': 'regular', 'adapter_config.json': 'regular', 'adapter_model.safetensors': 'lfs' },
    }])
    await adapter.save(inFolder('saved'))
    for (const [path, content] of Object.entries(filesAt(repo))) expect(sha256(content), path).toBe(sha256(await readFile(inFolder('saved', path))))
    detach(adapter)
    await loadAdapter(model, repo, { endpoint: hub.endpoint, token: hub.token })
    expect(forward(model)).toEqual(adapted)
  } finally {
    closeModel(model)
  }
})

it('a merged model is pushed whole, in parts where it is large', async () => {
  const model = await tinyModel()
  const merged = merge(model, attachTrained(model, 'a', lora({ rank: 2 })))
  try {
    await push(merged, repo, options({ title: 'The spam filter' }))
    expect(hub.commits).toMatchObject([{ summary: 'The spam filter', files: { 'config.json': 'regular', 'model.safetensors': 'lfs' } }])
    expect(hub.seen.filter(({ method, path }) => method === 'PUT' && path.startsWith('cdn:')).length).toBeGreaterThan(1)
    const again = await loadModel(repo, { task: 'sequence-classification', endpoint: hub.endpoint, token: hub.token })
    expect(forward(again)).toEqual(forward(merged))
    for (const [name, tensor] of merged.parts.params) expect(valuesOf(again.parts.params.get(name) as FrozenWeight), name).toEqual(valuesOf(tensor))
    again.dispose()
  } finally {
    merged.dispose()
    closeModel(model)
  }
})

describe('a folder', () => {
  it('is pushed with its subfolders and without hidden files; what the repository has besides stays', async () => {
    await push(await makeFolder({ 'old.txt': 'old' }), repo, options())
    await push(await makeFolder({ 'deep/ü 1.txt': 'deep', '.env': 'SECRET', '.git/config': 'x', 'empty': '' }), repo, options())
    expect(Object.keys(filesAt(repo)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'deep/ü 1.txt', 'empty', 'old.txt'])
    expect(filesAt(repo)['deep/ü 1.txt']?.toString()).toBe('deep')
  })

  it('that the Hub has already is not sent again', async () => {
    const folder = await makeFolder({ 'adapter_model.safetensors': bytes(30_000, 7) })
    await push(folder, repo, options())
    hub.seen.length = 0
    await push(folder, repo, options())
    expect(hub.seen.filter(({ method }) => method === 'PUT')).toEqual([])
    expect(hub.commits).toHaveLength(2)
  })

  it('tells how far it is, up to the last byte of each file', async () => {
    const folder = await makeFolder({ 'adapter_model.safetensors': bytes(90_000, 3) })
    const last = new Map<string, HubProgress>()
    await push(folder, repo, options({
      onProgress: (progress) => {
        expect(progress.loaded).toBeGreaterThanOrEqual(last.get(progress.file)?.loaded ?? 0)
        last.set(progress.file, progress)
      },
    }))
    expect([...last.values()].map(({ file, loaded, total }) => [file, loaded, total]).sort()).toEqual([['adapter_config.json', 20, 20], ['adapter_model.safetensors', 90_000, 90_000]])
  })

  it('goes to a branch of its own when told to', async () => {
    const folder = await makeFolder()
    await push(folder, repo, options())
    await push(folder, repo, options({ revision: 'v2' }))
    await push(folder, repo, options({ revision: 'v2', create: false }))
    expect(hub.commits.map(({ branch }) => branch)).toEqual(['main', 'v2', 'v2'])
    expect(Object.keys(filesAt(repo, 'v2'))).toHaveLength(2)
  })

  it.each([['api', 503], ['upload', 500], ['api', 429]] as const)('is pushed although the %s fails in passing with %i', async (name, status) => {
    hub.faults.set(name, { kind: 'status', status, times: 2 })
    await push(await makeFolder({ 'adapter_model.safetensors': bytes(25_000, status) }), repo, options())
    expect(hub.commits).toHaveLength(1)
  })

  it('sends the token to the Hub and not to the storage', async () => {
    await push(await makeFolder({ 'adapter_model.safetensors': bytes(15_000, 11) }), repo, options())
    const sent = (cdn: boolean): (string | undefined)[] => [...new Set(hub.seen.filter(({ path }) => path.startsWith('cdn:') === cdn).map(({ authorization }) => authorization))]
    expect([sent(false), sent(true)]).toEqual([[`Bearer ${hub.writer}`], [undefined]])
  })
})

describe('what is wrong is said before anything is sent', () => {
  it('a missing or mistaken token', async () => {
    const folder = await makeFolder()
    const how = `Make one on ${hub.endpoint}/settings/tokens, then set HF_TOKEN to it or run \`hf auth login\``
    const noToken = options({ token: undefined })
    expect((await failure(push(folder, repo, noToken))).message).toBe(`push: expected a token that may write, and there is none. ${how}`)
    expect((await failure(push(folder, repo, options({ token: 'mine' })))).message).toBe(`push: expected a token that may write, and what was given does not begin with "hf_". ${how}`)
    vi.stubEnv('HF_TOKEN', hub.writer)
    expect((await push(folder, repo, noToken)).commit).toMatch(/^[0-9a-f]{40}$/)
    expect(hub.commits).toHaveLength(1)
  })

  it('a name without a namespace, a folder of something else, and no network wanted', async () => {
    const folder = await makeFolder()
    await expect(push(folder, 'spam', options())).rejects.toThrow(new InputError('push: "spam": expected "namespace/name", with your account or organisation in front'))
    await expect(push(folder, '../x', options())).rejects.toThrow(InputError)
    await expect(push(inFolder('nowhere'), repo, options())).rejects.toThrow('nowhere: expected a folder')
    await mkdir(inFolder('other'), { recursive: true })
    await writeFile(inFolder('other', 'diary.txt'), 'x')
    await expect(push(inFolder('other'), repo, options())).rejects.toThrow('expected the folder of an adapter or a model, with adapter_config.json or config.json; it has diary.txt')
    expect((await failure(push(folder, repo, options({ offline: true })))).message).toBe('push: the Hub is not to be asked (offline): unset HF_HUB_OFFLINE')
    expect(hub.seen).toEqual([])
  })
})

describe('a refusal is said in words', () => {
  it.each<[string, PushOptions, string, number, RegExp]>([
    ['a token nobody knows', { token: 'hf_wrong' }, repo, 401, /^push: the Hub does not know the token \(Invalid credentials.*\)\. Make one on .*\/settings\/tokens and set HF_TOKEN to it$/],
    ['a token that may only read', { token: 'hf_reader' }, repo, 403, /^push: the token may not do this in me\/spam-lora \(you must use a write token\)\. It needs the permission to write there: /],
    ["somebody else's namespace", {}, 'others/spam', 403, /^push: the token may not do this in others\/spam \(You don't have the rights/],
    ['a repository that is not there', { create: false }, repo, 404, /^push: there is no model me\/spam-lora that the token may see\. Check the name; with \{ create: true \} it is made$/],
  ])('%s', async (_, more, id, status, text) => {
    const error = await failure(push(await makeFolder(), id, options(more)))
    expect(error.message).toMatch(text)
    expect(error.status).toBe(status)
    expect(hub.commits).toEqual([])
  })

  it('a branch that is not there', async () => {
    await push(await makeFolder(), repo, options())
    const error = await failure(push(await makeFolder(), repo, options({ revision: 'v3', create: false })))
    expect(error.message).toBe('push: me/spam-lora has no branch "v3". With { create: true } it is made')
  })

  it('a network that is gone', async () => {
    const error = await failure(push(await makeFolder(), repo, options({ endpoint: 'http://127.0.0.1:9' })))
    expect(error.message).toMatch(/^push: http:\/\/127\.0\.0\.1:9 cannot be reached: .*\. Check the connection, HF_ENDPOINT and the proxy, and push again: what has arrived is not sent twice$/)
  })

  it('a server that is not the Hub', async () => {
    const fetch = (): Promise<Response> => Promise.resolve(new Response('<html>', { status: 200 }))
    expect((await failure(push(await makeFolder(), repo, options({ fetch })))).message).toMatch(/^push: me\/spam-lora was not changed: .* did not answer as the Hub does: /)
  })

  it('content that changed on its way', async () => {
    const fetch: typeof globalThis.fetch = (input, init) => globalThis.fetch(input, init?.method === 'PUT' ? { ...init, body: 'other' } : init)
    const error = await failure(push(await makeFolder({ 'adapter_model.safetensors': bytes(12_000, 13) }), repo, options({ fetch })))
    expect(error.message).toContain('400: the content has another hash')
    expect(hub.commits).toEqual([])
  })

  it('an interruption by the caller stays that', async () => {
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    await expect(push(await makeFolder(), repo, options({ signal: controller.signal }))).rejects.toThrow('enough')
  })
})
