// What models with different heads have in common: the body, by whose names they find each other's weights.

import { InputError } from '../errors.ts'
import type { FrozenWeight } from './engine/frozen-weight.ts'
import type { Model, ModelParts } from './model.ts'
import type { ParameterSpec } from './sites.ts'
import { taskRecord } from './tasks/task.ts'

type Named = Pick<ModelParts, 'architecture' | 'task'>

/** What comes before the names of the body: nothing in a model without a head, as in the Hub's AutoModel. */
const before = ({ architecture: { baseName }, task }: Named): string => (taskRecord(task).headless === true || baseName === '' ? '' : `${baseName}.`)

/**
 * What a place or parameter of the body is called in another model of it.
 *
 * @param from where it has this name @param to the other model
 * @returns undefined of what is the head's
 */
export function nameInBody(name: string, from: Named, to: Named): string | undefined {
  const prefix = before(from)
  return name.startsWith(prefix) ? before(to) + name.slice(prefix.length) : undefined
}

/**
 * The weights of a body for a model with another head, by that model's names.
 *
 * @throws InputError where they have other shapes there: the body is of other words
 */
export function sharedOf(body: Model | undefined, of: Named, specs: ReadonlyMap<string, ParameterSpec>): ReadonlyMap<string, FrozenWeight> {
  const shared = new Map<string, FrozenWeight>()
  if (body === undefined) return shared
  const { params, ties } = body.parts
  const problems: string[] = []
  for (const [name, { shape }] of specs) {
    const there = nameInBody(name, of, body.parts)
    const weight = there === undefined ? undefined : params.get(ties.get(there) ?? there)
    if (weight === undefined) continue
    if (weight.shape.join() === shape.join()) shared.set(name, weight)
    else problems.push(`${name}: expected [${shape.join(', ')}], the model has [${weight.shape.join(', ')}]`)
  }
  if (problems.length === 0) return shared
  throw new InputError('withHead: the model is not the one of its files any more. Save it, and give the head to what loadModel reads there:', problems)
}
