// The options of a LoRA from HF PEFT's settings.

import { shown } from '../errors.ts'
import { patternExpression } from '../base/adapter/peft-selection.ts'
import { checkPattern, readSelection, type FileContext } from '../base/adapter/read-selection.ts'
import type { Range, SectionReader } from '../base/settings.ts'
import { LORA_FIELDS } from './file-format.ts'
import type { LoraOptions, TokenRows } from './options.ts'

/** The options of a LoRA or DoRA that HF PEFT or this library saved, and which of the two it is. */
export function readLoraOptions(read: SectionReader, file: FileContext): { readonly dora: boolean; readonly options: LoraOptions } {
  const { off } = LORA_FIELDS
  for (const [key, values] of Object.entries(off)) read.off(key, values)
  const init = readInit(read)
  const positive = init === 'pissa' || init === 'olora' ? { above: 0 } : {}
  const options: LoraOptions = {
    rank: read.integer('r', { fallback: 8, min: 1 }),
    alpha: read.number('lora_alpha', { fallback: 8, ...positive }),
    dropout: read.number('lora_dropout', { fallback: 0, min: 0, below: 1 }),
    rankStabilized: read.flag('use_rslora', false),
    rankPattern: readPatterns(read, 'rank_pattern', { min: 1 }),
    alphaPattern: readPatterns(read, 'alpha_pattern', positive),
    ensureWeightTying: read.flag('ensure_weight_tying', false) && read.raw('use_dora') !== true,
    bias: read.oneOf('bias', ['none', 'all', 'lora_only'], 'none'),
    init,
    ...readTokens(read),
    targetParameters: read.list('target_parameters', 'text', []),
    ...readSelection(read, file, { layers: true }),
  }
  for (const [pattern, rank] of Object.entries(options.rankPattern ?? {})) {
    read.check(Number.isInteger(rank), `rank_pattern['${pattern}']: expected an integer, got ${rank}`)
  }
  return { dora: read.flag('use_dora', false), options }
}

function readTokens(read: SectionReader): Pick<LoraOptions, 'trainableTokens'> {
  const value = read.raw('trainable_token_indices') ?? undefined
  if (value === undefined) return {}
  const isIds = (ids: unknown): ids is number[] => Array.isArray(ids) && ids.length > 0 && ids.every((id) => Number.isInteger(id) && id >= 0)
  const byModule = typeof value === 'object' && !Array.isArray(value) && Object.values(value).every(isIds)
  read.check(byModule || isIds(value), `trainable_token_indices: expected a list of ids, or one for each of some modules, got ${shown(value)}`)
  return byModule || isIds(value) ? { trainableTokens: value as TokenRows } : {}
}

function readPatterns(read: SectionReader, key: string, range: Range): Readonly<Record<string, number>> {
  const patterns = read.numbers(key, {}, range)
  return Object.fromEntries(Object.entries(patterns).filter(([pattern]) => checkPattern(read, `${key}['${pattern}']`, patternExpression(pattern))))
}

/** Starts that leave the base as it is count for nothing once the tensors are there; of the others, those that can be done again. */
function readInit(read: SectionReader): 'kaiming' | 'gaussian' | 'pissa' | 'olora' {
  const value = read.raw('init_lora_weights') ?? true
  const text = typeof value === 'string' ? value.toLowerCase() : value
  if (text === 'gaussian' || text === 'pissa' || text === 'olora') return text
  const known = typeof text === 'boolean' || text === 'eva' || text === 'orthogonal' || text === 'mica'
  read.check(known,
    `init_lora_weights: expected true, false, "gaussian", "pissa", "olora", "eva", "orthogonal" or "mica", got ${shown(value)}, which changed the ` +
      'base weights in a way that cannot be done again; in PEFT, save it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)')
  return 'kaiming'
}
