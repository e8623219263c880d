import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attend } from '../../../src/base/ops/attention.ts'
import { MASKED, type AttentionCall } from '../../../src/base/ops/attention-call.ts'
import { InputError } from '../../../src/errors.ts'
import { differentiate, eachForm, numbers, relativeDifference } from './forms.ts'

type Settings = Omit<AttentionCall, 'q' | 'k' | 'v' | 'bias' | 'sinks' | 'borders'>
type Inputs = Readonly<Record<string, Tensor>>

const [H, G, D] = [4, 2, 20]
const LENGTHS = [5, 1, 40, 17]
const BORDERS = [0, 5, 6, 46, 63]
const B = LENGTHS.length

const callOf = ({ q, k, v, bias, sinks }: Inputs, settings: Settings): AttentionCall => ({
  q: q as Tensor4D, k: k as Tensor4D, v: v as Tensor4D, bias: bias as Tensor4D | undefined, sinks: sinks as Tensor1D | undefined, ...settings,
})

const between = (settings: Settings) => (inputs: Inputs): Tensor => attend({ ...callOf(inputs, settings), borders: BORDERS })

const rowsOf = (x: Tensor, first: number, count: number): Tensor => tf.slice(x, [0, first, 0, 0], [1, count, x.shape[2] ?? 0, x.shape[3] ?? 0])

/** Each row attended by itself: its value, and the gradients put together. */
function oneByOne({ q, k, v, bias, sinks }: Inputs, settings: Settings, extra: number, dy: Tensor): ReturnType<typeof differentiate> {
  const y: Tensor[] = []
  const grads: Record<string, Tensor[]> = {}
  for (const [row, T] of LENGTHS.entries()) {
    const [first, K] = [BORDERS[row] ?? 0, T + extra]
    const keys = (x: Tensor | undefined): Tensor => rowsOf(x as Tensor, first + row * extra, K)
    const of = bias?.shape[0] === 1 ? 0 : row
    const own: Inputs = {
      q: rowsOf(q as Tensor, first, T), k: keys(k), v: keys(v),
      ...(bias === undefined ? {} : { bias: tf.slice(bias as Tensor4D, [of, 0, 0, 0], [1, H, T, K]) }),
      ...(sinks === undefined ? {} : { sinks }),
    }
    const found = differentiate((inputs: Inputs) => attend(callOf(inputs, settings)), own, rowsOf(dy, first, T))
    y.push(tf.tensor(found.y, [1, T, H, D]))
    for (const [name, values] of Object.entries(found.grads)) {
      const grad = tf.tensor(values, own[name]?.shape)
      const placed = name !== 'bias' ? grad : tf.pad(grad, (bias as Tensor).shape.map((size, axis): [number, number] => (axis === 0 ? [of, size - of - 1] : [0, size - (grad.shape[axis] ?? 0)])))
      grads[name] = [...(grads[name] ?? []), placed]
    }
  }
  const joined = (name: string, parts: Tensor[]): Tensor => (name === 'bias' || name === 'sinks' ? tf.addN(parts) : tf.concat(parts, 1))
  return {
    y: tf.concat(y, 1).dataSync<'float32'>(),
    grads: Object.fromEntries(Object.entries(grads).map(([name, parts]) => [name, joined(name, parts).dataSync<'float32'>()])),
  }
}

interface Case {
  readonly name: string
  readonly settings: Settings
  /** Keys of each row before those of its tokens. */
  readonly extra: number
  readonly more?: readonly ('shared bias' | 'bias' | 'sinks')[]
}

const CASES: readonly Case[] = [
  { name: 'all that there is', settings: { scale: 0.3 }, extra: 0 },
  { name: 'causal', settings: { scale: 0.3, causal: true }, extra: 0 },
  { name: 'keys before those of the tokens', settings: { scale: 0.3 }, extra: 3 },
  { name: 'causal, keys before those of the tokens', settings: { scale: 0.3, causal: true }, extra: 3 },
  { name: 'a window', settings: { scale: 0.3, window: 4 }, extra: 0 },
  { name: 'causal within a window', settings: { scale: 0.3, causal: true, window: 4 }, extra: 3 },
  { name: 'a cap and sinks', settings: { scale: 0.3, cap: 2, causal: true }, extra: 0, more: ['sinks'] },
  { name: 'a bias of all', settings: { scale: 0.3 }, extra: 3, more: ['shared bias'] },
  { name: 'a bias of each', settings: { scale: 0.3 }, extra: 0, more: ['bias', 'sinks'] },
]

eachForm('attention between borders', (form) => {
  it.each(CASES)('is that of each row by itself, forward and back: $name', ({ settings, extra, more = [] }) => {
    const inputs: Inputs = {
      q: numbers([1, 63, H, D], 1), k: numbers([1, 63 + B * extra, G, D], 2), v: numbers([1, 63 + B * extra, G, D], 3),
      ...(more.includes('shared bias') ? { bias: numbers([1, H, 41, 41 + extra], 4) } : {}),
      ...(more.includes('bias') ? { bias: numbers([B, H, 40, 40 + extra], 4) } : {}),
      ...(more.includes('sinks') ? { sinks: numbers([H], 5) } : {}),
    }
    const dy = numbers([1, 63, H, D], 6)
    const expected = oneByOne(inputs, settings, extra, dy)
    const found = differentiate(between(settings), inputs, dy)
    expect(relativeDifference(found.y, expected.y)).toBeLessThan(2e-6)
    for (const [name, grad] of Object.entries(found.grads)) expect(relativeDifference(grad, expected.grads[name] ?? []), name).toBeLessThan(3e-6)
  })

  it('drops what it would drop of padded rows', () => {
    const [q, k, v] = [1, 2, 3].map((seed) => numbers([1, 63, H, D], seed)) as [Tensor4D, Tensor4D, Tensor4D]
    const settings: Settings = { scale: 0.3, dropout: { rate: 0.3, seed: [7, 8] } }
    const padded = (x: Tensor4D): Tensor4D => tf.concat<Tensor4D>(LENGTHS.map((T, row) => tf.pad(rowsOf(x, BORDERS[row] ?? 0, T) as Tensor4D, [[0, 0], [0, 40 - T], [0, 0], [0, 0]])))
    const keyBias = tf.tensor2d(LENGTHS.map((T) => Array.from({ length: 40 }, (_, j) => (j < T ? 0 : MASKED))))
    const all = attend({ q: padded(q), k: padded(k), v: padded(v), keyBias, ...settings })
    const expected = tf.concat(LENGTHS.map((T, row) => tf.slice(all, [row, 0, 0, 0], [1, T, H, D])), 1)
    expect(relativeDifference(attend({ q, k, v, ...settings, borders: BORDERS }).dataSync(), expected.dataSync())).toBeLessThan(2e-6)
  })

  if (form === 'composed') {
    it('says which borders do not fit', () => {
      const x = numbers([1, 6, H, D], 1) as Tensor4D
      expect(() => attend({ q: x, k: x, v: x, scale: 1, borders: [0, 2, 7] })).toThrow(InputError)
    })
  }
})
