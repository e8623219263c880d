import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import { takeRows, type Batch } from '../base/batch.ts'
import { op } from '../base/autodiff/tape.ts'
import type { ForwardOptions, Model } from '../base/model.ts'
import { withAdapters } from './active.ts'

/**
 * Runs a batch whose rows go through different adapters: each row as if it ran with its adapter alone, by whatever
 * method. Rows of one adapter run together, so a batch costs one pass for each adapter in it. Differentiable.
 *
 * @param adapters the name for each row; null for the base
 * @returns as `Model.forward`; the caller disposes it
 * @throws InputError when the number of names is not that of the rows, a name is unknown, or adapters
 *   have heads of different sizes
 * @example const logits = forwardPerRow(model, batch, ['spam', null, 'tone'])
 */
export function forwardPerRow(
  model: Model,
  batch: Batch,
  adapters: readonly (string | null)[],
  options: Omit<ForwardOptions, 'cache'> = {},
): Tensor {
  const { ids } = batch as { readonly ids?: unknown }
  if (Array.isArray(ids)) throw new InputError('forwardPerRow: expected a batch, { ids, batch, length } with the ids of all rows behind each other in an Int32Array, got a list of rows; predict(model, rows, { adapter }) takes those.')
  if (adapters.length !== batch.batch) {
    throw new InputError(`forwardPerRow: expected one adapter name (or null) for each of ${batch.batch} rows, got ${adapters.length}.`)
  }
  const groups = [...new Set(adapters)].map((name) => ({
    names: name === null ? [] : [name],
    rows: [...adapters.keys()].filter((row) => adapters[row] === name),
  }))
  const seen = groups.map(({ names }) => withAdapters(model, names))
  const sizes = seen.map(({ labels }) => labels.length)
  if (new Set(sizes).size > 1) {
    throw new InputError('forwardPerRow: expected adapters with as many classes each, for logits of one shape; run these apart, predict(model, rows, { adapter }):',
      groups.map(({ names: [name] }, i) => `${name === undefined ? 'the base' : `'${name}'`} has ${sizes[i]}`))
  }
  return tf.tidy(() => {
    const parts = groups.map(({ rows }, i) => (seen[i] as Model).forward(takeRows(batch, rows), options))
    return scatterRows(parts, groups.flatMap(({ rows }) => rows))
  })
}

/** Puts the rows of several tensors into one: row i of all of them together goes to `places[i]`. */
function scatterRows(parts: readonly Tensor[], places: readonly number[]): Tensor {
  const from = tf.tensor1d(places.map((_, row) => places.indexOf(row)), 'int32')
  return op(
    parts,
    (save) => {
      save(from)
      return tf.gather(tf.concat([...parts]), from)
    },
    (dy) => tf.split(tf.gather(dy, tf.tensor1d([...places], 'int32')), parts.map(({ shape }) => shape[0])),
  )
}
