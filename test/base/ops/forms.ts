// What the tests of operations share: each runs in the composed form and in the fused form of every instruction set that
// this processor has.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { op } from '../../../src/base/autodiff/tape.ts'
import { nativeInstructionSets, useNative } from '../../../src/base/engine/native.ts'
import { randomStream } from '../../../src/base/random.ts'

await loadEngine()

/** The fused forms there are; none where the kernels were not compiled. */
export const fusedForms: readonly string[] = nativeInstructionSets()

/** Runs `tests` once for each form. */
export function eachForm(name: string, tests: (form: string) => void): void {
  describe.each(['composed', ...fusedForms])(`${name} (%s)`, (form) => {
    beforeAll(() => useNative(form === 'composed' ? undefined : form))
    afterAll(() => useNative(fusedForms[0]))
    tests(form)
  })
}

/** Numbers from −2 to 2 that depend on `seed` alone. */
export function numbers(shape: readonly number[], seed: number): Tensor {
  const draw = randomStream(seed, 'numbers')
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (draw() / 2 ** 32) * 4 - 2), [...shape])
}

/** Tensors by name. */
export type Named<I> = { readonly [name in keyof I]: Tensor }

export interface Differentiated {
  readonly y: Float32Array
  /** d sum(y · dy) / d input, by the inputs' names. */
  readonly grads: Readonly<Record<string, Float32Array>>
}

/** Value and gradients by the library's own backward pass; only inputs in `wanted` are differentiated by. */
export function differentiate<I extends Named<I>>(
  f: (inputs: I) => Tensor,
  inputs: I,
  dy: Tensor,
  wanted: readonly (keyof I)[] = Object.keys(inputs) as (keyof I)[],
): Differentiated {
  const before = tf.memory().numTensors
  const variables: Record<string, Variable> = Object.fromEntries(wanted.map((name) => [name, tf.variable(inputs[name])]))
  let y: Float32Array = new Float32Array()
  const { value, grads } = valueAndGrads(() => {
    const output = f({ ...inputs, ...variables })
    y = output.dataSync<'float32'>().slice()
    return op([output], () => tf.sum<Scalar>(tf.mul(output, dy)), (d) => [tf.mul(d, dy)])
  }, variables)
  const results = Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, grad.dataSync() as Float32Array]))
  tf.dispose([value, ...Object.values(grads), ...Object.values(variables)])
  expect(tf.memory().numTensors).toBe(before)
  return { y, grads: results }
}

/** The same by tfjs's tape, for a function in plain tfjs operations. */
export function differentiateByTfjs<I extends Named<I>>(f: (inputs: I) => Tensor, inputs: I, dy: Tensor): Differentiated {
  const names = Object.keys(inputs) as (keyof I)[]
  const call = (...tensors: Tensor[]): Tensor => f(Object.fromEntries(names.map((name, i) => [name, tensors[i]])) as I)
  return tf.tidy(() => {
    const grads = tf.grads(call)(names.map((name) => inputs[name]), dy)
    return {
      y: f(inputs).dataSync() as Float32Array,
      grads: Object.fromEntries(names.map((name, i) => [name, grads[i]?.dataSync() as Float32Array])),
    }
  })
}

/** The largest difference relative to the largest expected number (or 1); infinite where only one of the two is NaN. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  let size = 1
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] ?? 0, expected[i] ?? 0]
    if (Object.is(a, e) || (Number.isNaN(a) && Number.isNaN(e))) continue
    if (Number.isFinite(e)) size = Math.max(size, Math.abs(e))
    const difference = Math.abs(a - e)
    largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference)
  }
  return largest / size
}

/** Output and every gradient are the expected ones to `tolerance`, relative to the largest number of each. */
export function expectClose(actual: Differentiated, expected: Differentiated, tolerance: number): void {
  expect(relativeDifference(actual.y, expected.y), 'y').toBeLessThan(tolerance)
  for (const [name, grad] of Object.entries(actual.grads)) {
    expect(relativeDifference(grad, expected.grads[name] ?? []), `gradient of ${name}`).toBeLessThan(tolerance)
  }
}
