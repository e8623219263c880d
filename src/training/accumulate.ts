import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import type { LossOptions } from '../base/architecture.ts'
import { valueAndGrads, type ValueAndGrads, type WhenWhole } from '../base/autodiff/grads.ts'
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
  const { loss, grads: sums, weight } = gradSums(batches, partsOf, trainable, idle)
  if (weight === 0) {
    tf.dispose([sums, loss])
    throw new InputError(NOTHING_COUNTS)
  }
  const share = 1 / weight
  const value = tf.tidy(() => tf.mul<Scalar>(loss, share))
  loss.dispose()
  const means = mapTensors(sums, (sum) => {
    const mean = tf.mul(sum, share)
    sum.dispose()
    return mean
  })
  return { value, grads: means }
}

/** What batches add up to, not divided yet. */
interface GradSums {
  readonly loss: Scalar
  readonly grads: Record<string, Tensor>
  readonly weight: number
}

/**
 * Loss and gradients of several batches as sums, and what counts in them. The caller disposes both.
 *
 * @param whenWhole as `valueAndGrads`, of a batch that is alone
 */
export function gradSums(
  batches: readonly Batch[],
  partsOf: (batch: Batch, index: number) => LossParts,
  trainable: Readonly<Record<string, Variable>>,
  idle?: ReadonlySet<Variable>,
  whenWhole?: WhenWhole,
): GradSums {
  let weight = 0
  const losses: Scalar[] = []
  let grads: Record<string, Tensor> = {}
  try {
    for (const [i, batch] of batches.entries()) {
      const one = valueAndGrads(() => {
        const parts = partsOf(batch, i)
        weight += parts.weight
        return parts.sum
      }, trainable, idle, batches.length === 1 ? whenWhole : undefined)
      const before = grads
      losses.push(one.value)
      grads = i === 0 ? one.grads : tf.tidy(() => mapTensors(one.grads, (grad, name) => tf.add(grad, before[name] as Tensor))) // of the same names
      if (i > 0) tf.dispose([before, one.grads])
    }
    return { loss: tf.tidy(() => tf.addN(losses).clone()), grads, weight }
  } catch (error) {
    tf.dispose(grads)
    throw error
  } finally {
    tf.dispose(losses)
  }
}

function mapTensors(record: Readonly<Record<string, Tensor>>, make: (tensor: Tensor, name: string) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(record).map(([name, tensor]) => [name, make(tensor, name)]))
}
