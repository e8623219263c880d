import { mkdir, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { CheckpointError } from '../../../src/errors.ts'
import { openCheckpoint } from '../../../src/base/checkpoint/checkpoint.ts'
import { writeSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import type { TensorToWrite } from '../../../src/base/checkpoint/safetensors.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()

const one = (name: string, value: number): TensorToWrite => ({ name, dtype: 'F32', shape: [1], data: Float32Array.of(value) })

let count = 0

/** A fresh folder with shards (file name to tensor names) and an index. */
async function sharded(shards: Record<string, readonly string[]>, index: unknown): Promise<string> {
  const folder = inFolder(`sharded${count++}`)
  await mkdir(folder)
  let value = 0
  for (const [file, names] of Object.entries(shards)) {
    await writeSafetensors(`${folder}/${file}`, names.map((name) => one(name, value++)), { format: 'pt' })
  }
  await writeFile(`${folder}/model.safetensors.index.json`, typeof index === 'string' ? index : JSON.stringify(index))
  return folder
}

describe('openCheckpoint', () => {
  it('reads a folder with one file, or the file by its path', async () => {
    const folder = inFolder('single')
    await mkdir(folder)
    await writeSafetensors(`${folder}/model.safetensors`, [one('a', 7)])
    await writeFile(`${folder}/model.safetensors.index.json`, 'not looked at')
    for (const path of [folder, `${folder}/model.safetensors`]) {
      const checkpoint = await openCheckpoint(path)
      expect((await checkpoint.read('a')).data).toEqual(Float32Array.of(7))
      await checkpoint.close()
    }
  })

  it('reads shards as if they were one file', async () => {
    const folder = await sharded({ '1.safetensors': ['a', 'b'], '2.safetensors': ['c'] }, {
      metadata: { total_size: 12 }, weight_map: { a: '1.safetensors', c: '2.safetensors', b: '1.safetensors' },
    })
    const checkpoint = await openCheckpoint(folder)
    expect([...checkpoint.entries.keys()].sort()).toEqual(['a', 'b', 'c'])
    expect(checkpoint.metadata['format']).toBe('pt')
    expect((await checkpoint.read('c')).data).toEqual(Float32Array.of(2))
    await expect(checkpoint.read('d')).rejects.toThrow('model.safetensors.index.json has no tensor "d"')
    await checkpoint.close()
    await expect(checkpoint.read('a')).rejects.toThrow('1.safetensors is closed')
  })

  it('lists every difference between the index and the shards', async () => {
    const folder = await sharded({ '1.safetensors': ['a', 'b', 'extra'], '2.safetensors': ['b'] }, {
      weight_map: { a: '1.safetensors', b: '1.safetensors', gone: '2.safetensors' },
    })
    const error = (await openCheckpoint(folder).catch((thrown: unknown) => thrown)) as CheckpointError
    expect(error).toBeInstanceOf(CheckpointError)
    expect(error.message).toContain(`${folder}/model.safetensors.index.json does not fit its shards\n`)
    expect(error.problems).toEqual([
      'tensor "gone" is not in its shard 2.safetensors',
      'tensor "extra" of shard 1.safetensors is not in the index',
      'tensor "b" is in shard 2.safetensors too, the index says 1.safetensors',
    ])
  })

  it('names the shards that are missing or damaged', async () => {
    const folder = await sharded({}, { weight_map: { a: '1.safetensors', b: '2.safetensors' } })
    await writeFile(`${folder}/2.safetensors`, 'short')
    await expect(openCheckpoint(folder)).rejects.toThrow(/shard 1.safetensors: .* cannot be opened: ENOENT/)
    await expect(openCheckpoint(folder)).rejects.toThrow(/shard 2.safetensors: .* is not a valid safetensors file/)
  })

  it.each(['../1.safetensors', '/etc/1.safetensors', 'sub/1.safetensors', '..\\1.safetensors', 'C:1.safetensors', 'pytorch_model.bin', 5])(
    'refuses the shard name %j', async (file) => {
      const folder = await sharded({}, { weight_map: { a: file } })
      await expect(openCheckpoint(folder)).rejects.toThrow(
        `tensor "a": expected the name of a .safetensors file in the same folder, got ${JSON.stringify(file)}`)
    })

  it.each([
    ['{', 'is not a valid index: '],
    ['{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}', 'is not a valid index: the name "a" is given twice'],
    ['{"weight_map": []}', 'is not a valid index: expected an object "weight_map" from tensor to file'],
    ['null', 'is not a valid index: expected an object "weight_map" from tensor to file'],
  ])('refuses the index %s', async (index, reason) => {
    await expect(openCheckpoint(await sharded({}, index))).rejects.toThrow(reason)
  })

  it('says what to do when there are only pickled weights, or none', async () => {
    const folder = inFolder('pickled')
    await mkdir(folder)
    await expect(openCheckpoint(folder)).rejects.toThrow('expected model.safetensors or model.safetensors.index.json, got an empty folder')
    await writeFile(`${folder}/config.json`, '{}')
    await expect(openCheckpoint(folder)).rejects.toThrow('model.safetensors.index.json, got config.json')
    await writeFile(`${folder}/pytorch_model.bin`, '')
    await expect(openCheckpoint(folder)).rejects.toThrow(
      'has its weights in pytorch_model.bin, a Python pickle, which can run code when it is read. Convert it once in Python: ')
    await expect(openCheckpoint(`${folder}/none`)).rejects.toThrow('cannot be opened: ENOENT')
  })
})
