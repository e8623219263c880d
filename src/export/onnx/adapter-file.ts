// onnxruntime's files of adapters: a flatbuffer of named tensors, as onnxruntime/lora/adapter_format/adapter_schema.fbs says.

import { Builder, type Offset } from 'flatbuffers'
import { bytesOf } from '../../base/checkpoint/dtype.ts'
import { DATA_TYPES } from './schema.ts'

export interface AdapterTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array
}

const IDENTIFIER = 'TORT'
const FORMAT_VERSION = 1
/** Places of the fields of `Adapter` and of `Parameter`. */
const [ADAPTER, PARAMETER] = [{ formatVersion: 0, adapterVersion: 1, modelVersion: 2, parameters: 3 }, { name: 0, dims: 1, dataType: 2, rawData: 3 }] as const
/** Where numbers begin has to be a multiple of it. */
const ALIGNMENT = 8

/** The bytes of an .onnx_adapter. */
export function adapterFile(tensors: readonly AdapterTensor[]): Uint8Array {
  const builder = new Builder(1024)
  const parameters = vectorOf(builder, tensors.map((tensor) => parameter(builder, tensor)))
  builder.startObject(4)
  builder.addFieldInt32(ADAPTER.formatVersion, FORMAT_VERSION, 0)
  builder.addFieldInt32(ADAPTER.adapterVersion, 1, 0)
  builder.addFieldInt32(ADAPTER.modelVersion, 1, 0)
  builder.addFieldOffset(ADAPTER.parameters, parameters, 0)
  builder.finish(builder.endObject(), IDENTIFIER)
  return builder.asUint8Array()
}

function parameter(builder: Builder, { name, shape, values }: AdapterTensor): Offset {
  const title = builder.createString(name)
  builder.startVector(8, shape.length, 8)
  for (const size of [...shape].reverse()) builder.addInt64(BigInt(size))
  const dims = builder.endVector()
  const data = bytesOf(values)
  builder.startVector(1, data.length, ALIGNMENT)
  for (let i = data.length - 1; i >= 0; i--) builder.addInt8(data[i] ?? 0)
  const raw = builder.endVector()
  builder.startObject(4)
  builder.addFieldOffset(PARAMETER.name, title, 0)
  builder.addFieldOffset(PARAMETER.dims, dims, 0)
  builder.addFieldInt32(PARAMETER.dataType, DATA_TYPES.float32, 0)
  builder.addFieldOffset(PARAMETER.rawData, raw, 0)
  return builder.endObject()
}

function vectorOf(builder: Builder, offsets: readonly Offset[]): Offset {
  builder.startVector(4, offsets.length, 4)
  for (const offset of [...offsets].reverse()) builder.addOffset(offset)
  return builder.endVector()
}
