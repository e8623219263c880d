// The one place where an operation chooses its implementation: a fused kernel of native/, TensorFlow's own kernel where
// tfjs has no name for it, or the composed tfjs form, which defines the meaning and runs on every backend.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { EngineError } from '../../errors.ts'
import { attributesOf } from './constants.ts'
import { tensorflow } from './tensorflow.ts'
import { nativePrefix } from './native.ts'

/** The two forms of an operation: the same functions with the same results. */
export interface Forms<T> {
  readonly fused: T
  readonly composed: T
  /** As one kernel of the active backend, where that has one of this name: a backend that notes what runs does. Without gradients of its own. */
  readonly whole?: { readonly kernel: string; readonly form: T }
}

/** The form of an operation for these inputs. Its gradient must be taken in the form that ran forward. */
export function choose<T>({ fused, composed, whole }: Forms<T>, inputs: readonly (Tensor | undefined)[]): T {
  if (whole !== undefined && Boolean(tf.getKernel(WHOLE + whole.kernel, tf.getBackend()))) return whole.form
  const fits = inputs.every((input) => input === undefined || input.dtype === 'float32')
  return fits && areFused() ? fused : composed
}

/** What the names of such kernels begin with, which are none of tfjs. */
export const WHOLE = 'tfjs-peft/'

/** Whether the active backend notes what runs, for texts of any length. */
export function isNoted(): boolean {
  return Boolean(tf.getKernel(`${WHOLE}Norm`, tf.getBackend()))
}

/** Runs an operation as one kernel of the active backend. @param inputs an absent optional one is undefined */
export function wholeKernel(name: string, inputs: Readonly<Record<string, Tensor | undefined>>, settings: Readonly<Record<string, number | boolean>> = {}): Tensor {
  const given = Object.fromEntries(Object.entries(inputs).filter((entry): entry is [string, Tensor] => entry[1] !== undefined))
  return tf.engine().runKernel(WHOLE + name, given, settings)
}

/** Whether there are fused kernels to run on the active engine. */
export function areFused(): boolean {
  return nativePrefix() !== undefined && tensorflow() !== undefined
}

/**
 * Runs a fused kernel by its name in native/kernels.cc.
 *
 * @param inputs an absent optional one is undefined
 * @throws the runtime's error when shapes do not fit
 */
export function fused(
  name: string,
  inputs: readonly (Tensor | undefined)[],
  settings: Readonly<Record<string, number | boolean>>,
  outputs: number,
): Tensor[] {
  const [native, prefix] = [tensorflow(), nativePrefix()]
  if (native === undefined || prefix === undefined) throw new EngineError(`The fused kernel ${name} is not loaded.`)
  return native.executeMultipleOutputs(prefix + name, attributesOf(settings), inputs.map((input) => input ?? tf.tensor1d([])), outputs)
}

/** The same for a kernel with one output. */
export function fusedOne(
  name: string,
  inputs: readonly (Tensor | undefined)[],
  settings: Readonly<Record<string, number | boolean>> = {},
): Tensor {
  return fused(name, inputs, settings, 1)[0] as Tensor
}

/** x (N, D) plus a bias (D) in every row. */
export function biasAdd(x: Tensor2D, bias: Tensor1D): Tensor2D {
  return choose(BIAS_ADD, [x, bias])(x, bias)
}

const BIAS_ADD: Forms<(x: Tensor2D, bias: Tensor1D) => Tensor2D> = {
  fused: (x, bias) => fusedOne('AddBias', [x, bias]) as Tensor2D,
  composed: (x, bias) => tf.add(x, bias),
  whole: { kernel: 'AddBias', form: (x, bias) => wholeKernel('AddBias', { x, bias }) as Tensor2D },
}

/**
 * The product of a (N, K) and b (K, M). tfjs runs TensorFlow's kernel for batches of matrices; the one for a single matrix
 * is the faster one when neither is transposed and the slower one when b is, so only this product takes it.
 */
export function product(a: Tensor, b: Tensor): Tensor {
  const native = tensorflow()
  if (native === undefined) return tf.matMul(a, b)
  return native.executeSingleOutput('MatMul', attributesOf({ T: 'float32', transpose_a: false, transpose_b: false }), [a, b])
}

/** Rows of a table by index. tfjs would read the indices first, to see whether they are within it; TensorFlow looks by itself. */
export function gatherRows(table: Tensor2D, ids: Tensor1D): Tensor2D {
  const native = tensorflow()
  if (native === undefined || table.dtype !== 'float32') return tf.gather(table, ids)
  return tf.tidy(() => native.executeSingleOutput('GatherV2', attributesOf({ Tparams: 'float32', Tindices: 'int32', Taxis: 'int32' }), [table, ids, tf.scalar(0, 'int32')])) as Tensor2D
}

/**
 * Uniform numbers in [0, 1) that depend on the two seeds and the place alone, so that they can be drawn again instead of
 * kept. Other engines draw other numbers; with the fused kernels loaded they are those that these use for dropout.
 */
export function uniform(shape: readonly number[], seed: readonly [number, number]): Tensor {
  if (areFused()) return fusedOne('Uniform', [tf.tensor1d([...shape], 'int32'), tf.tensor1d([...seed], 'int32')])
  const native = tensorflow()
  if (native === undefined) return tf.randomUniform([...shape], 0, 1, 'float32', `${seed[0]},${seed[1]}`)
  return native.executeSingleOutput(
    'StatelessRandomUniform',
    attributesOf({ T: 'int32', dtype: 'float32', Tseed: 'int32' }),
    [tf.tensor1d([...shape], 'int32'), tf.tensor1d([...seed], 'int32')],
  )
}
