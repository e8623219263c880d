// Full fine-tuning, as the measure of every method that trains less. The base stays beside the trained copy, so the
// adapter can be disabled, compared and detached like any other; it takes as much memory again as what it trains.

import type { Method } from '../base/method.ts'
import type { SectionReader } from '../base/settings.ts'
import { layerOf } from '../base/sites.ts'
import { TargetError } from '../errors.ts'
import { copiesFormat } from './file-format.ts'
import { checkNames } from '../base/options.ts'
import type { Selection } from '../base/adapter/selection.ts'

/**
 * Trains every parameter of the model, or those of some layers: the rest is frozen, embeddings and pooler too, and the
 * backward pass ends at the lowest layer that is trained. To hand the result on, save the merged model.
 *
 * @throws TargetError, on attaching, when the model has no such layer
 * @example const adapter = attach(model, fullFineTuning({ layers: [4, 5] }))
 */
export function fullFineTuning(options: Pick<Selection, 'layers'> = {}): Method {
  checkNames('fullFineTuning', options, { layers: true })
  const { layers } = options
  return {
    select: () => [],
    init: () => ({}),
    copies: (params) => {
      const names = [...params.keys()]
      if (layers === undefined) return names
      const missing = layers.filter((layer) => !names.some((name) => layerOf(name) === layer))
      if (missing.length > 0) throw new TargetError('fullFineTuning: layers that the model does not have:', missing.map(String))
      return names.filter((name) => layers.includes(layerOf(name) ?? -1))
    },
    name: 'fullFineTuning',
    format: { ...copiesFormat('FULL'), fields: { done: ['layers_to_transform'], off: {}, idle: [] }, config: () => (layers === undefined ? {} : { layers_to_transform: [...layers] }) },
  }
}

/** The options of a full fine-tuning that this library saved. */
export function readFullOptions(read: SectionReader): Pick<Selection, 'layers'> {
  return read.has('layers_to_transform') ? { layers: read.list('layers_to_transform', 'integer', [], { min: 0 }) } : {}
}
