// The usual bottleneck adapters, by AdapterHub's values; each option can be given another.

import type { Method } from '../base/method.ts'
import { bottleneck } from './bottleneck.ts'
import type { BottleneckOptions } from './options.ts'

/**
 * Behind attention and behind the feed-forward part; AdapterHub's `double_seq_bn`. Houlsby et al. 2019, arXiv:1902.00751
 *
 * @throws InputError as `bottleneck`
 * @example const adapter = attach(model, houlsby())
 */
export function houlsby(options: BottleneckOptions = {}): Method {
  return bottleneck({ parts: ['attention', 'feed-forward'], activation: 'swish', ...options })
}

/**
 * Behind the feed-forward part, reading what the model's own norm makes of it; AdapterHub's `seq_bn`.
 * Pfeiffer et al. 2020, arXiv:2005.00247
 *
 * @throws InputError as `bottleneck`
 * @example const adapter = attach(model, pfeiffer({ reductionFactor: 8 }))
 */
export function pfeiffer(options: BottleneckOptions = {}): Method {
  return bottleneck({ input: 'sum', ...options })
}

/**
 * Beside the feed-forward part, four times its output added; AdapterHub's `par_bn`. Starts equal to the base. With a
 * prefix beside it, this is the Mix-And-Match adapter. He et al. 2021, arXiv:2110.04366
 *
 * @throws InputError as `bottleneck`
 * @example
 * attach(model, prefix({ virtualTokens: 30 }), { name: 'prefix', train: [] }) // the head is trained with the other one
 * attach(model, parallel())
 */
export function parallel(options: BottleneckOptions = {}): Method {
  return bottleneck({ input: 'stream', reductionFactor: 2, scaling: 4, init: 'zero-up', ...options })
}

/**
 * `parallel` with a scaling that is trained, from 1 on; AdapterHub's `scaled_par_bn`. He et al. 2021, arXiv:2110.04366
 *
 * @throws InputError as `bottleneck`
 * @example const adapter = attach(model, scaledParallel())
 */
export function scaledParallel(options: BottleneckOptions = {}): Method {
  return parallel({ scaling: 'learned', ...options })
}
