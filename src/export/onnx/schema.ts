// The part of ONNX's file format that is written here: messages of onnx.proto, field by field with their numbers.

import protobuf from 'protobufjs/light.js'

const REPEATED = true
type Field = readonly [id: number, type: string, repeated?: true]

const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  ModelProto: { ir_version: [1, 'int64'], producer_name: [2, 'string'], graph: [7, 'GraphProto'], opset_import: [8, 'OperatorSetIdProto', REPEATED] },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  GraphProto: {
    node: [1, 'NodeProto', REPEATED], name: [2, 'string'], initializer: [5, 'TensorProto', REPEATED],
    input: [11, 'ValueInfoProto', REPEATED], output: [12, 'ValueInfoProto', REPEATED],
  },
  NodeProto: {
    input: [1, 'string', REPEATED], output: [2, 'string', REPEATED], name: [3, 'string'], op_type: [4, 'string'],
    attribute: [5, 'AttributeProto', REPEATED], domain: [7, 'string'],
  },
  AttributeProto: {
    name: [1, 'string'], f: [2, 'float'], i: [3, 'int64'], s: [4, 'bytes'], ints: [8, 'int64', REPEATED], type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64', REPEATED], data_type: [2, 'int32'], name: [8, 'string'], raw_data: [9, 'bytes'],
    external_data: [13, 'StringStringEntryProto', REPEATED], data_location: [14, 'int32'],
  },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensor_type: [1, 'TensorTypeProto'] },
  TensorTypeProto: { elem_type: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto', REPEATED] },
  DimensionProto: { dim_value: [1, 'int64'], dim_param: [2, 'string'] },
}

/** Types of tensors. */
export const DATA_TYPES = { float32: 1, uint8: 2, int8: 3, int64: 7, bool: 9, float16: 10 } as const
export type DataType = keyof typeof DATA_TYPES

/** Types of attributes. */
export const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, ints: 7 } as const

/** Where a tensor's numbers are. */
export const EXTERNAL = 1

/** The bytes of a ModelProto. @param model in the format's own names */
export function encodeModel(model: object): Uint8Array {
  const nested = Object.fromEntries(Object.entries(MESSAGES).map(([name, fields]) => [name, {
    fields: Object.fromEntries(Object.entries(fields).map(([field, [id, type, repeated]]) => [field, { id, type, ...(repeated === true ? { rule: 'repeated' } : {}) }])),
  }]))
  const type = protobuf.Root.fromJSON({ nested }).lookupType('ModelProto')
  return type.encode(model).finish()
}
