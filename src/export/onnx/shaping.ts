// Kernels that move numbers or make them from sizes, in ONNX.

import * as tf from '@tensorflow/tfjs-core'
import type { DataType as Dtype } from '@tensorflow/tfjs-core'
import { DATA_TYPES } from './schema.ts'
import { typeOf, type Form, type Given, type Info } from './form.ts'
import type { Graph } from './graph.ts'
import { sameSize, type Size } from './sizes.ts'

const NONE: Info = { shape: [], dtype: 'float32' }

export const SHAPING: Readonly<Record<string, Form>> = {
  Reshape: {
    outputs: ([x = NONE], { shape }) => [{ ...x, shape: tf.util.inferFromImplicitShape(shape as number[], sizeOf(x.shape)) }],
    settings: () => ({}),
    write: (graph, { inputs: [x = ''], given: [from], outputs: [to] }) => [reshaped(graph, x, from?.shape ?? [], to?.shape ?? [])],
  },
  ExpandDims: {
    outputs: ([x = NONE], { dim }) => [{ ...x, shape: inserted(x.shape, place(dim as number, x.shape.length + 1), 1) }],
    write: (graph, { inputs: [x = ''], given: [from], settings: { dim } }) => [unsqueezed(graph, x, place(dim as number, (from?.shape.length ?? 0) + 1))],
  },
  Transpose: {
    outputs: ([x = NONE], { perm }) => [{ ...x, shape: (perm as number[]).map((axis) => x.shape[axis] ?? NaN) }],
    write: (graph, { inputs, settings: { perm } }) => [graph.one('Transpose', inputs, { perm: (perm as number[]).map(BigInt) })],
  },
  Concat: {
    outputs: (inputs, { axis }) => [{ ...(inputs[0] ?? NONE), shape: tf.backend_util.computeOutShape(inputs.map(({ shape }) => [...shape]), place(axis as number, inputs[0]?.shape.length ?? 0)) }],
    write: (graph, { inputs, settings: { axis } }) => [inputs.length === 1 ? (inputs[0] as string) : graph.one('Concat', inputs, { axis: BigInt(axis as number) })],
  },
  Pack: {
    outputs: (inputs, { axis }) => [{ ...(inputs[0] ?? NONE), shape: inserted(inputs[0]?.shape ?? [], place(axis as number, (inputs[0]?.shape.length ?? 0) + 1), inputs.length) }],
    write: (graph, { inputs, given, settings: { axis } }) => {
      const at = place(axis as number, (given[0]?.shape.length ?? 0) + 1)
      return [graph.one('Concat', inputs.map((input) => unsqueezed(graph, input, at)), { axis: BigInt(at) })]
    },
  },
  Unpack: {
    outputs: ([x = NONE], { axis }) => Array.from({ length: x.shape[place(axis as number, x.shape.length)] ?? 0 }, () => ({ ...x, shape: without(x.shape, place(axis as number, x.shape.length)) })),
    write: (graph, { inputs, given: [x], outputs, settings: { axis } }) => {
      const at = place(axis as number, x?.shape.length ?? 0)
      const parts = graph.all('Split', inputs, { axis: BigInt(at), num_outputs: BigInt(outputs.length) }, outputs.length)
      return parts.map((part) => graph.one('Squeeze', [part, graph.sizes([at])]))
    },
  },
  SplitV: {
    outputs: ([x = NONE], settings) => partsOf(x, settings).map((part) => ({ ...x, shape: x.shape.map((size, axis) => (axis === axisOf(x, settings) ? part : size)) })),
    settings: ([x = NONE], settings) => ({ parts: partsOf(x, settings), axis: axisOf(x, settings) }),
    write: (graph, { inputs: [x = ''], settings: { parts, axis } }) => {
      const sizes = parts as Size[]
      return graph.all('Split', [x, graph.sizes(sizes)], { axis: BigInt(axis as number) }, sizes.length)
    },
  },
  Slice: {
    outputs: ([x = NONE], settings) => [{ ...x, shape: endsOf(x, settings).map((end, axis) => end - ((settings['begin'] as number[])[axis] ?? 0)) }],
    settings: ([x = NONE], settings) => ({ begin: settings['begin'], ends: endsOf(x, settings) }),
    write: (graph, { inputs: [x = ''], given: [from], settings }) => {
      const [begin, ends] = [settings['begin'] as Size[], settings['ends'] as Size[]]
      const axes = begin.flatMap((start, axis) => (start === 0 && sameSize(ends[axis], from?.shape[axis]) ? [] : [axis]))
      if (axes.length === 0) return [x]
      const of = (sizes: readonly Size[]): string => graph.sizes(axes.map((axis) => sizes[axis] ?? 0))
      return [graph.one('Slice', [x, of(begin), of(ends), graph.sizes(axes)])]
    },
  },
  PadV2: {
    outputs: ([x = NONE], { paddings }) => [{ ...x, shape: x.shape.map((size, axis) => (paddings as number[][])[axis]?.reduce((a, b) => a + b, size) ?? size) }],
    write: (graph, { inputs: [x = ''], given: [from], settings: { paddings, constantValue } }) => {
      const sides = paddings as Size[][]
      const pads = [0, 1].flatMap((side) => sides.map((each) => each[side] ?? 0))
      return [graph.one('Pad', [x, graph.sizes(pads), graph.constant(typeOf(from?.dtype ?? 'float32'), [], [constantValue as number])])]
    },
  },
  Tile: {
    outputs: ([x = NONE], { reps }) => [{ ...x, shape: x.shape.map((size, axis) => size * ((reps as number[])[axis] ?? 1)) }],
    write: (graph, { inputs: [x = ''], given: [from], outputs: [to], settings: { reps } }) => {
      const stretches = (reps as Size[]).every((times, axis) => times === 1 || from?.shape[axis] === 1)
      return [graph.one(stretches ? 'Expand' : 'Tile', [x, graph.sizes(stretches ? (to?.shape ?? []) : (reps as Size[]))])]
    },
  },
  GatherV2: {
    outputs: ([x = NONE, indices = NONE], { axis }) => [{ ...x, shape: [...x.shape.slice(0, axis as number), ...indices.shape, ...x.shape.slice((axis as number) + 1)] }],
    write: (graph, { inputs, settings: { axis } }) => [graph.one('Gather', inputs, { axis: BigInt(axis as number) })],
  },
  ScatterNd: {
    outputs: ([, updates = NONE], { shape }) => [{ shape: shape as number[], dtype: updates.dtype }],
    write: (graph, { inputs: [indices = '', updates = ''], outputs: [to = NONE] }) => [graph.one('ScatterND', [filled(graph, to, 0), indices, updates], { reduction: 'add' })],
  },
  OneHot: {
    outputs: ([indices = NONE], { depth, dtype }) => [{ shape: [...indices.shape, depth as number], dtype: dtype as Dtype }],
    write: (graph, { inputs: [indices = ''], outputs: [to = NONE], settings: { depth, onValue, offValue } }) =>
      [graph.one('OneHot', [indices, graph.sizes([depth as Size]), graph.constant(typeOf(to.dtype), [2], [offValue as number, onValue as number])])],
  },
  Fill: {
    outputs: (_, { shape, dtype }) => [{ shape: shape as number[], dtype: dtype as Dtype }],
    write: (graph, { outputs: [to = NONE], settings: { value } }) => [filled(graph, to, value as number)],
  },
  ZerosLike: { outputs: (inputs) => inputs.slice(0, 1), write: (graph, { outputs: [to = NONE] }) => [filled(graph, to, 0)] },
  OnesLike: { outputs: (inputs) => inputs.slice(0, 1), write: (graph, { outputs: [to = NONE] }) => [filled(graph, to, 1)] },
  Range: {
    outputs: (_, { start, stop, step, dtype }) => [{ shape: [Math.max(0, Math.ceil(((stop as number) - (start as number)) / (step as number)))], dtype: dtype as Dtype }],
    write: (graph, { outputs: [to = NONE], settings: { start, stop, step } }) => [ranged(graph, to, start as Size, stop as Size, step as Size)],
  },
}

/** A number everywhere. */
export function filled(graph: Graph, { shape, dtype }: Given, value: Size): string {
  const one = typeof value === 'number' ? graph.constant(typeOf(dtype), [], [value]) : cast(graph, graph.scalar(value), dtype)
  return shape.length === 0 ? one : graph.one('Expand', [one, graph.sizes(shape)])
}

/** Numbers at equal distances. */
export function ranged(graph: Graph, { dtype }: Given, start: Size, stop: Size, step: Size): string {
  const scalar = (size: Size): string => (typeof size === 'number' ? graph.constant(typeOf(dtype), [], [size]) : cast(graph, graph.scalar(size), dtype))
  return graph.one('Range', [start, stop, step].map(scalar))
}

function cast(graph: Graph, x: string, dtype: Dtype): string {
  return dtype === 'int32' ? x : graph.one('Cast', [x], { to: BigInt(DATA_TYPES[typeOf(dtype)]) })
}

/** Sizes that change with the batch are copied from x or, one of them, left to be worked out where that is enough. */
export function reshaped(graph: Graph, x: string, from: readonly Size[], to: readonly Size[]): string {
  if (from.length === to.length && from.every((size, axis) => sameSize(size, to[axis]))) return x
  const copied = to.map((size, axis) => (typeof size !== 'number' && sameSize(size, from[axis]) ? 0 : size))
  const open = copied.reduce<number>((last, size, axis) => (typeof size === 'number' ? last : axis), -1)
  return graph.one('Reshape', [x, graph.sizes(copied.map((size, axis) => (axis === open ? -1 : size)))])
}

function unsqueezed(graph: Graph, x: string, axis: number): string {
  return graph.one('Unsqueeze', [x, graph.sizes([axis])])
}

function partsOf(x: Info, settings: Readonly<Record<string, unknown>>): number[] {
  return tf.backend_util.prepareSplitSize({ shape: [...x.shape] } as unknown as tf.Tensor, settings['numOrSizeSplits'] as number | number[], axisOf(x, settings))
}

function axisOf(x: Info, { axis }: Readonly<Record<string, unknown>>): number {
  return place(axis as number, x.shape.length)
}

function endsOf(x: Info, { begin, size }: Readonly<Record<string, unknown>>): number[] {
  return x.shape.map((length, axis) => {
    const [start = 0, count = -1] = [(begin as number[])[axis], (size as number[])[axis]]
    return count === -1 ? length : start + count
  })
}

function place(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}

function inserted(shape: readonly number[], at: number, size: number): number[] {
  return [...shape.slice(0, at), size, ...shape.slice(at)]
}

function without(shape: readonly number[], at: number): number[] {
  return shape.filter((_, axis) => axis !== at)
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1)
}
