// A clone without `git lfs pull` has a few lines in place of each large file.

import { cp, mkdir, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { createImageProcessor } from '../src/base/image/processor.ts'
import { loadTokenizer } from '../src/base/tokenizer/tokenizer.ts'
import { csv } from '../src/data/csv.ts'
import type { Dataset } from '../src/data/dataset.ts'
import { json } from '../src/data/json.ts'
import { jsonLines } from '../src/data/json-lines.ts'
import { parquet } from '../src/data/parquet.ts'
import { CheckpointError, InputError } from '../src/errors.ts'
import { goldenPath } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const inFolder = temporaryFolder()
const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 90868376\n`
const told = 'it is a pointer of Git LFS, a few lines in place of the file. Fetch the file, git lfs install and git lfs pull in its clone, or download it again.'

it('a pointer in place of weights and of settings is said to be one', async () => {
  await cp(goldenPath('bert/base'), inFolder('model'), { recursive: true })
  await writeFile(inFolder('model/model.safetensors'), pointer)
  await expect(loadModel(inFolder('model'))).rejects.toThrow(new CheckpointError(`${inFolder('model/model.safetensors')}: ${told}`))
  await mkdir(inFolder('tokenizer'))
  await writeFile(inFolder('tokenizer/tokenizer.json'), pointer)
  await expect(loadTokenizer(inFolder('tokenizer'))).rejects.toThrow(new CheckpointError(`${inFolder('tokenizer/tokenizer.json')} is not valid JSON: ${told} Expected a tokenizer.`))
})

it.each<[string, (path: string) => Dataset]>([['rows.parquet', parquet], ['rows.csv', csv], ['rows.csv.gz', csv], ['rows.jsonl', jsonLines], ['rows.json', json]])('a pointer in place of %s is said to be one', async (name, read) => {
  await writeFile(inFolder(name), pointer)
  await expect(read(inFolder(name)).rows()[Symbol.asyncIterator]().next()).rejects.toThrow(new InputError(`${inFolder(name)}: ${told}`))
})

it('a pointer in place of a picture is said to be one', async () => {
  const processor = createImageProcessor({ size: { height: 8, width: 8 }, image_processor_type: 'ViTImageProcessor' })
  await writeFile(inFolder('cat.jpg'), pointer)
  await expect(processor.encode([inFolder('cat.jpg')])).rejects.toThrow(told.slice(0, -1))
})
