import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { CheckpointError } from '../../src/errors.ts'
import { readLatestCheckpoint, writeCheckpoint, type Checkpoint } from '../../src/training/checkpoint.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { valuesOf } from '../golden.ts'

const temporary = temporaryFolder()
let folder: string
let tests = 0
beforeEach(async () => {
  await loadEngine()
  folder = temporary(`run-${tests++}`)
})

async function write(step: number, options?: Parameters<typeof writeCheckpoint>[2], size = 4): Promise<void> {
  const tensors = { a: tf.fill([2, size / 2], step), 'b.c': tf.scalar(Math.PI) }
  await writeCheckpoint(folder, { step, state: { epoch: 1, note: 'ü' }, tensors }, options)
  tf.dispose(tensors)
}

async function latest(refused: string[] = []): Promise<Checkpoint<{ epoch: number; note: string }> | undefined> {
  const found = await readLatestCheckpoint<{ epoch: number; note: string }>(folder, (reason) => void refused.push(reason))
  tf.dispose(found?.tensors ?? {})
  return found
}

const names = (): string[] => readdirSync(folder).sort()
const file = (step: number): string => join(folder, `step-0000000${step}.safetensors`)

describe('a checkpoint', () => {
  it('comes back as it was written, and leaves no tensor behind', async () => {
    const before = tf.memory().numTensors
    await write(3)
    const found = await readLatestCheckpoint(folder, () => undefined)
    expect(found).toMatchObject({ step: 3, state: { epoch: 1, note: 'ü' } })
    expect(Object.entries(found?.tensors ?? {}).map(([name, tensor]) => [name, tensor.shape, [...valuesOf(tensor)]])).toEqual([
      ['a', [2, 2], [3, 3, 3, 3]],
      ['b.c', [], [Math.fround(Math.PI)]],
    ])
    tf.dispose(found?.tensors ?? {})
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is the newest by its step; a folder without any has none', async () => {
    expect(await latest()).toBeUndefined()
    for (const step of [2, 9, 1]) await write(step)
    writeFileSync(join(folder, 'step-x.safetensors'), '')
    expect((await latest())?.step).toBe(9)
  })

  it('makes the old ones go, and takes away what a killed writer left', async () => {
    mkdirSync(folder)
    writeFileSync(join(folder, '.step-00000001.safetensors.0123456789ab.tmp'), 'half')
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    for (const step of [1, 2, 3, 4, 5]) await write(step, { limit: 2 })
    expect(names()).toEqual(['notes.txt', 'step-00000004.safetensors', 'step-00000005.safetensors'])
  })
})

describe('a spoilt checkpoint', () => {
  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['cut short', (bytes) => bytes.subarray(0, bytes.length - 5)],
    ['empty', () => Buffer.alloc(0)],
    ['changed in one bit of a tensor', (bytes) => (bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1), bytes)],
    ['changed in its state', (bytes) => Buffer.from(bytes.toString('latin1').replace('epoch\\":1', 'epoch\\":2'), 'latin1')],
  ])('%s is passed over with its name, and the one before it is taken', async (_, spoil) => {
    await write(1)
    await write(2)
    writeFileSync(file(2), spoil(readFileSync(file(2))))
    const refused: string[] = []
    expect((await latest(refused))?.step).toBe(1)
    expect(refused).toEqual([expect.stringContaining(file(2)) as string])
  })

  it('among none that can be used is an error with all reasons', async () => {
    for (const step of [1, 2]) {
      await write(step)
      writeFileSync(file(step), 'x')
    }
    const error: unknown = await latest().catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as CheckpointError).problems).toHaveLength(2)
  })
})

const isMounted = (path: string, options: string): boolean => spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status === 0

describe('a checkpoint that cannot be written', () => {
  const mounts: string[] = []
  afterAll(() => mounts.forEach((path) => spawnSync('umount', [path])))

  it('for a full disk says so, and the one before it is still there', async ({ skip }) => {
    mkdirSync(folder)
    if (!isMounted(folder, 'size=64k')) skip('mounting a small disk needs rights that this process has not')
    mounts.push(folder)
    await write(1)
    await expect(write(2, {}, 100_000)).rejects.toThrow(/step-00000002\.safetensors cannot be written: ENOSPC.*make room/)
    expect(names()).toEqual(['step-00000001.safetensors'])
    expect((await latest())?.step).toBe(1)
  })

  it('into a folder that is read-only, or no folder, says so', async ({ skip }) => {
    writeFileSync(temporary('file'), '')
    folder = temporary('file')
    await expect(write(1)).rejects.toThrow(/cannot be written: (EEXIST|ENOTDIR)/)
    folder = temporary('read-only')
    mkdirSync(folder)
    chmodSync(folder, 0o500)
    if (process.getuid?.() === 0 && !isMounted(folder, 'ro')) skip('the rights of a folder do not bind this user')
    mounts.push(folder)
    await expect(write(1)).rejects.toThrow(/cannot be written: (EROFS|EACCES)/)
  })
})

describe('the hash of a checkpoint', () => {
  it.each([
    ['shape', '"shape":[2,2]', '"shape":[1,4]'],
    ['step in its metadata', '"step":"1"', '"step":"7"'],
    ['metadata besides', '"step":"1","', '"stop":"1","'],
  ])('covers the %s', async (_, from, to) => {
    await write(1)
    const bytes = readFileSync(file(1)).toString('latin1')
    expect(bytes).toContain(from)
    writeFileSync(file(1), Buffer.from(bytes.replace(from, to), 'latin1'))
    await expect(latest()).rejects.toThrow('its content is not what was written (SHA-256 differs)')
  })
})
