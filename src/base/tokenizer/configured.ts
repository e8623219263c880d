import { contentOf, type AddedToken } from './added.ts'
import type { PostProcessorJson } from './template.ts'
import type { TokenizerJson } from './text.ts'
import { classes, classOf } from './classes.ts'
import type { Step } from './schema.ts'

/** tokenizer.json with every field. */
export interface FullJson extends TokenizerJson {
  readonly post_processor: PostProcessorJson | null
  readonly decoder: Step | null
  readonly padding: { readonly pad_id?: number; readonly pad_type_id?: number; readonly direction?: 'Left' | 'Right' } | null
  readonly truncation: { readonly direction?: 'Left' | 'Right' } | null
}

/** Fields of tokenizer_config.json, as transformers 5 reads them; what is in no list does nothing there either. */
export const configFields = {
  /** Done here; the four of a class only for that class. */
  done: [
    'tokenizer_class', 'added_tokens_decoder', 'additional_special_tokens', 'extra_special_tokens', 'chat_template', 'padding_side', 'truncation_side',
    'bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token',
    'do_lower_case', 'strip_accents', 'tokenize_chinese_chars', 'add_prefix_space', 'legacy', 'clean_up_tokenization_spaces', 'trim_offsets',
  ],
  /** Refused unless they have one of these values. */
  refused: { split_special_tokens: [false, null], fix_mistral_regex: [false, null], clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: [false, null] } as Readonly<Record<string, readonly unknown[]>>,
  /** Without effect on ids and text. */
  idle: [
    'model_max_length', 'model_input_names', 'name_or_path', 'special_tokens_map_file', 'tokenizer_file', 'auto_map', 'processor_class', 'backend', 'is_local',
    'local_files_only', 'errors', 'add_bos_token', 'add_eos_token', 'sp_model_kwargs', 'use_default_system_prompt', 'spaces_between_special_tokens',
    'max_length', 'stride', 'truncation_strategy',
    'pad_to_multiple_of', 'pad_token_type_id', 'never_split', 'do_basic_tokenize', 'use_fast', 'from_slow', 'model_specific_special_tokens', 'response_schema',
  ],
} as const

/** Names of special tokens. */
export const specialNames = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const

/**
 * The tokenizer as transformers 5 makes it of both files: the steps of a class it knows come from that class and the
 * configuration, the tokens of the configuration come to those of tokenizer.json.
 */
export function configured(json: FullJson, config: Readonly<Record<string, unknown>>, modelType: unknown): { readonly json: FullJson; readonly config: Readonly<Record<string, unknown>>; readonly problems: readonly string[] } {
  const problems = [...typeProblems(config)]
  for (const [name, values] of Object.entries(configFields.refused)) {
    const value = config[name]
    if (value !== undefined && !values.includes(value)) problems.push(`${name}: ${JSON.stringify(value)} is not supported, only ${values.map((each) => JSON.stringify(each)).join(' or ')}`)
  }
  if (problems.length > 0) return { json, config, problems }
  const name = classOf(config['tokenizer_class'], modelType, json)
  const made = name === undefined ? undefined : classes[name]
  const merged = { ...made?.defaults(json), ...config }
  if (made === undefined) problems.push(...contradictions(json, config, name))
  const tokens = { ...json, added_tokens: withTokensOf(json, merged) }
  return { json: made === undefined ? tokens : made.steps(tokens, merged), config: merged, problems }
}

function typeProblems(config: Readonly<Record<string, unknown>>): string[] {
  const flags = ['do_lower_case', 'strip_accents', 'tokenize_chinese_chars', 'add_prefix_space', 'trim_offsets']
  const sides = ['padding_side', 'truncation_side']
  const wrong = (name: string, expected: string): string => `${name}: expected ${expected}, got ${JSON.stringify(config[name])}`
  const given = (name: string): boolean => config[name] !== undefined && config[name] !== null
  return [
    ...flags.filter((name) => given(name) && typeof config[name] !== 'boolean').map((name) => wrong(name, 'true, false or null')),
    ...sides.filter((name) => given(name) && config[name] !== 'left' && config[name] !== 'right').map((name) => wrong(name, '"left" or "right"')),
    ...specialNames.filter((name) => given(name) && contentOf(config[name]) === undefined).map((name) => wrong(name, 'a text or an object with a content')),
  ]
}

/** Flags that a class not known here may obey and that say otherwise than tokenizer.json. */
function contradictions(json: FullJson, config: Readonly<Record<string, unknown>>, name: string | undefined): string[] {
  if (name === undefined) return [] // transformers reads tokenizer.json alone
  const steps = [json.normalizer, json.pre_tokenizer].flatMap((step) => step === null ? [] : [step, ...((step['normalizers'] ?? step['pretokenizers'] ?? []) as readonly Step[])])
  const says: Readonly<Record<string, unknown>> = {
    do_lower_case: steps.some((step) => step.type === 'Lowercase' || (step.type === 'BertNormalizer' && step['lowercase'] !== false)),
    add_prefix_space: steps.some((step) => (step.type === 'ByteLevel' && step['add_prefix_space'] === true) || (step.type === 'Metaspace' && step['prepend_scheme'] !== 'never') || step.type === 'Prepend'),
  }
  return Object.entries(says).filter(([flag, value]) => typeof config[flag] === 'boolean' && config[flag] !== value)
    .map(([flag]) => `${flag}: ${String(config[flag])} contradicts tokenizer.json, and what ${name} does with it is not known here. Save the tokenizer anew with transformers 5, or take the field out`)
}

/** Adds the configuration's tokens that tokenizer.json has not: in the vocabulary they keep their id, else they come behind all there are. */
function withTokensOf(json: FullJson, config: Readonly<Record<string, unknown>>): AddedToken[] {
  const tokens = new Map(json.added_tokens.map((token) => [token.content, token]))
  const vocabulary = json.model['vocab'] as Readonly<Record<string, number>> | readonly (readonly [string, number])[]
  const ids = new Map(Array.isArray(vocabulary) ? vocabulary.map(([token], id) => [token as string, id]) : Object.entries(vocabulary as Readonly<Record<string, number>>))
  let next = Array.from(tokens.values()).reduce((most, { id }) => Math.max(most, id + 1), ids.size)
  const add = (token: Omit<AddedToken, 'id'>): void => {
    if (token.content !== '' && !tokens.has(token.content)) tokens.set(token.content, { ...token, id: ids.get(token.content) ?? next++ })
  }
  const decoder = Object.entries((config['added_tokens_decoder'] ?? {}) as Readonly<Record<string, AddedToken>>).sort(([a], [b]) => Number(a) - Number(b))
  const named = specialNames.map((name) => contentOf(config[name])).filter((content) => content !== undefined)
  const lists = [config['additional_special_tokens'], config['extra_special_tokens']].flatMap((list) => Object.values((list ?? [])) as unknown[])
  for (const [, token] of decoder) add({ ...token, special: token.special === true || named.includes(token.content) })
  const given = [...specialNames.map((name) => config[name]), ...lists].filter((token) => contentOf(token) !== undefined)
  for (const token of given) add({ normalized: false, ...(typeof token === 'object' ? token as AddedToken : {}), content: contentOf(token) ?? '', special: true })
  return [...tokens.values()]
}
