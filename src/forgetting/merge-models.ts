import * as tf from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import { FLOAT32 } from '../base/engine/float32.ts'
import type { FrozenWeight } from '../base/engine/frozen-weight.ts'
import { Model } from '../base/model.ts'
import { checkRecords, tensorOf, type Tensors } from './records.ts'

/**
 * A new model whose weights a rule makes of those of others; they stay as they are. It has the configuration, the labels
 * and the tokenizer files of the first. What is attached to a model does not count: `merge` first.
 *
 * A head that the checkpoint of a base did not have was made anew by `loadModel`; mix such a base with an alpha of 1 for
 * the head, so that the trained one is taken.
 *
 * Weights in bfloat16 are given in float32, and what the rule makes is held in float32.
 *
 * @param models at least one, with parameters of the same names and shapes
 * @param rule gets the weights of each and gives those of the new one; it may return what it was given
 * @returns a model that can be disposed by itself
 * @throws InputError when the models do not fit each other or the rule gives other names or shapes; it lists all
 * @example
 * const half = mergeModels([model, merge(model, adapter)], ([base, tuned]) => interpolateTensors(base, tuned, 0.5))
 * @example
 * const runs = ['a', 'b'].map((name) => merge(model, adapterNamed(model, name)))
 * const mean = mergeModels(runs, (records) => averageTensors(records))
 * @example
 * const [spam, tone] = ['spam', 'tone'].map((name) => merge(model, adapterNamed(model, name)))
 * if (spam !== undefined && tone !== undefined) {
 *   const both = mergeModels([model, spam, tone], ([base, ...tuned]) =>
 *     addTaskVectors(base, tuned.map((weights) => ({ vector: taskVector(base, weights) })), { kind: 'ties', density: 0.2 }))
 * }
 */
export function mergeModels<const Models extends readonly Model[]>(
  models: Models,
  rule: (weights: { readonly [Index in keyof Models]: Tensors }) => Tensors,
): Model {
  const [first] = models
  if (first === undefined) throw new InputError('mergeModels: expected at least one model, got none.')
  const params = new Map<string, FrozenWeight>()
  tf.tidy(() => {
    const records = models.map(({ parts }) => Object.fromEntries([...parts.params].map(([name, weight]) => [name, weight.float32()])))
    checkRecords('mergeModels', records.map((record, i) => [`model ${i}`, record] as const))
    const made = rule(records as unknown as { readonly [Index in keyof Models]: Tensors }) // one for each model
    checkRecords('mergeModels', [['model 0', records[0] ?? {}], ['what the rule gave', made]])
    for (const name of first.parts.params.keys()) params.set(name, FLOAT32.of(tensorOf(made, name)))
  })
  return new Model({ ...first.parts, params })
}
