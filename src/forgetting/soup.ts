// Model soups of adapters: the average of several runs in place of the best of them.
//
// Wortsman et al. 2022, arXiv:2203.05482; of bottleneck adapters: Chronopoulou et al. 2023, arXiv:2302.07027

import * as tf from '@tensorflow/tfjs-core'
import { checkTakesModel } from '../base/awaited.ts'
import { InputError } from '../errors.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { Model } from '../base/model.ts'
import { adapterNamed } from '../base/adapter/named.ts'
import { combine } from '../manage/combine.ts'
import { attachLike, type NewAdapterOptions, NEW_ADAPTER_OPTIONS } from './attach-like.ts'
import { averageTensors } from './average.ts'
import { greedyChoice, type GreedyChoice } from './greedy.ts'
import { inPlaceOf } from './sweep.ts'
import { checkNames } from '../base/options.ts'

/**
 * Attaches a new adapter that is the average of others (Wortsman et al. 2022, arXiv:2203.05482); those stay as they are.
 *
 * Of low-rank updates it is exactly the average of the updates, by `combine` with 'cat', of the ranks' sum; cut it with
 * `combine` and 'svd' where that is too much. Of every other method it is the average of the tensors, and the adapters
 * have to be of one method with the same options: it works as far as they were trained from the same start.
 *
 * DoRA has no such average of its parts: take `combine` with 'svd', or `mergeModels` of the merged models.
 *
 * @param adapters at least one, of this model
 * @throws InputError when they cannot be averaged, as DoRA's cannot, or the name is taken
 * @example const mean = soup(model, ['a', 'b', 'tone'], { name: 'mean' })
 */
export function soup(model: Model, adapters: readonly (Adapter | string)[], options: NewAdapterOptions): Adapter {
  checkNames('soup', options, NEW_ADAPTER_OPTIONS)
  const members = adapters.map((adapter) => (typeof adapter === 'string' ? adapterNamed(model, adapter) : adapter))
  // An average of the tensors of what works on the weight itself is not the average of the weights.
  if (members.some(({ method }) => method.lowRank !== undefined || method.innermost === true)) {
    return combine(model, members.map((adapter) => ({ adapter, weight: 1 / members.length })), { kind: 'cat', ...options })
  }
  check(model, members)
  const mean = averageTensors(members.map(({ trainable, frozen }) => ({ ...trainable, ...frozen })))
  try {
    return attachLike(members[0] as Adapter, mean, options) // check has seen one
  } finally {
    tf.dispose(mean)
  }
}

/** What `greedySoup` takes: the new adapter's name and the score that it seeks. */
export interface GreedySoupOptions extends NewAdapterOptions {
  /** The score of the model that it is given, which has a candidate in place of the adapters, the higher the better, on rows held out from the training. */
  readonly evaluate: (model: Model) => number | Promise<number>
}

/** A greedy soup: the adapter, and how it was chosen, by the adapters' names. */
export interface GreedySoup extends GreedyChoice<string> {
  readonly adapter: Adapter
}

/**
 * Attaches the average of those adapters that are better together: see `greedyChoice`. Other adapters stay as they are.
 *
 * @param adapters at least one, of this model
 * @throws InputError when they cannot be averaged, `evaluate` takes no model, a score is NaN, or the name is taken
 * @example
 * const { adapter: mixed, chosen } = await greedySoup(model, ['a', 'b', 'tone'], {
 *   name: 'mixed',
 *   evaluate: async (model) => accuracy((await predict(model, train)).classes, train.labels),
 * })
 */
export async function greedySoup(
  model: Model,
  adapters: readonly (Adapter | string)[],
  given: GreedySoupOptions,
): Promise<GreedySoup> {
  checkNames('greedySoup', given, { ...NEW_ADAPTER_OPTIONS, evaluate: true })
  const { evaluate, ...options } = given
  checkTakesModel('greedySoup', evaluate)
  const members = adapters.map((adapter) => (typeof adapter === 'string' ? adapterNamed(model, adapter) : adapter))
  const found = await greedyChoice(members, (some) => inPlaceOf(members, () => soup(model, some, { name: options.name }), evaluate))
  const names = (some: readonly Adapter[]): string[] => some.map(({ name }) => name)
  return {
    adapter: soup(model, found.chosen, options),
    chosen: names(found.chosen),
    score: found.score,
    tried: found.tried.map(({ members: some, score }) => ({ members: names(some), score })),
  }
}

function check(model: Model, members: readonly Adapter[]): void {
  const [first, ...others] = members
  const problems: string[] = []
  if (first === undefined) problems.push('expected at least one adapter')
  for (const { name, model: theirs } of members) if (theirs !== model) problems.push(`'${name}' belongs to another model`)
  const settings = ({ method: { format }, context }: Adapter): string => JSON.stringify([format.type, format.config(context)])
  for (const other of others) {
    if (first === undefined || settings(other) === settings(first)) continue
    problems.push(`'${other.name}' is not of the method and options of '${first.name}'`)
  }
  if (problems.length > 0) throw new InputError('soup: these cannot be averaged:', problems)
}
