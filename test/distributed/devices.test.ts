import { mkdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { deviceOf } from '../../src/distributed/devices.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const devicesOf = (env: Readonly<Record<string, string>>, folder?: string): unknown => [0, 1, 2].map((worker) => deviceOf(worker, env, folder).CUDA_VISIBLE_DEVICES)

it('each worker of a machine has a GPU of its own, of those that are allowed or of all', () => {
  for (const gpu of ['0000:3b:00.0', '0000:af:00.0']) mkdirSync(temporary(`gpus/${gpu}`), { recursive: true })
  expect(devicesOf({ CUDA_VISIBLE_DEVICES: '4, GPU-8f1,2' })).toEqual(['4', 'GPU-8f1', '2'])
  expect(devicesOf({}, temporary('gpus'))).toEqual(['0', '1', '0'])
})

it('without a GPU, or where none is allowed, the environment stays as it is', () => {
  expect(devicesOf({}, temporary('nowhere'))).toEqual([undefined, undefined, undefined])
  expect(devicesOf({ CUDA_VISIBLE_DEVICES: '' })).toEqual([undefined, undefined, undefined])
  expect(devicesOf({ CUDA_VISIBLE_DEVICES: '-1' })).toEqual(['-1', '-1', '-1'])
})
