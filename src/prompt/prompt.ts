// Prompt tuning: trained rows in front of the token embeddings.
//
//   encoder([P; x]),  P (virtualTokens, D)
//
// Lester et al. 2021, arXiv:2104.08691
//
// Differs from PEFT: outputs are for the tokens of the text alone; PEFT's have the virtual ones in front. A class for a
// sequence is read off the text's tokens unless `pooling` says otherwise, as it does for PEFT's files. The first token of a
// text, which PEFT's loss of a causal LM holds against the last virtual row, has no part in the loss.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import { NO_VALUES, type Init, type InitContext, type Method, type SiteTensors } from '../base/method.ts'
import { int, normal } from '../base/random.ts'
import type { SequenceSite } from '../base/sites.ts'
import { checkTokens, virtualRows } from './virtual-rows.ts'
import { PROMPT_FIELDS, promptFormat } from './file-format.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { PromptOptions, PromptConfig } from './options.ts'

const NAMES: Names<PromptOptions> = { virtualTokens: true, init: true, pooling: true }

/**
 * Prompt tuning: trained rows in front of the text's embeddings (Lester et al. 2021, arXiv:2104.08691).
 *
 * @throws InputError on options that cannot be used
 * @example
 * const [ids = []] = tokenizer.encode(['Is this mail spam?']).ids
 * const adapter = attach(model, prompt({ init: { ids } }))
 */
export function prompt(options: PromptOptions = {}): Method {
  checkNames('prompt', options, NAMES)
  const { init = 'normal', pooling = 'text' } = options
  const { virtualTokens = typeof init === 'string' ? 20 : init.ids.length } = options
  checkTokens('prompt', virtualTokens)
  if (typeof init !== 'string' && init.ids.length === 0) throw new InputError('prompt: init.ids: expected at least one token, got none.')
  const config: PromptConfig = { virtualTokens, init, pooling }
  return virtualRows({
    name: 'prompt',
    virtualTokens,
    init: (site, context) => ({
      prompt: { shape: [virtualTokens, site.size], values: context.fresh ? startOf(config, site, context) : NO_VALUES },
    }),
    rows: promptRows,
    pooling,
    format: promptFormat({ type: 'PROMPT_TUNING', virtualTokens, pooling, fields: PROMPT_FIELDS, values: () => PROMPT_VALUES, rows: promptRows }),
  })
}

// 'TEXT' would make PEFT look for a tokenizer.
const PROMPT_VALUES = { prompt_tuning_init: 'RANDOM', prompt_tuning_init_text: null, tokenizer_name_or_path: null, tokenizer_kwargs: null }

/** The trained rows, where they are trained as they are. */
export function promptRows(own: SiteTensors): Tensor2D {
  return own['prompt'] as Tensor2D
}

function startOf({ virtualTokens: P, init }: PromptConfig, { name, size, table }: SequenceSite, { draw, param }: InitContext): Init['values'] {
  if (init === 'normal') return normal(draw('prompt'), P * size, 0, 1) // PEFT: torch's Embedding
  if (table === undefined) throw new InputError(`prompt: init: expected 'normal', got ${shown(init)}: at '${name}' the model looks nothing up in a table.`)
  const words = param(table) as Tensor2D
  const stream = draw('prompt')
  const vocabulary = words.shape[0]
  const given: readonly unknown[] = init === 'vocabulary' ? [] : Array.from(init.ids)
  const wrong = given.filter((id) => !(Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabulary))
  if (wrong.length > 0) {
    throw new InputError(`prompt: init.ids: ${shown(wrong[0])} is outside the vocabulary of ${vocabulary}; is it this model's tokenizer?`)
  }
  const ids = Int32Array.from({ length: P }, (_, i) =>
    init === 'vocabulary' ? int(stream, vocabulary) : (init.ids[i % init.ids.length] ?? 0),
  )
  return tf.gather(words, tf.tensor1d(ids, 'int32'))
}
