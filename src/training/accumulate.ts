import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import type { LossOptions } from '../base/architecture.ts'
import { valueAndGrads, type ValueAndGrads } from '../base/autodiff/grads.ts'
import type { ForwardOptions, Model } from '../base/model.ts'
import type { Batch } from '../base/batch.ts'
import { scale } from '../base/ops/algebra.ts'
import { NOTHING_COUNTS, type LossParts } from '../base/tasks/losses.ts'
import { InputError } from '../errors.ts'

/**
 * Loss and gradients of several batches, as if they were one: their sums are added and divided once, by all that counts, so that a
 * mean over all labels comes out whatever their lengths. The caller disposes both.
 *
 * @throws InputError when no label of any batch counts
 * @param options of each batch's forward pass and loss
 * @param idle as `valueAndGrads`
 */
export function accumulatedGrads(
  model: Model,
  batches: readonly Batch[],
  trainable: Readonly<Record<string, Variable>>,
  options: (index: number) => ForwardOptions & LossOptions,
  idle?: ReadonlySet<Variable>,
): ValueAndGrads {
  return gradsOfMean(batches, (batch, i) => model.lossParts(batch, options(i)), trainable, idle)
}

/** The same of any loss in parts. @param partsOf those of a batch, differentiable */
export function gradsOfMean(
  batches: readonly Batch[],
  partsOf: (batch: Batch, index: number) => LossParts,
  trainable: Readonly<Record<string, Variable>>,
  idle?: ReadonlySet<Variable>,
): ValueAndGrads {
  const [only, ...others] = batches
  if (only !== undefined && others.length === 0) { // the mean at once: no second set of gradients
    return valueAndGrads(() => {
      const { sum, weight } = partsOf(only, 0)
      if (weight === 0) throw new InputError(NOTHING_COUNTS)
      return scale(sum, 1 / weight)
    }, trainable, idle)
  }
  let all = 0
  const losses: Scalar[] = []
  let sums: Record<string, Tensor> = {}
  const add = (batch: Batch, i: number): void => {
    const { value, grads } = valueAndGrads(() => {
      const { sum, weight } = partsOf(batch, i)
      all += weight
      return sum
    }, trainable, idle)
    const before = sums
    losses.push(value)
    sums = i === 0 ? grads : tf.tidy(() => mapTensors(grads, (grad, name) => tf.add(grad, before[name] as Tensor))) // of the same names
    if (i > 0) tf.dispose([before, grads])
  }
  try {
    batches.forEach(add)
    if (all === 0) throw new InputError(NOTHING_COUNTS)
  } catch (error) {
    tf.dispose([sums, losses])
    throw error
  }
  const share = 1 / all
  const value = tf.tidy(() => tf.mul<Scalar>(tf.addN(losses), share))
  tf.dispose(losses)
  const means = mapTensors(sums, (sum) => {
    const mean = tf.mul(sum, share)
    sum.dispose()
    return mean
  })
  return { value, grads: means }
}

function mapTensors(record: Readonly<Record<string, Tensor>>, make: (tensor: Tensor, name: string) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, make(tensor, name)]))
}
