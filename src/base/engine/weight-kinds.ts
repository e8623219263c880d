import { BFLOAT16 } from './bfloat16.ts'
import { FLOAT32 } from './float32.ts'
import type { WeightKind } from './frozen-weight.ts'
import { INT8 } from './int8.ts'
import { NF4, NF4_SINGLE } from './nf4.ts'

/** How weights are held, by name. */
export type WeightDtype = 'float32' | 'bfloat16' | 'int8' | 'nf4'

export const WEIGHT_DTYPES: readonly WeightDtype[] = ['float32', 'bfloat16', 'int8', 'nf4']

/** The kind of a name. */
export function weightKind(dtype: WeightDtype, doubleQuantization = true): WeightKind {
  return { float32: FLOAT32, bfloat16: BFLOAT16, int8: INT8, nf4: doubleQuantization ? NF4 : NF4_SINGLE }[dtype]
}
