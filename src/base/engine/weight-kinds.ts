import { InputError, shown } from '../../errors.ts'
import { BFLOAT16 } from './bfloat16.ts'
import { FLOAT32 } from './float32.ts'
import type { WeightDtype, WeightKind } from './frozen-weight.ts'
import { INT8 } from './int8.ts'
import { NF4, NF4_SINGLE } from './nf4.ts'

const KINDS: Readonly<Record<WeightDtype, WeightKind>> = { float32: FLOAT32, bfloat16: BFLOAT16, int8: INT8, nf4: NF4 }

/** The kind of a name. */
export function weightKind(dtype: WeightDtype, doubleQuantization = true): WeightKind {
  return dtype === 'nf4' && !doubleQuantization ? NF4_SINGLE : KINDS[dtype]
}

/** @param call whose option it is @throws InputError when no kind has this name */
export function checkDtype(call: string, dtype: WeightDtype | undefined): void {
  if (dtype === undefined || Object.hasOwn(KINDS, dtype)) return
  throw new InputError(`${call}: dtype: expected ${Object.keys(KINDS).join(', ')}, got ${shown(dtype)}.`)
}
