import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HubError } from '../../src/errors.ts'
import { hubDataset, type HubDatasetOptions } from '../../src/data/hub-dataset.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath } from '../golden.ts'
import { startHub, type HubServer } from '../hub-server.ts'
import { allRows } from './rows.ts'

const temporary = temporaryFolder()
const parquet = readFileSync(goldenPath('data/snappy.parquet'))
const lines = (...labels: readonly number[]): Buffer => Buffer.from(labels.map((label) => JSON.stringify({ label })).join('\n'))

let hub: HubServer
beforeAll(async () => {
  const commit = 'a'.repeat(40)
  const repo = (files: Record<string, Buffer>): HubServer['repos'][string] => ({ refs: { main: commit }, commits: { [commit]: files } })
  hub = await startHub({
    'org/parts': repo({
      'README.md': Buffer.from('# about training'),
      'data/train-00000-of-00002.jsonl': lines(0, 1),
      'data/train-00001-of-00002.jsonl.gz': gzipSync(lines(2)),
      'data/dev.jsonl': lines(3),
      'data/constraints.jsonl': lines(9), // "train" within a word
    }),
    'org/subsets': repo({
      'mrpc/train-00000-of-00001.parquet': parquet,
      'cola/train-00000-of-00001.parquet': parquet,
      'cola/train.csv': Buffer.from('label\n1\n'),
      'cola/test.tsv': Buffer.from('text\tlabel\na\t1\n'),
    }),
  })
})
afterAll(async () => await hub.close())

const load = async (id: string, options: HubDatasetOptions = {}): Promise<unknown[]> =>
  await allRows(await hubDataset(id, { endpoint: hub.endpoint, cacheFolder: temporary('cache'), ...options }))
const labels = async (id: string, options?: HubDatasetOptions): Promise<unknown[]> =>
  (await load(id, options)).map((row) => (row as { label: unknown }).label)

it('a split of a data set on the Hub is the rows of its files, one file after the other', async () => {
  expect(await labels('org/parts')).toEqual([0, 1, 2])
  expect(await labels('org/parts', { split: 'validation' })).toEqual([3])
  expect(await labels('org/parts', { split: 'constraints' })).toEqual([9])
})

it('a subset is the folder of its name, and Parquet is taken before copies in other formats', async () => {
  expect(await labels('org/subsets', { config: 'cola' })).toHaveLength(10)
  expect(await labels('org/subsets')).toHaveLength(20)
  expect(await load('org/subsets', { config: 'cola', split: 'test' })).toEqual([{ text: 'a', label: '1' }])
})

it('a split that is not there is an error with what there is', async () => {
  await expect(load('org/parts', { split: 'test' })).rejects.toThrow(/org\/parts: expected parquet, jsonl, csv, tsv files of split "test", found none\. It has README\.md, .*dev\.jsonl/)
  await expect(load('org/subsets', { config: 'sst2' })).rejects.toThrow('files of split "train" of "sst2", found none')
  await expect(load('org/none')).rejects.toThrow(HubError)
})

it('what has been downloaded is read without a connection', async () => {
  const before = await labels('org/parts')
  hub.seen.length = 0
  expect(await labels('org/parts', { offline: true })).toEqual(before)
  expect(await labels('org/parts', { endpoint: 'http://127.0.0.1:9', retryDelay: 1 })).toEqual(before)
  expect(hub.seen).toEqual([])
  await expect(load('org/other', { offline: true })).rejects.toThrow(/org\/other: the repository at revision "main" is not in the cache/)
})
