// The command against a server that speaks the Hub's protocol for uploads.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { pushCommand } from '../../src/cli/commands/push.ts'
import { startHub, type HubServer } from '../hub-server.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
let hub: HubServer

beforeEach(async () => {
  hub = await startHub({})
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN_PATH']) vi.stubEnv(name, undefined)
  for (const [name, value] of Object.entries({ HF_HOME: temporary('home'), HF_ENDPOINT: hub.endpoint, HF_TOKEN: hub.writer })) vi.stubEnv(name, value)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  await hub.close()
})

/** What a run of train leaves, and which of its files the command uploads. */
async function pushed(...flags: string[]): Promise<{ readonly code: number; readonly printed: string; readonly files: readonly string[] }> {
  const folder = temporary('spam')
  await mkdir(join(folder, '.checkpoints'), { recursive: true })
  const files = { 'adapter_config.json': '{"peft_type":"LORA"}', 'adapter_model.safetensors': 'tensors', 'report.html': 'rows', 'events.jsonl': '{}', 'job.json': '{}', '.checkpoints/step-1.safetensors': 'x' }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  let printed = ''
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => void (printed += String(text)))
  const code = await pushCommand([folder, 'me/spam-lora', '--create', ...flags])
  const repo = hub.repos['me/spam-lora']
  return { code, printed, files: Object.keys(repo?.commits[repo.refs['main'] ?? ''] ?? {}).filter((name) => name !== '.gitattributes').sort() }
}

it('push uploads an adapter without what shows rows of the data, and prints where it is', async () => {
  const { code, printed, files } = await pushed()
  expect(code).toBe(0)
  expect(printed).toContain('me/spam-lora')
  expect(files).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
})

it('push uploads the report too where it is asked for, and checkpoints never', async () => {
  const { files } = await pushed('--with-report')
  expect(files).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'events.jsonl', 'job.json', 'report.html'])
})
