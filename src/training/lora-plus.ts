// LoRA+: B learns faster than A. Hayou, Ghosh and Yu 2024, arXiv:2402.12354
//
// Differs from PEFT: an embedding's A and B are treated as any other's; PEFT gives them a fixed rate of 1e-6.

import { InputError } from '../errors.ts'
import type { ParameterGroup } from './adamw.ts'

/**
 * Optimiser groups of LoRA+ (Hayou, Ghosh and Yu 2024, arXiv:2402.12354), for LoRA and DoRA: B, magnitudes and biases at
 * `ratio` times the learning rate, the rest at the learning rate. Magnitudes and biases do not decay.
 *
 * @param ratio above 0; the paper finds about 16 good, with a somewhat lower learning rate than LoRA's
 * @throws InputError when the ratio is not above 0
 * @example new Trainer({ model, train, learningRate: 2e-4, groups: loraPlus(16) })
 */
export function loraPlus(ratio: number): ParameterGroup[] {
  if (!(ratio > 0 && Number.isFinite(ratio))) throw new InputError(`loraPlus: expected a ratio above 0, got ${ratio}.`)
  return [
    { match: (name) => name.endsWith('.B'), learningRateScale: ratio },
    { match: (name) => name.endsWith('.magnitude') || name.endsWith('.bias'), learningRateScale: ratio, weightDecay: 0 },
  ]
}
