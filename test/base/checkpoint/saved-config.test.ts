import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { configText, WITH_POINT } from '../../../src/base/checkpoint/saved-config.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()

it('settings that a class in transformers refuses integers for are written with a point, others as they are', async () => {
  const { floats } = JSON.parse(await readFile(goldenPath('settings.json'), 'utf8')) as { readonly floats: readonly string[] }
  expect(floats.filter((name) => !WITH_POINT.includes(name))).toEqual([])
  expect(configText({ final_logit_softcapping: 30, hidden_size: 30, rms_norm_eps: 1e-5, initializer_factor: 1, logit_scale_init_value: 4 })).toBe(
    '{\n  "final_logit_softcapping": 30.0,\n  "hidden_size": 30,\n  "rms_norm_eps": 0.00001,\n  "initializer_factor": 1.0,\n  "logit_scale_init_value": 4.0\n}\n')
})

it('a saved Gemma 2 has its caps as transformers takes them', async () => {
  const [source, saved] = [temporary('source'), temporary('saved')]
  await cp(goldenPath('relatives/gemma2_base'), source, { recursive: true })
  const config = await readFile(join(source, 'config.json'), 'utf8')
  await writeFile(join(source, 'config.json'), config.replace(/("(final|attn)_logit_softcapping":) [\d.]+/g, '$1 30.0'))
  const model = await loadModel(source)
  await model.save(saved)
  expect((await readFile(join(saved, 'config.json'), 'utf8')).match(/_logit_softcapping": 30\.0,/g)).toHaveLength(2)
  model.dispose()
})
