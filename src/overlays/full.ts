// Full fine-tuning, as the measure of every method that trains less. The base stays beside the trained copy, so the
// adapter can be disabled, compared and detached like any other; it takes as much memory again.

import type { Method } from '../base/method.ts'
import { copiesWire } from './wire.ts'

/**
 * Trains every parameter of the model. To hand the result on, save the merged model.
 *
 * @example const adapter = attach(model, fullFineTuning())
 */
export function fullFineTuning(): Method {
  return { select: () => [], init: () => ({}), copies: (params) => [...params.keys()], wire: copiesWire('FULL') }
}
