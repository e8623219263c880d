import * as tf from '@tensorflow/tfjs-core'
import type { Rank } from '@tensorflow/tfjs-core'
import type { Model } from '../model.ts'
import { storedOf } from '../parameters.ts'
import { Pass } from '../pass.ts'
import { NO_HANDLERS } from '../trace.ts'

/** Positions that the enabled adapters take before a text, such as virtual tokens: found by giving their steps a text of one token. */
export function positionsTaken(model: Model): number {
  const pass = new Pass({ param: (name) => storedOf(model, name), handlers: NO_HANDLERS, training: false, seed: 0 })
  const taken = model.parts.sites.filter((site) => site.kind === 'sequence').map(({ name, size }) => tf.tidy(() => {
    const text = { rows: tf.zeros<Rank.R2>([1, size]), batch: 1, length: 1, mask: tf.ones<Rank.R2>([1, 1]), lengths: [1], virtual: 0, offset: 0 }
    const { offset, mask } = model.attached.wiring.handlers.sequence.get(name)?.(text, (same) => same, pass) ?? text
    return offset + mask.shape[1] - text.length
  }))
  return Math.max(0, ...taken)
}
