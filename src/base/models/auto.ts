import { CheckpointError, shown } from '../../errors.ts'
import type { Architecture, Bounds, ConfigJson, Family, ReadOptions } from '../architecture.ts'
import { settingsReader } from '../settings.ts'
import { albert } from './albert.ts'
import { bart } from './bart.ts'
import { bert, ernie } from './bert.ts'
import { debertaV2 } from './deberta-v2.ts'
import { clip } from './clip.ts'
import { dinov2 } from './dinov2.ts'
import { distilbert } from './distilbert.ts'
import { electra } from './electra.ts'
import { gemma, gemma2, gemma3 } from './gemma.ts'
import { gemma4 } from './gemma4.ts'
import { gpt2 } from './gpt2.ts'
import { gptOss } from './gpt-oss.ts'
import { granite } from './granite.ts'
import { llama } from './llama.ts'
import { ministral, ministral3, mistral } from './mistral.ts'
import { mixtral } from './mixtral.ts'
import { modernbert } from './modernbert.ts'
import { mpnet } from './mpnet.ts'
import { nomicBert } from './nomic-bert.ts'
import { olmo2, olmo3 } from './olmo.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3, qwen3Moe } from './qwen3.ts'
import { qwen35 } from './qwen3-5.ts'
import { hintFor } from './relatives.ts'
import { camembert, data2vecText, roberta, xlmRoberta } from './roberta.ts'
import { seedOss } from './seed-oss.ts'
import { siglip } from './siglip.ts'
import { smollm3 } from './smollm3.ts'
import { mt5, t5 } from './t5.ts'
import { COMMON_OFF } from './settings.ts'
import { vit } from './vit.ts'

/** The only list of models: `model_type` of config.json to the family that reads it. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  bert, ernie, electra, roberta, 'xlm-roberta': xlmRoberta, camembert, 'data2vec-text': data2vecText, distilbert,
  'deberta-v2': debertaV2, mpnet, albert, nomic_bert: nomicBert,
  modernbert,
  gpt2, llama, mistral, ministral, ministral3, mixtral, gpt_oss: gptOss, qwen2, qwen3, qwen3_moe: qwen3Moe, qwen3_5_text: qwen35, phi3, seed_oss: seedOss, smollm3, granite, olmo2, olmo3, gemma, gemma2, gemma3_text: gemma3, gemma4_text: gemma4,
  t5, mt5, bart,
  vit, dinov2, clip, siglip,
}

/** Of a model that is made new. */
const OPEN: Bounds = { size: { min: 1, max: 2 ** 24 }, layers: { min: 1, max: 10_000 } }

/**
 * @param file the file's path, as errors name it
 * @param bounds how large a model can be
 * @param asked what the settings leave open
 * @throws CheckpointError for a model_type that is not supported, with the nearest family and all that are, and with everything that is wrong with its settings
 */
export function architectureOf(json: ConfigJson, file = 'The configuration', bounds: Bounds = OPEN, asked: ReadOptions = {}): Architecture {
  const type = json['model_type']
  const family = familyOf(type)
  if (family === undefined) {
    const hint = hintFor(json, (inner) => familyOf(inner) !== undefined)
    throw new CheckpointError(`${file}: model_type ${shown(type)} is not supported.${hint} Supported: ${Object.keys(FAMILIES).join(', ')}.`)
  }
  const read = settingsReader(json, { file, what: `a ${String(type)} model` })
  const off: Family['off'] = { ...COMMON_OFF, ...family.off }
  for (const [key, values] of Object.entries(off)) if (values !== undefined) read.off(key, values)
  const architecture = family.read(read, bounds, asked)
  read.done()
  return architecture
}

function familyOf(type: unknown): Family | undefined {
  return typeof type === 'string' && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined
}
