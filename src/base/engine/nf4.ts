import * as tf from '@tensorflow/tfjs-core'
import { toFloat32 } from '../checkpoint/dtype.ts'
import type { FrozenWeight, WeightKind } from './frozen-weight.ts'
import { quantizeNf4, type Nf4Numbers } from './nf4-codes.ts'
import { byteTensor } from './opaque.ts'
import { packedWeight, type PackedForm } from './packed-weight.ts'
import { rounds } from './rounded-rows.ts'

function kindOf(nested: boolean): WeightKind {
  const kind: WeightKind = {
    name: 'nf4',
    fileDtype: 'F32',
    fromFile: (data) => packedWeight(kind, FORM, quantizeNf4(toFloat32(data), data.shape, nested)),
    of: (tensor) => packedWeight(kind, FORM, quantizeNf4(tensor.dataSync<'float32'>(), tensor.shape, nested)),
  }
  return kind
}

/** 4.13 bits a number: the scales of blocks are quantised too. */
export const NF4: WeightKind = kindOf(true)

/** 4.5 bits a number. */
export const NF4_SINGLE: WeightKind = kindOf(false)

const FORM: PackedForm<Nf4Numbers> = {
  bytes: ({ codes, scales }) => codes.length + (scales instanceof Float32Array ? 4 * scales.length : scales.codes.length + 4 * scales.scales.length),
  kernel: 'ProductNf4',
  operands: ({ codes, scales }) => {
    const nested = scales instanceof Float32Array ? undefined : scales
    return [
      byteTensor(codes), tf.tensor1d(scales instanceof Float32Array ? scales : scales.scales), byteTensor(nested?.codes ?? new Uint8Array(0)),
      tf.tensor1d(nested === undefined ? [] : [...nested.map, nested.offset], 'float32'),
    ]
  },
  settings: ({ blockSize, scales }) => ({ block: blockSize, nested_block: scales instanceof Float32Array ? 1 : scales.blockSize, rounded: rounds() }),
}

export function nf4Weight(numbers: Nf4Numbers): FrozenWeight {
  return packedWeight(numbers.scales instanceof Float32Array ? NF4_SINGLE : NF4, FORM, numbers)
}
