// How a text is drawn, in mlx-lm's words.

import type { GenerateTextOptions } from '../base/generate/text.ts'
import { given, numeral, wholeNumber } from './usage.ts'

export const WRITING_FLAGS = {
  'max-tokens': { type: 'string' }, temp: { type: 'string' }, 'top-p': { type: 'string' }, 'top-k': { type: 'string' }, 'min-p': { type: 'string' }, seed: { type: 'string' },
} as const

type Values = { readonly [Name in keyof typeof WRITING_FLAGS]?: string | undefined }

/** Tokens where none are asked for, as in mlx-lm. */
const MAX_TOKENS = 256

/** @throws UsageError where a number is none */
export function writingOptions(values: Values): GenerateTextOptions {
  return {
    maxNewTokens: wholeNumber('max-tokens', values['max-tokens']) ?? MAX_TOKENS,
    ...given({
      temperature: numeral('temp', values.temp), topP: numeral('top-p', values['top-p']), topK: wholeNumber('top-k', values['top-k']), minP: numeral('min-p', values['min-p']),
      seed: wholeNumber('seed', values.seed),
    }),
  }
}
