// What is wrong with an adapter is said in one error that lists all of it.

import { readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../src/base/adapter/attached.ts'
import type { Model } from '../src/base/model.ts'
import { CheckpointError, TargetError } from '../src/errors.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { closeModel, tinyModel } from './manage/models.ts'

const temporary = temporaryFolder()
let model: Model

beforeEach(async () => {
  model = await tinyModel()
})
afterEach(() => closeModel(model))

it('targets that the method cannot serve or the model does not have, together', () => {
  expect(() => attach(model, lora({ targets: ['LayerNorm', 'q_proj', 'query'] }))).toThrow(TargetError)
  expect(() => attach(model, lora({ targets: ['LayerNorm', 'q_proj', 'query'] }))).toThrow(/LayerNorm[^]*q_proj/)
  expect(adaptersOf(model)).toEqual([])
})

it('an adapter of other sizes: every tensor with both shapes', async () => {
  const adapter = attach(model, lora({ rank: 2, targets: ['query'] }))
  await adapter.save(temporary('wide'))
  detach(adapter)
  const config = JSON.parse(await readFile(temporary('wide', 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  await writeFile(temporary('wide', 'adapter_config.json'), JSON.stringify({ ...config, r: 3 }))
  const error: unknown = await loadAdapter(model, temporary('wide')).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(CheckpointError)
  expect((error as CheckpointError).problems).toHaveLength(2 * 3)
  expect((error as CheckpointError).problems[0]).toMatch(/query\.A: expected \[3, 32\], the file has \[2, 32\]$/)
  expect(adaptersOf(model)).toEqual([])
})
