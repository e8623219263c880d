import * as tf from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import { tensorsAt } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import { paramOf } from '../base/parameters.ts'
import { vocabSizeOf } from '../base/adapter/vocabulary.ts'
import { attachLike, type NewAdapterOptions, NEW_ADAPTER_OPTIONS } from './attach-like.ts'
import { mix, readAlpha, type Alpha } from './interpolate.ts'
import { nonFinite } from './records.ts'
import { checkKind } from '../base/awaited.ts'
import { checkNames } from '../base/options.ts'

/**
 * Attaches a new adapter on the way from the base (alpha 0) to a trained adapter (alpha 1), which stays as it is: WiSE-FT,
 * a trade between what the model could do and what it has learned. Wortsman et al. 2021, arXiv:2109.01903
 *
 * The new adapter is of the same method and can be saved, merged and switched like any other. Merged, it is
 * (1 − alpha) · the base's weights + alpha · the adapter's merged weights, to float32: LoRA's update shrinks; (IA)³'s
 * factors become 1 + alpha (l − 1); DoRA's magnitudes and rows are worked out anew; parameters trained in full (selective methods,
 * heads, biases) are mixed. Bottleneck adapters, which stand beside the weights, add alpha times what they added.
 *
 * A head that the checkpoint did not have was random before training: with one alpha for everything it stays as trained.
 *
 * @param alpha in [0, 1]; a function gets the paths of modules and the names of parameters trained in full
 * @throws InputError when alpha is out of range, a tensor is not finite, or the method has no way to the base: rows in front
 *   of the text (prefix, prompt, P-tuning) are there or not. `interpolateTensors` and `attachLike` still mix two states of such rows.
 * @example
 * const half = interpolate(adapter, 0.5, { name: 'half' })
 * const merged = merge(model, half)
 * @example
 * const later = interpolate(adapter, (name, layer) => (layer ?? 0) / 5, { name: 'later layers more' })
 */
export function interpolate(adapter: Adapter, alpha: Alpha, options: NewAdapterOptions): Adapter {
  checkNames('interpolate', options, NEW_ADAPTER_OPTIONS)
  checkKind('adapter', adapter)
  const { model, method, sites, copies } = adapter
  const trained = { ...adapter.trainable, ...adapter.frozen }
  const { at, problems } = readAlpha(alpha, [...sites.map(({ name }) => name), ...copies])
  const found = [...problems, ...nonFinite(`adapter '${adapter.name}'`, trained)]
  const { interpolate: between } = method
  if (sites.length > 0 && between === undefined) {
    found.push(
      `${method.name} has no counterpart in the base to start from: what it puts in front of the text is there or not; ` +
        'mix two trained states with interpolateTensors and attachLike',
    )
  }
  if (adapter.words !== vocabSizeOf(model.parts)) {
    found.push(`it has ${adapter.words} words and the base ${vocabSizeOf(model.parts)}: there is nothing between the two; merge it`)
  }
  if (found.length > 0) throw new InputError(`interpolate: adapter '${adapter.name}' cannot be interpolated:`, found)

  const changed = tf.tidy(() => {
    const tensors: Record<string, tf.Tensor> = {}
    for (const site of sites) {
      const share = at(site.name)
      if (share === 1) continue // to the bit as trained
      const own = between?.(site, tensorsAt(adapter, site), share, (full) => paramOf(model, full)) ?? {}
      for (const [local, tensor] of Object.entries(own)) tensors[`${site.name}.${local}`] = tensor
    }
    for (const full of copies) {
      const share = typeof alpha === 'number' && model.parts.initialized.includes(full) ? 1 : at(full)
      tensors[full] = mix(paramOf(model, full), trained[full] as tf.Tensor, share) // copies are keys of trainable
    }
    return tensors
  })
  try {
    return attachLike(adapter, { ...trained, ...changed }, options)
  } finally {
    tf.dispose(changed)
  }
}
