// The runtime's own operations as programs have them: views of memory, and the few plain steps of native/plain.h.

import { DTYPES } from './constants.ts'
import type { Handle } from './recording.ts'

/** One of native/plain.h's, on inputs and outputs of the operation by their places in its lists. */
export interface PlainStep {
  readonly name: 'Copy' | 'Fill' | 'Add' | 'Sub' | 'Mul' | 'Gather' | 'Update' | 'Widen' | 'ToFloat'
  readonly numbers: readonly number[]
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
}

/** How an operation is done. */
export interface PlainForm {
  /** Outputs that are the first input's own memory, and from which element on. @default none is */
  readonly views?: readonly (number | undefined)[]
  readonly steps: readonly PlainStep[]
}

/** An input, and its numbers where they are the same in each pass and JavaScript has them. */
export interface PlainInput extends Handle {
  readonly numbers: readonly number[] | undefined
}

type Form = (inputs: readonly PlainInput[], outputs: readonly Handle[]) => PlainForm | undefined

/** What an operation of the runtime comes to; undefined where there is no form for it. */
export function plainForm(name: string, inputs: readonly PlainInput[], outputs: readonly Handle[]): PlainForm | undefined {
  return Object.hasOwn(FORMS, name) ? FORMS[name]?.(inputs, outputs) : undefined
}

const view: Form = () => ({ views: [0], steps: [] })

const FORMS: Readonly<Record<string, Form>> = {
  Reshape: view,
  ExpandDims: view,
  Squeeze: view,
  Identity: view,
  Add: elementwise('Add'),
  AddV2: elementwise('Add'),
  Sub: elementwise('Sub'),
  Mul: elementwise('Mul'),
  SplitV: ([x, , along], outputs) => {
    const axis = axisOf(along, x)
    if (x === undefined || axis === undefined || !isWide(x)) return undefined
    const inner = sizeOf(x.shape.slice(axis + 1))
    const begins = outputs.map((_, i) => outputs.slice(0, i).reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0) * inner)
    if (sizeOf(x.shape.slice(0, axis)) === 1) return { views: begins, steps: [] }
    return { steps: outputs.map((to, i) => copy(to.shape, [begins[i] ?? 0, stridesOf(x.shape)], [0, stridesOf(to.shape)], 0, i)) }
  },
  ConcatV2: (inputs, [to]) => {
    const parts = inputs.slice(0, -1)
    const axis = axisOf(inputs.at(-1), to)
    if (to === undefined || axis === undefined || !isWide(to)) return undefined
    const strides = stridesOf(to.shape)
    let begin = 0
    return { steps: parts.map(({ shape }, i) => {
      const step = copy(shape, [0, stridesOf(shape)], [begin * (strides[axis] ?? 1), strides], i)
      begin += shape[axis] ?? 0
      return step
    }) }
  },
  Slice: ([x, from], [to]) => {
    if (x === undefined || to === undefined || from?.numbers === undefined || !isWide(x)) return undefined
    return { steps: [copy(to.shape, [offsetOf(from.numbers, stridesOf(x.shape)), stridesOf(x.shape)], [0, stridesOf(to.shape)])] }
  },
  PadV2: ([x, paddings, value], [to]) => {
    const around = paddings?.numbers
    if (x === undefined || to === undefined || around === undefined || value?.numbers === undefined || !isWide(x)) return undefined
    const strides = stridesOf(to.shape)
    const before = x.shape.map((_, axis) => around[2 * axis] ?? 0)
    return { steps: [{ name: 'Fill', numbers: [], inputs: [2], outputs: [0] }, copy(x.shape, [0, stridesOf(x.shape)], [offsetOf(before, strides), strides])] }
  },
  Tile: ([x, times], [to]) => {
    if (x === undefined || to === undefined || times?.numbers === undefined || !isWide(x) || x.shape.length > 3) return undefined
    const [own, strides] = [stridesOf(x.shape), stridesOf(to.shape)]
    const each = x.shape.flatMap((size, axis) => [[times.numbers?.[axis] ?? 1, 0, size * (strides[axis] ?? 1)], [size, own[axis] ?? 1, strides[axis] ?? 1]] as const)
    return { steps: [copy(each.map(([size]) => size), [0, each.map(([, from]) => from)], [0, each.map(([, , at]) => at)])] }
  },
  GatherV2: ([table, ids, along]) => {
    if (axisOf(along, table) !== 0 || ids?.dtype !== DTYPES.int32 || ids.shape.length !== 1) return undefined
    return { steps: [{ name: 'Gather', numbers: [], inputs: [0, 1], outputs: [0] }] }
  },
  Cast: ([x], [to]) => {
    if (x === undefined || to?.dtype !== DTYPES.float32) return undefined
    if (x.dtype === DTYPES.float32) return view([x], [to])
    const name = x.dtype === DTYPES.bfloat16 ? 'Widen' : x.dtype === DTYPES.int32 ? 'ToFloat' : undefined
    return name === undefined ? undefined : { steps: [{ name, numbers: [], inputs: [0], outputs: [0] }] }
  },
  InplaceUpdate: ([x]) => (x === undefined ? undefined : { views: [0], steps: [{ name: 'Update', numbers: [], inputs: [0, 1, 2], outputs: [] }] }),
}

/** Numbers of 32 bits. */
function isWide({ dtype }: Handle): boolean {
  return dtype === DTYPES.float32 || dtype === DTYPES.int32
}

function elementwise(name: 'Add' | 'Sub' | 'Mul'): Form {
  return ([a, b], [to]) => {
    if (a === undefined || b === undefined || to === undefined || !isWide(to) || a.dtype !== to.dtype || b.dtype !== to.dtype) return undefined
    const flat = sizeOf(to.shape)
    if (sizeOf(a.shape) === flat && sizeOf(b.shape) === flat) return { steps: [{ name, numbers: [1, flat, 1, 1], inputs: [0, 1], outputs: [0] }] }
    const shape = to.shape.length === 0 ? [1] : to.shape
    const strides = ({ shape: own }: Handle): number[] => {
      const missing = shape.length - own.length
      return shape.map((_, axis) => ((own[axis - missing] ?? 1) === 1 ? 0 : (stridesOf(own)[axis - missing] ?? 0)))
    }
    return { steps: [{ name, numbers: [shape.length, ...shape, ...strides(a), ...strides(b)], inputs: [0, 1], outputs: [0] }] }
  }
}

type Layout = readonly [offset: number, strides: readonly number[]]

function copy(sizes: readonly number[], from: Layout, to: Layout, input = 0, output = 0): PlainStep {
  const [shape, layouts] = sizes.length === 0 ? [[1], [[from[0], 1], [to[0], 1]]] : [sizes, [[from[0], ...from[1]], [to[0], ...to[1]]]]
  return { name: 'Copy', numbers: [shape.length, ...shape, ...layouts.flat()], inputs: [input], outputs: [output] }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}

function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)))
}

function offsetOf(places: readonly number[], strides: readonly number[]): number {
  return strides.reduce((sum, stride, axis) => sum + stride * (places[axis] ?? 0), 0)
}

function axisOf(along: PlainInput | undefined, of: Handle | undefined): number | undefined {
  const axis = along?.numbers?.[0]
  return axis === undefined || of === undefined ? undefined : axis < 0 ? axis + of.shape.length : axis
}
