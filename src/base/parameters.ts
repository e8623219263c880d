// The parameters of a model by their names.

import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { FrozenWeight } from './engine/frozen-weight.ts'
import type { Model } from './model.ts'

/** Every parameter of a model, what is one tensor with another too. */
export function allNames({ parts: { params, ties } }: Model): string[] {
  return [...params.keys(), ...ties.keys()]
}

/**
 * A parameter in float32: to be read inside a tidy, because it may be a new tensor.
 *
 * @throws InputError
 */
export function paramOf(model: Model, name: string): Tensor {
  return storedOf(model, name).float32()
}

/** @throws InputError */
export function storedOf(model: Model, name: string): FrozenWeight {
  const { params, ties } = model.parts
  const param = params.get(ties.get(name) ?? name)
  if (param === undefined) throw new InputError(`The model has no parameter '${name}'.`)
  return param
}
