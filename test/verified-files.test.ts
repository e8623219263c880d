// docs/verified-files.md says what is refused. Each of its lines is provoked, by a test here or elsewhere.

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openSafetensors, writeSafetensors } from '../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { CheckpointError, PeftError } from '../src/errors.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { goldenPath } from './golden.ts'
import { closeModel, tinyModel } from './manage/models.ts'

const root = join(import.meta.dirname, '..')
const temporary = temporaryFolder()

/** By the first words of each line of the page: the tests, as `file: name`. */
const PROVOKED: Readonly<Record<string, readonly string[]>> = {
  'The size and the SHA-256': [
    'base/hub/download.test.ts: %s with other content %s is deleted and reported',
    'base/hub/download.test.ts: is reported when the file is longer or shorter than announced',
  ],
  'A download that breaks off': [
    'base/hub/download.test.ts: goes on where the connection broke, without limit while it makes progress',
    'base/hub/download.test.ts: continues the part of an earlier run, and starts over when that part is bad',
    'base/hub/download.test.ts: one killed in the middle leaves a part that the next one continues at once',
  ],
  'Names that would lead outside': [
    'base/hub/download.test.ts: that a repository lists and that lead outside are refused when they are wanted',
    'base/hub/download.test.ts: a revision %j is refused',
  ],
  'Pickled weights': ['base/checkpoint/checkpoint.test.ts: says what to do when there are only pickled weights, or none'],
  'The header is UTF-8': ['base/checkpoint/safetensors.test.ts: %s: is refused with the reason'],
  'Each tensor’s type': [
    'base/checkpoint/safetensors.test.ts: %s: is refused with the reason',
    'base/checkpoint/safetensors.test.ts: damaged anywhere is refused with a CheckpointError or gives tensors that lie within the file',
  ],
  'Of several shards': [
    'base/checkpoint/checkpoint.test.ts: lists every difference between the index and the shards',
    'base/checkpoint/checkpoint.test.ts: names the shards that are missing or damaged',
  ],
  'Every key of the checkpoint': [
    'base/checkpoint/load.test.ts: lists every missing, unexpected and mis-shaped tensor in one error, and keeps nothing',
    'base/checkpoint/load.test.ts: does not make up half a head',
  ],
  'A model type, an activation': [
    'base/checkpoint/load.test.ts: names the models it supports when this is none of them',
    'base/checkpoint/load.test.ts: lists everything that is wrong in config.json',
    'verified-files.test.ts: a model whose config.json says %j is refused',
  ],
  'Every field of generation_config.json': [
    'base/generate/generation-config.test.ts: are each done, refused or without effect, and nothing else is in the lists',
    'base/generate/generation-config.test.ts: is refused with everything that is wrong, and can be left out',
  ],
  'Every tensor of the method': ['verified-files.test.ts: an adapter that lacks a tensor and has one too many is refused with both'],
  'Settings nobody here knows': ['lora/file-format.test.ts: that nobody knows are reported, kept, and written again'],
  'A SHA-256 over all of it': ['training/checkpoint.test.ts: %s is passed over with its name, and the one before it is taken'],
  'The settings, the rows': ['training/resume.test.ts: refuses the checkpoints of another training with every difference, before anything changes'],
}

it('each line of docs/verified-files.md has tests that provoke what it says', async () => {
  const page = await readFile(join(root, 'docs/verified-files.md'), 'utf8')
  const lines = [...page.matchAll(/^- (.*)$/gm)].map(([, text = '']) => text.replaceAll("'", '’'))
  expect({
    unproven: lines.filter((line) => !Object.keys(PROVOKED).some((words) => line.startsWith(words))),
    unsaid: Object.keys(PROVOKED).filter((words) => !lines.some((line) => line.startsWith(words))),
  }).toEqual({ unproven: [], unsaid: [] })
  for (const test of Object.values(PROVOKED).flat()) {
    const [, file = '', name = ''] = /^(\S+): (.*)$/.exec(test) ?? []
    expect(await readFile(join(root, 'test', file), 'utf8'), test).toMatch(`'${name}'`)
  }
})

it.each<[object, string]>([
  [{ hidden_act: 'softplus' }, 'bert/base'],
  [{ hidden_act: 'xielu' }, 'llama/causal_lm'],
  [{ rope_parameters: { rope_type: 'proportional', rope_theta: 10000 } }, 'llama/causal_lm'],
])('a model whose config.json says %j is refused', async (change, model) => {
  const folder = temporary(Object.entries(change).flat().map(String).join())
  await cp(goldenPath(model), folder, { recursive: true })
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...change }))
  const error: unknown = await loadModel(folder).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(PeftError)
  expect((error as PeftError).message).toMatch(/expected .* got ['"](softplus|xielu|proportional)['"]/)
})

it('an adapter that lacks a tensor and has one too many is refused with both', async () => {
  const folder = temporary('adapter')
  await cp(goldenPath('lora_family/dora/adapter'), folder, { recursive: true })
  const path = join(folder, 'adapter_model.safetensors')
  const file = await openSafetensors(path)
  const [first = '', ...others] = file.entries.keys()
  const tensors = await Promise.all([...others, first].map(async (name) => ({ name: name === first ? `${first}.twin` : name, ...(await file.read(name)) })))
  await file.close()
  await writeSafetensors(path, tensors)
  const model = await tinyModel()
  try {
    const error: unknown = await loadAdapter(model, folder).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as CheckpointError).problems).toEqual([expect.stringContaining(`unexpected: ${first.replace('base_model.model.', '')}.twin`), expect.stringContaining('missing: ')])
  } finally {
    closeModel(model)
  }
})
