// A linear probe: the head is trained on what the frozen model says of a text.

import type { Method } from '../base/method.ts'
import { copiesFormat } from './file-format.ts'

/**
 * Trains the task's head and nothing else: what `attach` trains beside every method, alone.
 *
 * @throws TargetError, on attaching, where the task has no head
 * @example const adapter = attach(model, headOnly())
 */
export function headOnly(): Method {
  return { name: 'headOnly', select: () => [], init: () => ({}), format: copiesFormat('HEAD') }
}
