// The numbers of TensorFlow's C API, and attributes of its operations.

import type { Attribute } from './tensorflow.ts'

/** Types of tensors: tf_datatype.h. */
export const DTYPES = { float32: 1, int32: 3, uint8: 4, bfloat16: 14 } as const

/** Kinds of attributes, by the type that a value has here: tf_attrtype.h. */
const KINDS = { number: 2, boolean: 3, string: 4 } as const

/**
 * Attributes of an operation as the binding takes them.
 *
 * @param values flags, floats, and types by name
 * @example const attributes = attributesOf({ T: 'float32', transpose_a: false })
 */
export function attributesOf(values: Readonly<Record<string, keyof typeof DTYPES | number | boolean>>): Attribute[] {
  return Object.entries(values).map(([name, value]) => ({
    name,
    type: KINDS[typeof value as keyof typeof KINDS],
    value: typeof value === 'string' ? DTYPES[value] : value,
  }))
}
