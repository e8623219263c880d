import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { jsonWithFloats, wholeFloats } from '../../../src/base/files/whole-floats.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()

it('floats without a fraction are found by their names, at any depth', () => {
  const json = '{"cap": 30.0, "theta":1e4, "rope": {"factor" : -2.00, "n": 3}, "size": 30, "eps": 1e-5, "half": 0.5, "text": "\\"x\\": 1.0", "list": [1.0]}'
  expect([...wholeFloats(json)]).toEqual(['cap', 'theta', 'factor'])
})

it('JSON has them as floats again, and integers as integers', () => {
  expect(jsonWithFloats({ cap: 30, size: 30, half: 0.5, rope: { cap: -2 }, none: null }, new Set(['cap', 'half']))).toBe(
    '{\n  "cap": 30.0,\n  "size": 30,\n  "half": 0.5,\n  "rope": {\n    "cap": -2.0\n  },\n  "none": null\n}')
})

it('a saved model has the floats of its config.json: transformers refuses a Gemma 2 whose cap is 30 and not 30.0', async () => {
  const [source, saved] = [temporary('source'), temporary('saved')]
  await cp(goldenPath('relatives/gemma2_base'), source, { recursive: true })
  const config = await readFile(join(source, 'config.json'), 'utf8')
  await writeFile(join(source, 'config.json'), config.replace(/("(final|attn)_logit_softcapping":) [\d.]+/g, '$1 30.0'))
  const model = await loadModel(source)
  await model.save(saved)
  const written = await readFile(join(saved, 'config.json'), 'utf8')
  expect(written).toContain('"final_logit_softcapping": 30.0,')
  expect(written).toContain('"attn_logit_softcapping": 30.0,')
  model.dispose()
})
