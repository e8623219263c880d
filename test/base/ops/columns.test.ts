import type { Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { columns } from '../../../src/base/ops/columns.ts'
import { differentiate, numbers } from './forms.ts'

it('takes columns, and gives their gradient to them alone', () => {
  const x = numbers([2, 4], 1) as Tensor2D
  const dy = numbers([2, 2], 2)
  const { y, grads } = differentiate((given) => columns(given.x, 1, 2), { x }, dy)
  const [given, [a, b, c, d]] = [x.dataSync(), dy.dataSync() as unknown as [number, number, number, number]]
  expect([...y]).toEqual([given[1], given[2], given[5], given[6]])
  expect([...(grads['x'] ?? [])]).toEqual([0, a, b, 0, 0, c, d, 0])
})
