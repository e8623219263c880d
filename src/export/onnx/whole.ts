// Operations of this library that ONNX has as one.

import { WHOLE } from '../../base/engine/kernels.ts'
import type { Form, Given } from './form.ts'
import type { Graph, GraphNode } from './graph.ts'
import { reshaped } from './shaping.ts'
import type { Size } from './sizes.ts'

const NONE: Given = { shape: [], dtype: 'float32' }
const same: Form['outputs'] = (inputs) => inputs.slice(0, 1)

const OWN: Readonly<Record<string, Form>> = {
  AddBias: { outputs: same, write: (graph, { inputs: [x = '', bias = ''] }) => [withBias(graph, x, bias)] },
  Gelu: { outputs: same, write: (graph, { inputs }) => [graph.one('Gelu', inputs, { approximate: 'none' })] },
  GeluTanh: { outputs: same, write: (graph, { inputs }) => [graph.one('Gelu', inputs, { approximate: 'tanh' })] },
  Norm: {
    outputs: same,
    write: (graph, { inputs, settings: { epsilon, centred } }) => [graph.one(centred === true ? 'LayerNormalization' : 'RMSNormalization', inputs, { axis: -1n, epsilon: epsilon as number })],
  },
  Rope: {
    outputs: same,
    write: (graph, { inputs: [x = '', cos = '', sin = ''], given: [from = NONE, turn = NONE] }) => {
      const [[B = 0, T = 0, H = 0, D = 0], [b = 0, t = 0, , half = 0]] = [from.shape, turn.shape] as [readonly Size[], readonly Size[]]
      const [heads, size, turned] = [Number(H), Number(D), 2 * Number(half)] // numbers of the model
      const flat = [B, T, heads * size]
      const [c, s] = [cos, sin].map((each) => reshaped(graph, each, turn.shape, [b, t, half])) as [string, string]
      const y = graph.one('RotaryEmbedding', [reshaped(graph, x, from.shape, flat), c, s], { num_heads: BigInt(heads), ...(turned === size ? {} : { rotary_embedding_dim: BigInt(turned) }) })
      return [reshaped(graph, y, flat, from.shape)]
    },
  },
}

export const WHOLE_FORMS: Readonly<Record<string, Form>> = Object.fromEntries(Object.entries(OWN).map(([name, form]) => [WHOLE + name, form]))

/** Products that take a bias, and how many inputs they have before it. */
const TAKE_BIAS: Readonly<Record<string, number>> = { Gemm: 2, MatMulNBits: 5 }

function withBias(graph: Graph, x: string, bias: string): string {
  const product = graph.maker(x)
  const before = product === undefined ? undefined : TAKE_BIAS[product.op]
  if (product === undefined || before === undefined || product.inputs.length > before) return graph.one('Add', [x, bias])
  const { op, inputs, attributes, domain }: GraphNode = product // left out again where nothing else uses it
  return graph.one(op, [...inputs, ...Array.from({ length: before - inputs.length }, () => ''), bias], attributes, domain)
}
