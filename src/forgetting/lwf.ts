// Learning without forgetting: on the rows of the new task the model is to answer as it did before. Li and Hoiem 2016,
// arXiv:1606.09282, with the temperature of Hinton et al. 2015, arXiv:1503.02531:
//
//   strength · temperature² · KL(softmax(before / temperature) ‖ softmax(now / temperature)), the mean over rows or tokens
//
// temperature² keeps the size of the gradients. The entropy of the answers before has no gradient: the paper's cross
// entropy has the same slope, and this is 0 where nothing has changed.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import type { Batch } from '../base/batch.ts'
import { valueAndGrads } from '../base/autodiff/grads.ts'
import { op } from '../base/autodiff/tape.ts'
import type { Model } from '../base/model.ts'
import { InputError } from '../errors.ts'
import type { Guard } from './guard.ts'
import { checkStrength } from './quadratic.ts'

/** What `lwf` takes. */
export interface LwfOptions {
  /** The logits of the model as it was, of the shape of the trained model's; freed by the guard. */
  readonly teacher: (batch: Batch) => Tensor
  /** Multiplies the penalty. At least 0. @default 1 */
  readonly strength?: number
  /** Above 0; higher ones give more weight to the unlikely classes. @default 2, the paper's */
  readonly temperature?: number
}

/**
 * The distance of logits from those of a teacher (Hinton et al. 2015, arXiv:1503.02531). Differentiable by `logits`.
 *
 * @param logits (…, C) @param teacher of the same shape
 * @param counts one for each row of logits, 0 where a row does not count. Default: all count
 * @returns a scalar of at least 0
 * @throws InputError when the shapes differ or the temperature is not above 0
 * @example const loss = distillation(tf.tensor2d([[1, 2]]), tf.tensor2d([[2, 1]]), 2)
 */
export function distillation(logits: Tensor, teacher: Tensor, temperature: number, counts?: ArrayLike<number>): Scalar {
  if (!(temperature > 0 && temperature < Infinity)) throw new InputError(`distillation: expected a temperature above 0, got ${temperature}.`)
  if (logits.shape.join() !== teacher.shape.join()) {
    throw new InputError(`distillation: expected logits of one shape, got [${logits.shape.join(', ')}] and the teacher’s [${teacher.shape.join(', ')}].`)
  }
  const C = logits.shape.at(-1) ?? 1
  const N = logits.size / C
  const weights = (): Tensor => {
    const counted = counts === undefined ? tf.ones([N, 1]) : tf.tensor2d(Float32Array.from(counts), [N, 1])
    return tf.div(counted, tf.maximum(tf.sum(counted), 1))
  }
  const rows = (tensor: Tensor): Tensor => tf.div(tf.reshape(tensor, [N, C]), temperature)
  return op([logits], (save) => {
    save(logits, teacher)
    const [now, before] = [tf.logSoftmax(rows(logits)), tf.logSoftmax(rows(teacher))]
    return tf.mul(tf.sum(tf.mul(weights(), tf.mul(tf.exp(before), tf.sub(before, now)))), temperature ** 2)
  }, (dy, saved) => {
    const [now, before] = saved.map((tensor) => tf.softmax(rows(tensor))) as [Tensor, Tensor]
    const slope = tf.mul(tf.mul(weights(), tf.sub(now, before)), tf.mul(dy, temperature))
    return [tf.reshape(slope, logits.shape)]
  })
}

/**
 * Learning without forgetting (arXiv:1606.09282): needs no earlier data, only the earlier model. Costs a forward pass of
 * each, and a backward pass, in each step; both without dropout.
 *
 * @throws InputError when strength or temperature are out of range
 * @example
 * const before = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sequence-classification', labels: ['ham', 'spam'] })
 * const guard = lwf({ teacher: (batch) => before.forward(batch) })
 * await new Trainer({ model, train, guards: [guard] }).fit()
 * before.dispose()
 */
export function lwf({ teacher, strength = 1, temperature = 2 }: LwfOptions): Guard {
  checkStrength('lwf', 'strength', strength)
  if (!(temperature > 0 && temperature < Infinity)) throw new InputError(`lwf: expected a temperature above 0, got ${temperature}.`)
  const loss = (model: Model, batch: Batch): Scalar => tf.tidy(() => {
    const logits = model.forward(batch)
    const real = batch.decoderIds === undefined ? batch.mask : batch.decoderMask
    const counts = logits.rank === 3 ? real : undefined // (B, T, C): padding does not count
    return distillation(logits, teacher(batch), temperature, counts)
  })
  return {
    name: `lwf(${strength}, temperature ${temperature})`,
    check: () => undefined,
    penalty: ({ model, trainable, batches }) => {
      const grads: Record<string, Tensor> = {}
      let value = 0
      for (const batch of batches) {
        const part = valueAndGrads(() => loss(model, batch), trainable)
        const share = strength / batches.length
        value += share * (part.value.dataSync()[0] ?? NaN)
        for (const [name, grad] of Object.entries(part.grads)) {
          const before = grads[name]
          grads[name] = tf.tidy(() => (before === undefined ? tf.mul(grad, share) : tf.add(before, tf.mul(grad, share))))
          before?.dispose()
        }
        tf.dispose([part.value, ...Object.values(part.grads)])
      }
      return { value, grads }
    },
  }
}
