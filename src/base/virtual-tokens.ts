// What the methods that learn virtual tokens have in common in HF PEFT's files: PEFT does not wrap the model's modules
// for them, and keeps all that was learned in one tensor.

import { CheckpointError, InputError } from '../errors.ts'
import type { AttentionSite, SequenceSite, Site } from './sites.ts'
import type { NamedTensor, NamedTensors, Wire, WireContext } from './wire.ts'

const LEARNED = 'prompt_embeddings'

/** PEFT wraps the model once here, so a parameter trained as a copy has one `model.` less than beside a LoRA. */
const COPY_PREFIX = 'base_model.'

/** Fields that are in every config of these methods. */
export const VIRTUAL_TOKEN_FIELDS: readonly string[] = [
  'num_virtual_tokens', 'token_dim', 'num_transformer_submodules', 'num_attention_heads', 'num_layers',
]

/**
 * Their values, `num_virtual_tokens` left out.
 *
 * @param sizes width of what a virtual token is made of, and in how many heads
 */
export function virtualTokenFields(
  { all }: WireContext,
  sizes: { readonly width: number; readonly heads: number },
): Readonly<Record<string, unknown>> {
  return {
    token_dim: sizes.width,
    num_transformer_submodules: 1,
    num_attention_heads: sizes.heads,
    num_layers: selfAttentions(all).length,
  }
}

/** The attention of each layer over its own sequence. */
export function selfAttentions(sites: readonly Site[]): readonly AttentionSite[] {
  return sites.filter((site) => site.kind === 'attention').filter(({ cross }) => !cross)
}

/**
 * Where a text begins.
 *
 * @throws InputError where so many virtual tokens leave it no position
 */
export function textStarts(sites: readonly Site[], method: string, virtualTokens: number): readonly SequenceSite[] {
  const starts = sites.filter((site) => site.kind === 'sequence')
  const narrowest = Math.min(...starts.map(({ maxLength }) => maxLength))
  if (virtualTokens < narrowest) return starts
  throw new InputError(
    `${method}: virtualTokens: expected fewer than the ${narrowest} positions of the model, so that a text has room, got ${virtualTokens}.`,
  )
}

/** Width of a site's keys and of its values: all heads together. */
export function keyWidth({ kvHeads, headSize }: AttentionSite): number {
  return kvHeads * headSize
}

/**
 * @param fold what was learned, as one tensor, from the method's tensors by their full names
 * @param unfold the method's tensors from that one; not called for a tensor that is not (tokens, width)
 */
export function virtualTokenKeys(
  fold: (tensors: NamedTensors, context: WireContext) => NamedTensor,
  unfold: (tensor: NamedTensor, context: WireContext) => NamedTensors,
): Pick<Wire, 'toFile' | 'fromFile'> {
  return {
    toFile: (tensors, context) => {
      const copies = [...tensors].filter(([name]) => context.params.has(name) || context.ties.has(name))
      return new Map([[LEARNED, fold(tensors, context)], ...copies.map(([name, tensor]) => [COPY_PREFIX + name, tensor] as const)])
    },
    fromFile: (tensors, context) => {
      const learned = tensors.get(LEARNED)
      if (learned === undefined) throw new CheckpointError(`The adapter's file has no '${LEARNED}'; it has ${[...tensors.keys()].join(', ')}.`)
      const copies = [...tensors].filter(([key]) => key !== LEARNED)
      return new Map([
        ...unfold(learned, context),
        ...copies.map(([key, tensor]) => [key.startsWith(COPY_PREFIX) ? key.slice(COPY_PREFIX.length) : key, tensor] as const),
      ])
    },
  }
}

/** @throws CheckpointError unless the tensor has this shape */
export function checkLearned({ shape }: NamedTensor, expected: readonly [number, number], meaning: string): void {
  if (shape.join() === expected.join()) return
  throw new CheckpointError(
    `${LEARNED}: expected [${expected.join(', ')}] (${meaning}), the file has [${shape.join(', ')}]; was it made for another model?`,
  )
}

/** Reads the settings of these methods and collects what is wrong with them. */
export interface SettingsReader {
  read<T>(key: string, fallback: T, fits: (value: unknown) => value is T, expected: string): T
  /** @throws CheckpointError with everything that was wrong */
  done(): void
}

/** @param method its name in the error */
export function settingsReader(json: Readonly<Record<string, unknown>>, method: string): SettingsReader {
  const problems: string[] = []
  const submodules = json['num_transformer_submodules']
  if (submodules !== undefined && submodules !== null && submodules !== 1) {
    problems.push(`num_transformer_submodules: ${JSON.stringify(submodules)} is not supported (encoder-decoder models)`)
  }
  return {
    read: (key, fallback, fits, expected) => {
      const value = json[key] ?? fallback
      if (fits(value)) return value
      problems.push(`${key}: expected ${expected}, got ${json[key] === undefined ? 'nothing' : JSON.stringify(json[key])}`)
      return fallback
    },
    done: () => {
      if (problems.length > 0) throw new CheckpointError(`adapter_config.json: this ${method} cannot be used:`, problems)
    },
  }
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1
}
