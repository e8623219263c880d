// Whether what is trained is what a guard was told of. Adapters of one method have the same names and shapes, so that nothing else would tell
// where the guard of one holds another.

import * as tf from '@tensorflow/tfjs-core'
import { tensorOf, valueOf, type Tensors } from './records.ts'

/** What a guard knows of the tensors whose numbers it holds. */
export interface ToldOf {
  /** It was told of these, as they are now. */
  tell(weights: Tensors): void
  /** It has back from a file what it was told of; undefined where the numbers are not known any more, as of several tasks. */
  restore(weights: Tensors | undefined): void
  /** Looks at what is about to be trained. */
  look(trainable: Tensors): void
  /** That a training looked at begins from other numbers, in tensors that it was never told of. */
  warning(guard: string, mend: string): string | undefined
}

export function toldOf(): ToldOf {
  const known = new WeakSet<tf.Tensor>()
  let print: string | undefined
  let isOther = false
  const know = (record: Tensors): void => { for (const tensor of Object.values(record)) if (tensor instanceof tf.Variable) known.add(tensor) }
  return {
    tell(weights) {
      know(weights)
      print = Object.values(weights).every((tensor) => tensor instanceof tf.Variable) ? printOf(weights) : undefined // copies may be anyone's
    },
    restore(weights) { print = weights === undefined ? undefined : printOf(weights) },
    look(trainable) {
      isOther = print !== undefined && !Object.values(trainable).some((tensor) => known.has(tensor)) && printOf(trainable) !== print
      if (!isOther) know(trainable)
    },
    warning: (guard, mend) => !isOther ? undefined
      : `${guard}: it was told of another adapter, of the same names and shapes: what is trained begins from other numbers, and is pulled to those of that one. ${mend}`,
  }
}

/** What records of other numbers do not have in common. */
export function printOf(record: Tensors): string {
  return Object.keys(record).sort().map((name) => {
    const tensor = tensorOf(record, name)
    return [valueOf(() => tf.sum(tensor)), valueOf(() => tf.sum(tf.square(tensor)))]
  }).join()
}
