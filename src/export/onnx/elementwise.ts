// Kernels that go number by number, in ONNX.

import * as tf from '@tensorflow/tfjs-core'
import type { DataType as Dtype } from '@tensorflow/tfjs-core'
import { DATA_TYPES } from './schema.ts'
import { typeOf, type Call, type Form, type Info } from './form.ts'
import type { Graph } from './graph.ts'

type Write = (graph: Graph, inputs: readonly string[], call: Call) => string

/** Kernels that an operator of ONNX is. */
const SAME: Readonly<Record<string, string>> = {
  Abs: 'Abs', Acos: 'Acos', Asin: 'Asin', Atan: 'Atan', Ceil: 'Ceil', Cos: 'Cos', Cosh: 'Cosh', Erf: 'Erf', Exp: 'Exp', Floor: 'Floor', Log: 'Log', LogicalNot: 'Not', Neg: 'Neg',
  Reciprocal: 'Reciprocal', Relu: 'Relu', Round: 'Round', Sigmoid: 'Sigmoid', Sign: 'Sign', Sin: 'Sin', Sinh: 'Sinh', Softplus: 'Softplus', Sqrt: 'Sqrt', Tan: 'Tan', Tanh: 'Tanh',
  Add: 'Add', Sub: 'Sub', Multiply: 'Mul', RealDiv: 'Div', Maximum: 'Max', Minimum: 'Min', Pow: 'Pow', LogicalAnd: 'And', LogicalOr: 'Or',
}
const COMPARISONS: Readonly<Record<string, string>> = { Equal: 'Equal', Greater: 'Greater', GreaterEqual: 'GreaterOrEqual', Less: 'Less', LessEqual: 'LessOrEqual' }

/** Those that several operators are. */
const OTHERS: Readonly<Record<string, Write>> = {
  AddN: (graph, inputs) => inputs.reduce((a, b) => graph.one('Add', [a, b])),
  ClipByValue: (graph, [x = ''], { settings: { clipValueMin, clipValueMax } }) => graph.one('Clip', [x, number(graph, clipValueMin), number(graph, clipValueMax)]),
  Expm1: (graph, [x = '']) => graph.one('Sub', [graph.one('Exp', [x]), number(graph, 1)]),
  FloorDiv: (graph, [a = '', b = ''], { given }) => (given[0]?.dtype === 'int32'
    ? graph.one('Div', [graph.one('Sub', [a, graph.one('Mod', [a, b])]), b]) // Div alone rounds towards 0
    : graph.one('Floor', [graph.one('Div', [a, b])])),
  LeakyRelu: (graph, [x = ''], { settings: { alpha } }) => graph.one('LeakyRelu', [x], { alpha: alpha as number }),
  Log1p: (graph, [x = '']) => graph.one('Log', [graph.one('Add', [x, number(graph, 1)])]),
  Mod: (graph, [a = '', b = ''], { given }) => (given[0]?.dtype === 'int32'
    ? graph.one('Mod', [a, b])
    : graph.one('Sub', [a, graph.one('Mul', [graph.one('Floor', [graph.one('Div', [a, b])]), b])])),
  Rsqrt: (graph, [x = '']) => graph.one('Reciprocal', [graph.one('Sqrt', [x])]),
  Square: (graph, [x = '']) => graph.one('Mul', [x, x]),
  SquaredDifference: (graph, [a = '', b = '']) => {
    const difference = graph.one('Sub', [a, b])
    return graph.one('Mul', [difference, difference])
  },
  Step: (graph, [x = ''], { settings: { alpha } }) => graph.one('Where', [graph.one('Greater', [x, number(graph, 0)]), number(graph, 1), number(graph, alpha)]),
}

/** Number by number: tensors of one shape, or of shapes that stretch to one. */
export const ELEMENTWISE: Readonly<Record<string, Form>> = {
  ...forms(SAME, (op): Form => ({ outputs: stretched(), write: (graph, { inputs }) => [graph.one(op, inputs)] })),
  ...forms(COMPARISONS, (op): Form => ({ outputs: stretched('bool'), write: (graph, { inputs }) => [graph.one(op, inputs)] })),
  ...forms(OTHERS, (write): Form => ({ outputs: stretched(), write: (graph, call) => [write(graph, call.inputs, call)] })),
  NotEqual: { outputs: stretched('bool'), write: (graph, { inputs }) => [graph.one('Not', [graph.one('Equal', inputs)])] },
  Select: {
    outputs: ([condition, a, b]) => [{ shape: stretch([condition, a, b].flatMap((info) => info ?? [])), dtype: a?.dtype ?? 'float32' }],
    write: (graph, { inputs }) => [graph.one('Where', inputs)],
  },
  Identity: { outputs: (inputs) => inputs.slice(0, 1), write: (_, { inputs }) => inputs.slice(0, 1) },
  Cast: {
    outputs: ([x], { dtype }) => [{ shape: x?.shape ?? [], dtype: dtype as Dtype }],
    write: (graph, { inputs, given: [x], outputs: [y] }) => {
      if (x === undefined || y === undefined || x.dtype === y.dtype) return inputs
      return [graph.one('Cast', inputs, { to: BigInt(DATA_TYPES[typeOf(y.dtype)]) })]
    },
  },
}

function forms<T>(table: Readonly<Record<string, T>>, make: (value: T) => Form): Record<string, Form> {
  return Object.fromEntries(Object.entries(table).map(([kernel, value]) => [kernel, make(value)]))
}

function stretched(dtype?: Dtype): Form['outputs'] {
  return (inputs) => [{ shape: stretch(inputs), dtype: dtype ?? inputs[0]?.dtype ?? 'float32' }]
}

function stretch(infos: readonly Info[]): readonly number[] {
  return infos.map(({ shape }) => [...shape]).reduce((a, b) => tf.broadcast_util.assertAndGetBroadcastShape(a, b))
}

function number(graph: Graph, value: unknown): string {
  return graph.constant('float32', [], [value as number])
}
