// Files of settings come from strangers: what is no JSON, or more than any settings are, is one error with the file.

import { cp, mkdir, truncate, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readJsonFile, readJsonObject } from '../../../src/base/files/json-file.ts'
import { membersOf, parseStrictJson } from '../../../src/base/files/strict-json.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { CheckpointError } from '../../../src/errors.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { goldenPath } from '../../golden.ts'
import { closeModel, tinyModel } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()
const deep = `{"a": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`

let model: Model
beforeAll(async () => {
  model = await tinyModel()
})
afterAll(() => closeModel(model))

describe('a file of settings', () => {
  it.each([
    ['nested very deep', deep, 'nested more than 64 levels deep'],
    ['with a name given twice', '{"a": 1, "a": 2}', 'the name "a" is given twice'],
    ['that changes what all objects have', '{"__proto__": {}}', '"__proto__" is not accepted as a name'],
    ['not in UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'The encoded data was not valid for encoding utf-8'],
  ])('%s is refused with its path and the reason', async (_what, content, reason) => {
    const path = inFolder('config.json')
    await writeFile(path, content)
    expect(() => readJsonFile(path, "a model's configuration")).toThrow(new CheckpointError(`${path} is not valid JSON: ${reason}. Expected a model's configuration.`))
  })

  it('that is a folder, larger than any, or none at all is said to be so', async () => {
    await mkdir(inFolder('folder.json'))
    expect(() => readJsonFile(inFolder('folder.json'), 'settings')).toThrow(new CheckpointError(`${inFolder('folder.json')} is not valid JSON: it is a folder. Expected settings.`))
    await writeFile(inFolder('huge.json'), '')
    await truncate(inFolder('huge.json'), 2 ** 28 + 1)
    expect(() => readJsonFile(inFolder('huge.json'), 'settings')).toThrow(`it has ${2 ** 28 + 1} bytes, the most are ${2 ** 28}`)
    expect(readJsonFile(inFolder('none.json'), 'settings')).toBeUndefined()
    expect(() => readJsonObject(inFolder('none.json'), 'settings')).toThrow(new CheckpointError(`${inFolder('none.json')}: expected settings. There is no such file.`))
  })

  it.each([
    ['config.json', (folder: string) => loadModel(folder)],
    ['modules.json', (folder: string) => loadModel(folder, { task: 'sentence-embedding' })],
    ['adapter_config.json', (folder: string) => loadAdapter(model, folder)],
    ['tokenizer.json', loadTokenizer],
    ['tokenizer_config.json', loadTokenizer],
    ['special_tokens_map.json', loadTokenizer],
  ])('%s that is nested very deep is an error that names it', async (name, load) => {
    const folder = inFolder(`with-${name}`)
    await cp(goldenPath('lora/base'), folder, { recursive: true })
    await writeFile(`${folder}/tokenizer.json`, '{}')
    await writeFile(`${folder}/${name}`, deep)
    const error: unknown = await load(folder).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as Error).message).toMatch(/^.* is not valid JSON: nested more than 64 levels deep\. Expected .*\.$/)
    expect((error as Error).message).toContain(`${folder}/${name}`)
  })
})

it.each(['../elsewhere', '1_Pooling/../../elsewhere', '/elsewhere', '..'])('the settings of a pooling outside the model\'s folder (%s) are not read', async (path) => {
  const folder = inFolder('encoder')
  await cp(goldenPath('lora/base'), folder, { recursive: true })
  for (const place of [inFolder('elsewhere'), inFolder()]) {
    await mkdir(place, { recursive: true })
    await writeFile(`${place}/config.json`, '{"pooling_mode_cls_token": true}')
  }
  const modules = [{ path: '', type: 'sentence_transformers.models.Transformer' }, { path, type: 'sentence_transformers.models.Pooling' }]
  await writeFile(`${folder}/modules.json`, JSON.stringify(modules))
  await expect(loadModel(folder, { task: 'sentence-embedding' })).rejects.toThrow(new CheckpointError(
    `${folder}/modules.json: expected folders within the model's own, got others, which are not read:`, [JSON.stringify(path)]))
})

describe('the strict reader', () => {
  it('gives the members of an object one by one as it gives the whole', () => {
    for (const text of ['{}', ' { } ', '{"a": 1}', '{"a":{"b":[1,"}"],"c":"\\"}"} , "ü\\u0041" : [ ] }\n', '{"":null,"x":-1.5e3}']) {
      expect(Object.fromEntries(Array.from(membersOf(text, 9), ([name, value]) => [name, JSON.parse(value) as unknown]))).toEqual(parseStrictJson(text, 9))
    }
  })

  it.each(['', '{', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{,}', '{"a" 1}', '{a:1}', '{"a":1} x', '{"a":1}}', '[1]', '{"a":1 "b":2}', '{"a', '{"a":1,"a":2}', '{"__proto__":1}', '{"a":[[1]]}'])(
    'refuses %j either way', (text) => {
      const members = (): unknown[] => Array.from(membersOf(text, 2), ([, value]) => parseStrictJson(value, 1))
      expect(members).toThrow(SyntaxError)
      if (text !== '[1]') expect(() => parseStrictJson(text, 2)).toThrow(SyntaxError)
    })
})
