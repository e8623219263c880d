import { CheckpointError } from '../../errors.ts'
import type { Architecture, ConfigJson } from '../architecture.ts'
import { bert } from './bert.ts'
import { distilbert } from './distilbert.ts'
import { gpt2 } from './gpt2.ts'
import { llama } from './llama.ts'
import { mistral } from './mistral.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { roberta } from './roberta.ts'

/** The only list of models: `model_type` of config.json to the family that reads it. */
const FAMILIES: Readonly<Record<string, (json: ConfigJson) => Architecture>> = {
  bert, roberta, distilbert, gpt2, llama, mistral, qwen2, qwen3,
}

/** @throws CheckpointError for a model_type that is not supported, listing those that are */
export function architectureOf(json: ConfigJson): Architecture {
  const type = json['model_type']
  const family = typeof type === 'string' && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined
  if (family === undefined) {
    const known = Object.keys(FAMILIES).join(', ')
    throw new CheckpointError(`config.json: model_type ${JSON.stringify(type)} is not supported; supported: ${known}.`)
  }
  return family(json)
}
