// The lists of what becomes of each field of an adapter's settings, by `peft_type`.

import { BOTTLENECK_FIELDS } from '../src/adapters/file-format.ts'
import type { MethodFields } from '../src/base/adapter/file-format.ts'
import { ADALORA_FIELDS } from '../src/lora/adalora-file-format.ts'
import { IA3_FIELDS } from '../src/lora/ia3-file-format.ts'
import { LORA_FIELDS } from '../src/lora/file-format.ts'
import { LAYER_NORM_FIELDS } from '../src/selective/layer-norm.ts'
import { TRAINABLE_TOKENS_FIELDS } from '../src/selective/trainable-tokens-format.ts'
import { PREFIX_FIELDS } from '../src/prefix/file-format.ts'
import { P_TUNING_FIELDS, PROMPT_FIELDS } from '../src/prompt/file-format.ts'

/** Those of HF PEFT. */
export const PEFT_FIELDS: Readonly<Record<string, MethodFields>> = {
  ADALORA: ADALORA_FIELDS,
  LORA: LORA_FIELDS,
  IA3: IA3_FIELDS,
  LN_TUNING: LAYER_NORM_FIELDS,
  PREFIX_TUNING: PREFIX_FIELDS,
  PROMPT_TUNING: PROMPT_FIELDS,
  P_TUNING: P_TUNING_FIELDS,
  TRAINABLE_TOKENS: TRAINABLE_TOKENS_FIELDS,
}

/** Those of AdapterHub's bottleneck adapters. */
export const ADAPTER_HUB_FIELDS: Readonly<Record<string, MethodFields>> = { bottleneck: BOTTLENECK_FIELDS }
