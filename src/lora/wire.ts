import { CheckpointError } from '../errors.ts'
import { targetNames, type Selection } from '../base/targets.ts'
import { moduleKeys, type Wire } from '../base/wire.ts'
import type { LoraConfig, LoraOptions } from './lora.ts'

/** Fields of PEFT's LoraConfig that change the numbers and have no counterpart here, with the values that mean "off". */
const UNSUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  bias: ['none'],
  use_dora: [false],
  lora_bias: [false],
  layer_replication: [null],
  layers_pattern: [null, ''],
  target_parameters: [null],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
  use_qalora: [false],
  use_bdlora: [null, false],
  arrow_config: [null],
  monteclora_config: [null],
  kasa_config: [null],
  velora_config: [null],
}

/** LoRA in HF PEFT's files. */
export function loraWire(config: LoraConfig): Wire {
  return {
    type: 'LORA',
    config: ({ sites, all }) => ({
      r: config.rank,
      lora_alpha: config.alpha,
      lora_dropout: config.dropout,
      use_rslora: config.rankStabilized,
      rank_pattern: config.rankPattern,
      alpha_pattern: config.alphaPattern,
      target_modules: targetNames(config, sites, all),
      exclude_modules: config.exclude ?? null,
      layers_to_transform: config.layers ?? null,
      bias: 'none',
      fan_in_fan_out: false,
      init_lora_weights: true,
      use_dora: false,
    }),
    ...moduleKeys({ A: 'lora_A.weight', B: 'lora_B.weight' }),
  }
}

/**
 * The options of a LoRA that HF PEFT or this library saved.
 *
 * @throws CheckpointError with every field that asks for something this library does not compute
 */
export function readLoraOptions(json: Readonly<Record<string, unknown>>): LoraOptions {
  const problems = Object.entries(UNSUPPORTED)
    .filter(([key, off]) => json[key] !== undefined && !off.includes(json[key]))
    .map(([key]) => `${key}: ${JSON.stringify(json[key])} is not supported`)
  const read = <T>(key: string, fallback: T, fits: (value: unknown) => boolean, expected: string): T => {
    const value = json[key] ?? fallback
    if (!fits(value)) problems.push(`${key}: expected ${expected}, got ${JSON.stringify(value)}`)
    return value as T
  }
  const layers = json['layers_to_transform']
  const options: LoraOptions = {
    rank: read('r', 8, isNumber, 'a number'),
    alpha: read('lora_alpha', 8, isNumber, 'a number'),
    dropout: read('lora_dropout', 0, isNumber, 'a number'),
    rankStabilized: read('use_rslora', false, (value) => typeof value === 'boolean', 'true or false'),
    rankPattern: read('rank_pattern', {}, isNumberRecord, 'names to numbers'),
    alphaPattern: read('alpha_pattern', {}, isNumberRecord, 'names to numbers'),
    targets: read<Selection['targets'] & {}>('target_modules', [], isNames, 'a list of module names or a text'),
    ...(json['exclude_modules'] == null
      ? {}
      : { exclude: read<Selection['exclude'] & {}>('exclude_modules', [], isNames, 'a list of module names or a text') }),
    ...(layers == null ? {} : { layers: read<readonly number[]>('layers_to_transform', [], isLayers, 'layer numbers') }),
  }
  if (problems.length > 0) throw new CheckpointError('adapter_config.json: this LoRA cannot be used:', problems)
  return typeof layers === 'number' ? { ...options, layers: [layers] } : options
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number'
}

function isNames(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'))
}

function isLayers(value: unknown): boolean {
  return isNumber(value) || (Array.isArray(value) && value.every(isNumber))
}

function isNumberRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every(isNumber)
}
