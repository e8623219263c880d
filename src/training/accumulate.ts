import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import type { LossOptions } from '../base/architecture.ts'
import { valueAndGrads } from '../base/grads.ts'
import type { ForwardOptions, Model } from '../base/model.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import type { Batch } from '../base/batch.ts'

/**
 * Loss and gradients of several batches, as if they were one: each counts by the number of its labels, so that a mean over
 * all labels comes out whatever their lengths. The caller disposes the gradients.
 *
 * @param options of each batch's forward pass and loss
 * @param idle as `valueAndGrads`
 */
export function accumulatedGrads(
  model: Model,
  batches: readonly Batch[],
  trainable: Readonly<Record<string, Variable>>,
  options: (index: number) => ForwardOptions & LossOptions,
  idle?: ReadonlySet<Variable>,
): { readonly loss: number; readonly grads: Record<string, Tensor> } {
  const settings = batches.map((_, i) => options(i))
  const weights = batches.map((batch, i) => labelsCounted(model, batch, settings[i]))
  const all = weights.reduce((sum, weight) => sum + weight, 0) || 1 // no label at all: every gradient is 0 anyway
  let loss: Scalar = tf.scalar(0)
  let grads: Record<string, Tensor> = {}
  batches.forEach((batch, i) => {
    const part = valueAndGrads(() => model.loss(batch, settings[i]), trainable, idle)
    const share = (weights[i] ?? 0) / all
    const before = { loss, grads }
    loss = tf.tidy(() => tf.add(before.loss, tf.mul(part.value, share)))
    grads = share === 1 ? part.grads : Object.fromEntries(Object.entries(part.grads).map(([name, grad]) => [name, tf.tidy(() => {
      const scaled = tf.mul(grad, share)
      const sum = before.grads[name]
      return sum === undefined ? scaled : tf.add(sum, scaled)
    })]))
    tf.dispose([before.loss, part.value, ...Object.values(before.grads), ...(share === 1 ? [] : Object.values(part.grads))])
  })
  const value = loss.dataSync()[0] ?? NaN
  loss.dispose()
  return { loss: value, grads }
}

/** Labels that the loss is a mean over, or their weights. A causal LM predicts no first token. */
export function labelsCounted(model: Model, { labels = new Int32Array(), length }: Batch, { classWeights }: LossOptions = {}): number {
  const shifted = model.parts.task === 'causal-lm'
  const weightOf = (label: number): number => classWeights?.[label] ?? 1
  return labels.reduce((sum, label, i) => sum + (label === IGNORED_LABEL || (shifted && i % length === 0) ? 0 : weightOf(label)), 0)
}
