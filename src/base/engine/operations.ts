// How many floating-point operations products take: counted where the engine is called, forward and backward, by the shapes that it
// is given. A product of (n, k) and (k, m) counts 2 n k m. What is no product (norms, activations, sums) is not counted. What a causal
// mask leaves out is, though some kernels skip it; padding that is left out is not.

import * as tf from '@tensorflow/tfjs-core'
import { nativePrefix } from './native.ts'
import { tensorflow, type Attribute } from './tensorflow.ts'

type Shape = readonly number[]
type Settings = Readonly<Record<string, unknown>>
/** Of the shapes that a kernel is given and those that it gives. @param numbers those of an input */
type Rule = (inputs: readonly Shape[], outputs: readonly Shape[], settings: Settings, numbers: (input: number) => ArrayLike<number>) => number

const sizeOf = (shape: Shape = []): number => shape.reduce((product, n) => product * n, 1)
const at = (shapes: readonly Shape[], index: number): Shape => shapes[index] ?? []
const last = (shape: Shape): number => shape.at(-1) ?? 1

/** y = a b, however either is turned: every number of y is a sum over what a has besides. */
const product: Rule = ([a = []], [y = []], { transposeA, adj_x, transpose_a }) => 2 * sizeOf(y) * ((transposeA ?? adj_x ?? transpose_a) === true ? a.at(-2) ?? 1 : last(a))
/** y (N, out) of x (N, in). */
const byWeight: Rule = ([x = []], [y = []]) => 2 * sizeOf(y) * last(x)
/** q (B, T, H, D) with k (B, K, H', D), of rows one behind the other each with its own: scores, sums of values. @param products that have their size */
const attention = (products: number): Rule => ([q = [], k = [], , , , borders = []], _, __, numbers) => {
  const pairs = (borders[0] ?? 0) < 2 ? (q[1] ?? 1) * (k[1] ?? 1) : lengths(numbers(5)).reduce((sum, length) => sum + length ** 2, 0)
  return products * 2 * pairs * (q[0] ?? 1) * (q[2] ?? 1) * last(q)
}
const lengths = (borders: ArrayLike<number>): number[] => Array.from({ length: borders.length - 1 }, (_, row) => (borders[row + 1] ?? NaN) - (borders[row] ?? NaN))
/** Of x (N, in) through a (rank, in) and b (out, rank), or through those of its expert, one of `count`. */
const lowRank: Rule = ([, x = [], a, b], _, { count = 1 }) => 2 * (x[0] ?? 0) * (sizeOf(a) + sizeOf(b)) / Number(count)
/** dy B, dyᵀ h, their product with x and, where it is asked for, with A. */
const lowRankGrad: Rule = ([, x = [], , a, b], _, { count = 1, to_x: toX }) => 2 * (x[0] ?? 0) * (2 * sizeOf(b) + (toX === true ? 2 : 1) * sizeOf(a)) / Number(count)
/** Filters (height, width, in, out) at each place of y (B, h, w, out). */
const convolution: Rule = (inputs, [y = []]) => 2 * sizeOf(y) * (sizeOf(at(inputs, 1)) / last(at(inputs, 1)))

const RULES: Readonly<Record<string, Rule>> = {
  MatMul: product, BatchMatMul: product, BatchMatMulV2: product, BatchMatMulV3: product, _FusedMatMul: product,
  Conv2D: convolution, Conv2DBackpropInput: ([, filter = [], dy = []]) => 2 * sizeOf(dy) * (sizeOf(filter) / last(filter)),
  FewRows: byWeight, ManyRows: byWeight, Grouped: byWeight, ProductNf4: byWeight, ProductInt8: byWeight,
  FewRowsBfloat16: byWeight, ManyRowsBfloat16: byWeight, GroupedBfloat16: byWeight,
  GroupedOuter: ([dy = [], x = []]) => 2 * sizeOf(dy) * last(x),
  Attention: attention(2), GeneralAttention: attention(2), AttentionGrad: attention(5), GeneralAttentionGrad: attention(5), // scores again, dV, dP, dQ, dK
  LowRank: lowRank, GroupedLowRank: lowRank, LowRankGrad: lowRankGrad, GroupedLowRankGrad: lowRankGrad,
}

/** Counts until it is told to stop. */
export interface OperationCount {
  /** Floating-point operations so far. */
  readonly count: number
  stop(): void
}

/** Those that count at the moment; the engine is listened to while there is one. */
const counting = new Set<{ count: number }>()
let deafen: (() => void) | undefined

/** Counts the operations of every product from now on, of whatever the process computes. */
export function countOperations(): OperationCount {
  const own = { count: 0 }
  if (counting.size === 0) deafen = listen()
  counting.add(own)
  return {
    get count() { return own.count },
    stop: () => {
      if (!counting.delete(own) || counting.size > 0) return
      deafen?.()
      deafen = undefined
    },
  }
}

function see(kernel: string, inputs: readonly (tf.Tensor | undefined)[], outputs: readonly tf.TensorInfo[], settings: () => Settings): void {
  const prefix = nativePrefix()
  const rule = RULES[prefix !== undefined && kernel.startsWith(prefix) ? kernel.slice(prefix.length) : kernel]
  if (rule === undefined) return
  const operations = rule(inputs.map((input) => input?.shape ?? []), outputs.map(({ shape }) => shape), settings(), (input) => numbersOf(inputs[input]))
  for (const each of counting) each.count += operations
}

/** Rules that ask for numbers are of this library's kernels: where these are, numbers are there at once. */
function numbersOf(tensor: tf.Tensor | undefined): ArrayLike<number> {
  return tensor === undefined ? [] : tf.engine().readSync(tensor.dataId) as Int32Array // borders
}

/** TensorFlow is listened to where it runs an operation, whoever asks; another engine where tfjs asks it. @returns what ends it */
function listen(): () => void {
  const native = tensorflow()
  if (native === undefined) {
    const engine = tf.engine()
    return replaced(engine, 'runKernel', (run) => (name, inputs, settings) => {
      const output: tf.Tensor | tf.Tensor[] = run<tf.Tensor | tf.Tensor[]>(name, inputs, settings)
      see(name, Object.values(inputs), [output].flat(), () => settings ?? {})
      return output as never // a tensor or several, as the kernel has it
    })
  }
  const named = (attributes: readonly Attribute[]) => (): Settings => Object.fromEntries(attributes.map(({ name, value }) => [name, value]))
  const ends = [
    replaced(native, 'executeSingleOutput', (run) => (name, attributes, inputs) => {
      const output = run(name, attributes, inputs)
      see(name, inputs, [output], named(attributes))
      return output
    }),
    replaced(native, 'executeMultipleOutputs', (run) => (name, attributes, inputs, count) => {
      const outputs = run(name, attributes, inputs, count)
      see(name, inputs, outputs, named(attributes))
      return outputs
    }),
  ]
  return () => { for (const end of ends) end() }
}

/** Puts another method in the place of an object's. @returns what puts the first one back */
function replaced<T extends object, Name extends keyof T>(object: T, name: Name, by: (was: T[Name]) => T[Name]): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name)
  const was = object[name]
  object[name] = by((was as (...given: unknown[]) => unknown).bind(object) as T[Name])
  return () => {
    if (own === undefined) Reflect.deleteProperty(object, name)
    else Object.defineProperty(object, name, own)
  }
}
