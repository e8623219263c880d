// Products, sums and what else joins numbers of an axis, in ONNX.

import type { Form, Info } from './form.ts'
import type { Graph } from './graph.ts'
import type { Size } from './sizes.ts'

const NONE: Info = { shape: [], dtype: 'float32' }

/** Kernels that an operator over one or several axes is. */
const REDUCTIONS: Readonly<Record<string, string>> = { Sum: 'ReduceSum', Mean: 'ReduceMean', Max: 'ReduceMax', Min: 'ReduceMin', Prod: 'ReduceProd' }

export const PRODUCTS: Readonly<Record<string, Form>> = {
  ...Object.fromEntries(Object.entries(REDUCTIONS).map(([kernel, op]): [string, Form] => [kernel, {
    outputs: ([x = NONE], { axis, reductionIndices = axis, keepDims }) => [{ ...x, shape: reduced(x.shape, axesOf(x.shape, reductionIndices), keepDims === true) }], // Max has a name of its own for them
    write: (graph, { inputs: [x = ''], given: [from], settings: { axis, reductionIndices = axis, keepDims } }) =>
      [graph.one(op, [x, graph.sizes(axesOf(from?.shape ?? [], reductionIndices))], { keepdims: keepDims === true ? 1n : 0n })],
  }])),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  BatchMatMul: {
    outputs: ([a = NONE, b = NONE], { transposeA, transposeB }) => {
      const [left, right] = [turned(a.shape, transposeA === true), turned(b.shape, transposeB === true)]
      const [outerA, outerB] = [left.slice(0, -2), right.slice(0, -2)]
      const outer = (outerA.length >= outerB.length ? outerA : outerB).map((size, i, all) => Math.max(size, outerA[i + outerA.length - all.length] ?? 1, outerB[i + outerB.length - all.length] ?? 1))
      return [{ ...a, shape: [...outer, left.at(-2) ?? NaN, right.at(-1) ?? NaN] }]
    },
    write: (graph, { inputs: [a = '', b = ''], given: [left, right], settings: { transposeA, transposeB } }) => {
      if (left?.shape.length === 2 && right?.shape.length === 2 && (transposeA === true || transposeB === true)) {
        return [graph.one('Gemm', [a, b], { transA: transposeA === true ? 1n : 0n, transB: transposeB === true ? 1n : 0n })]
      }
      const turn = (x: string, rank: number, turns: unknown): string => {
        const axes = Array.from({ length: rank }, (_, axis) => BigInt(axis))
        return turns === true ? graph.one('Transpose', [x], { perm: [...axes.slice(0, -2), BigInt(rank - 1), BigInt(rank - 2)] }) : x
      }
      return [graph.one('MatMul', [turn(a, left?.shape.length ?? 2, transposeA), turn(b, right?.shape.length ?? 2, transposeB)])]
    },
  },
  Softmax: {
    outputs: (inputs) => inputs.slice(0, 1),
    write: (graph, { inputs, settings: { dim } }) => [graph.one('Softmax', inputs, { axis: BigInt(dim as number) })],
  },
  LogSoftmax: {
    outputs: (inputs) => inputs.slice(0, 1),
    write: (graph, { inputs, settings: { axis } }) => [graph.one('LogSoftmax', inputs, { axis: BigInt(axis as number) })],
  },
  Cumsum: {
    outputs: (inputs) => inputs.slice(0, 1),
    write: (graph, { inputs: [x = ''], settings: { axis, exclusive, reverse } }) =>
      [graph.one('CumSum', [x, graph.scalar(axis as Size)], { exclusive: exclusive === true ? 1n : 0n, reverse: reverse === true ? 1n : 0n })],
  },
  TopK: {
    outputs: ([x = NONE], { k }) => {
      const shape = [...x.shape.slice(0, -1), k as number]
      return [{ ...x, shape }, { shape, dtype: 'int32' }]
    },
    write: (graph, { inputs: [x = ''], settings: { k, sorted } }) => graph.all('TopK', [x, graph.sizes([k as Size])], { axis: -1n, sorted: sorted === false ? 0n : 1n }, 2),
  },
  Conv2D: {
    outputs: ([x = NONE, filter = NONE], settings) => {
      const { strides } = convolution(settings)
      const [batch = 0, ...sides] = x.shape
      const [height = 0, width = 0] = [0, 1].map((i) => Math.floor(((sides[i] ?? 0) - (filter.shape[i] ?? 0)) / (strides[i] ?? 1)) + 1)
      return [{ ...x, shape: [batch, height, width, filter.shape[3] ?? NaN] }]
    },
    write: (graph, { inputs: [x = '', filter = ''], settings }) => {
      const { strides } = convolution(settings)
      const y = graph.one('Conv', [transposed(graph, x, [0, 3, 1, 2]), transposed(graph, filter, [3, 2, 0, 1])], { strides: strides.map(BigInt) })
      return [transposed(graph, y, [0, 2, 3, 1])]
    },
  },
}

/** @throws Error for what is not a plain convolution without padding */
function convolution({ strides, pad, dilations, dataFormat }: Readonly<Record<string, unknown>>): { readonly strides: readonly number[] } {
  const list = (value: unknown): number[] => (typeof value === 'number' ? [value, value] : (value as number[]))
  if (pad !== 'valid' && pad !== 0) throw new Error(`a convolution with padding (${String(pad)})`)
  if (dataFormat !== 'NHWC' || list(dilations ?? 1).some((step) => step !== 1)) throw new Error('a convolution with gaps, or with the channels first')
  return { strides: list(strides) }
}

function transposed(graph: Graph, x: string, axes: readonly number[]): string {
  return graph.one('Transpose', [x], { perm: axes.map(BigInt) })
}

function argument(op: string): Form {
  return {
    outputs: ([x = NONE], { axis }) => [{ shape: reduced(x.shape, axesOf(x.shape, axis), false), dtype: 'int32' }],
    write: (graph, { inputs: [x = ''], settings: { axis } }) => [graph.one(op, [x], { axis: BigInt(axis as number), keepdims: 0n })],
  }
}

function axesOf(shape: readonly unknown[], axis: unknown): number[] {
  const axes = axis === null || axis === undefined ? shape.map((_, i) => i) : Array.isArray(axis) ? (axis as number[]) : [axis as number]
  return axes.map((each) => (each < 0 ? each + shape.length : each))
}

function reduced(shape: readonly number[], axes: readonly number[], keep: boolean): number[] {
  return shape.flatMap((size, axis) => (!axes.includes(axis) ? [size] : keep ? [1] : []))
}

function turned(shape: readonly number[], turns: boolean): number[] {
  return turns ? [...shape.slice(0, -2), shape.at(-1) ?? NaN, shape.at(-2) ?? NaN] : [...shape]
}

