import * as tf from '@tensorflow/tfjs-core'
import { bytesOf, toFloat32 } from '../checkpoint/dtype.ts'
import type { FrozenWeight, WeightKind } from './frozen-weight.ts'
import { rounds, THRESHOLD } from './rounded-rows.ts'
import { int8Factor, quantizeInt8, type Int8Numbers } from './int8-codes.ts'
import { byteTensor } from './opaque.ts'
import { packedWeight, type PackedForm } from './packed-weight.ts'

/** 8 bits a number, and a scale for each output. Products round what they multiply to int8 too. */
export const INT8: WeightKind = {
  name: 'int8',
  fileDtype: 'F32',
  fromFile: (data) => int8Weight(quantizeInt8(toFloat32(data), data.shape)),
  of: (tensor) => int8Weight(quantizeInt8(tensor.dataSync<'float32'>(), tensor.shape)),
}

const FORM: PackedForm<Int8Numbers> = {
  bytes: ({ codes, scales }) => codes.length + 4 * scales.length,
  kernel: 'ProductInt8',
  operands: ({ codes, scales }) => [byteTensor(bytesOf(codes)), tf.tensor1d(scales.map(int8Factor))],
  settings: () => ({ rounded: rounds(), threshold: THRESHOLD }),
  factors: ({ scales }) => scales.map(int8Factor),
}

export function int8Weight(numbers: Int8Numbers): FrozenWeight {
  return packedWeight(INT8, FORM, numbers)
}
