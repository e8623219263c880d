// BitFit: every bias of the model is trained, norms' shifts too, and nothing else.
//
// Ben Zaken et al. 2021, arXiv:2106.10199

import type { Method } from '../base/method.ts'
import { copiesFormat } from './file-format.ts'

/**
 * Trains the biases (Ben Zaken et al. 2021, arXiv:2106.10199). The adapted model starts equal to the base.
 *
 * @example const adapter = attach(model, bitFit())
 */
export function bitFit(): Method {
  return {
    select: () => [],
    init: () => ({}),
    copies: (params) => [...params.keys()].filter((name) => name.endsWith('.bias')),
    name: 'bitFit',
    format: copiesFormat('BITFIT'),
  }
}
