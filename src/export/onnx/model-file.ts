import { open } from 'node:fs/promises'
import { ATTRIBUTE_TYPES, DATA_TYPES, EXTERNAL, encodeModel } from './schema.ts'
import { writeAtomic } from '../../base/files/atomic.ts'
import type { Attributes, Graph, Initializer, Port } from './graph.ts'
import { textOf } from './sizes.ts'

/** The newest that onnxruntime-node and onnxruntime-web 1.30 read is 13. */
const IR_VERSION = 10
const OPERATORS = 23

/** Weights above so many bytes are in a file of their own: a message of protobuf ends at 2 GB. */
const LARGEST = 2 ** 30

/** Numbers of this many bytes and less stay in the graph, which shapes and settings have to. */
const SMALL = 1024

/**
 * Writes a graph as an ONNX file.
 *
 * @param largest bytes of weights in the file itself; what is more is beside it, in `path`_data
 * @returns how many files of weights there are beside it
 */
export async function writeModel(graph: Graph, path: string, name: string, largest: number = LARGEST): Promise<number> {
  const weights = [...graph.initializers.values()]
  const isExternal = weights.reduce((sum, { bytes }) => sum + bytes, 0) > largest
  const initializer: object[] = []
  const file = isExternal ? await open(`${path}_data`, 'wx') : undefined
  try {
    let offset = 0
    for (const weight of weights) {
      const data = await weight.data()
      if (file === undefined || data.byteLength <= SMALL) initializer.push({ ...head(weight), raw_data: data })
      else {
        await file.writeFile(data)
        const place = { location: `${name}_data`, offset, length: data.byteLength }
        initializer.push({ ...head(weight), data_location: EXTERNAL, external_data: Object.entries(place).map(([key, value]) => ({ key, value: String(value) })) })
        offset += data.byteLength
      }
    }
    await file?.sync()
  } finally {
    await file?.close()
  }
  const domains = new Set(graph.nodes.map(({ domain }) => domain))
  await writeAtomic(path, encodeModel({
    ir_version: IR_VERSION,
    producer_name: 'tfjs-peft',
    opset_import: [{ domain: '', version: OPERATORS }, ...[...domains].filter((domain) => domain !== '').map((domain) => ({ domain, version: 1 }))],
    graph: {
      name: 'model',
      node: graph.nodes.map(({ op, domain, inputs, outputs, attributes }) => ({
        op_type: op, name: `${op}:${outputs[0] ?? ''}`, input: inputs, output: outputs, attribute: attributesOf(attributes), ...(domain === '' ? {} : { domain }),
      })),
      initializer, input: graph.inputs.map(valueInfo), output: graph.outputs.map(valueInfo),
    },
  }))
  return isExternal ? 1 : 0
}

function head({ name, dtype, shape }: Initializer): object {
  return { name, dims: shape, data_type: DATA_TYPES[dtype] }
}

function valueInfo({ name, dtype, shape }: Port): object {
  const dim = shape.map((size) => (typeof size === 'number' ? { dim_value: size } : { dim_param: textOf(size) }))
  return { name, type: { tensor_type: { elem_type: DATA_TYPES[dtype], shape: { dim } } } }
}

function attributesOf(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([name, value]) => {
    if (typeof value === 'bigint') return { name, type: ATTRIBUTE_TYPES.int, i: Number(value) }
    if (typeof value === 'number') return { name, type: ATTRIBUTE_TYPES.float, f: value }
    if (typeof value === 'string') return { name, type: ATTRIBUTE_TYPES.string, s: new TextEncoder().encode(value) }
    return { name, type: ATTRIBUTE_TYPES.ints, ints: value.map(Number) }
  })
}
