import { InputError } from '../../errors.ts'
import type { AffineNumbers } from './affine-codes.ts'
import type { FrozenWeight, WeightKind } from './frozen-weight.ts'
import { packedWeight, type PackedForm } from './packed-weight.ts'

/** 4 or 8 bits a number, and a scale and an offset for each group: as files of MLX have them. Nothing is quantised so here. */
export const AFFINE: WeightKind = { name: 'affine', fileDtype: 'F32', fromFile: refuse, of: refuse }

function refuse(): never {
  throw new InputError("dtype: weights are held in MLX's codes where a file has them so; choose another kind to hold these.")
}

const FORM: PackedForm<AffineNumbers> = {
  bytes: ({ codes, scales, offsets }) => 4 * (codes.length + scales.length + offsets.length),
  kernel: 'none',
  operands: () => [], // no kernel reads them: products unpack a stripe at a time
  settings: () => ({}),
}

export function affineWeight(numbers: AffineNumbers): FrozenWeight {
  return packedWeight(AFFINE, FORM, numbers)
}
