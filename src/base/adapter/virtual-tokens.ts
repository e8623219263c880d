// What the methods that learn virtual tokens have in common in HF PEFT's files: PEFT does not wrap the model's modules
// for them, and keeps all that was learned in one tensor.

import { CheckpointError, InputError } from '../../errors.ts'
import type { FileContext } from './read-selection.ts'
import type { SectionReader } from '../settings.ts'
import type { AttentionSite, SequenceSite, Site, Tower } from '../sites.ts'
import type { MethodFields, NamedTensor, NamedTensors, FileFormat, FormatContext } from './file-format.ts'

const LEARNED = 'prompt_embeddings'

/** PEFT wraps the model once here, so a parameter trained as a copy has one `model.` less than beside a LoRA. */
const COPY_PREFIX = 'base_model.'

/** Fields of PEFT's PromptLearningConfig, which every config of these methods has. What is idle is compared by the tensor's shape. */
export const VIRTUAL_TOKEN_FIELDS: MethodFields = {
  done: ['num_virtual_tokens', 'num_transformer_submodules'],
  off: {},
  idle: ['token_dim', 'num_attention_heads', 'num_layers'],
}

/**
 * Their values, `num_virtual_tokens` left out.
 *
 * @param sizes width of what a virtual token is made of, and in how many heads
 */
export function virtualTokenFields(
  { all }: FormatContext,
  sizes: { readonly width: number; readonly heads: number },
): Readonly<Record<string, unknown>> {
  return {
    token_dim: sizes.width,
    num_transformer_submodules: 1,
    num_attention_heads: sizes.heads,
    num_layers: selfAttentions(all).length,
  }
}

/** Whether a model reads one text and writes another. */
export function isEncoderDecoder(sites: readonly Site[]): boolean {
  return sites.some((site) => site.kind === 'attention' && site.cross)
}

/** The attention of each layer over its own sequence; of an encoder-decoder the decoder's, as HF PEFT has it. */
export function selfAttentions(sites: readonly Site[]): readonly AttentionSite[] {
  const both = !isEncoderDecoder(sites)
  return sites.filter((site) => site.kind === 'attention').filter(({ cross, tower }) => !cross && (both || tower === 'decoder'))
}

/** Those that have keys and values of their own. */
export function keyedAttentions(sites: readonly Site[]): readonly AttentionSite[] {
  return selfAttentions(sites).filter(({ keysOf }) => keysOf === undefined)
}

/**
 * Where a text begins.
 *
 * @param tower whose text it is, of an encoder-decoder
 * @throws InputError where so many virtual tokens leave it no position
 */
export function textStarts(sites: readonly Site[], method: string, virtualTokens: number, tower: Tower): readonly SequenceSite[] {
  const both = !isEncoderDecoder(sites)
  const starts = sites.filter((site) => site.kind === 'sequence').filter((site) => both || site.tower === tower)
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
  fold: (tensors: NamedTensors, context: FormatContext, inFull: readonly string[]) => Promise<NamedTensor>,
  unfold: (tensor: NamedTensor, context: FormatContext) => NamedTensors,
): Pick<FileFormat, 'toFile' | 'fromFile'> {
  return {
    toFile: async (tensors, context, inFull) => {
      const { all, task } = context
      if (all.filter(({ kind }) => kind === 'sequence').length > 1 && !(isEncoderDecoder(all) && task === 'seq2seq-lm')) {
        throw new InputError(`save: HF PEFT has no virtual tokens for '${task}' of a model of several towers, nor a place for them in its files. Adapt it with lora, ia3 or a bottleneck to save it.`)
      }
      const copies = [...tensors].filter(([name]) => context.params.has(name) || context.ties.has(name))
      return new Map([[LEARNED, await fold(tensors, context, inFull)], ...copies.map(([name, tensor]) => [COPY_PREFIX + name, tensor] as const)])
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

/** How many virtual tokens a file of these methods has. @param stacks for how many stacks of an encoder-decoder its table may be */
export function readVirtualTokens(read: SectionReader, { task }: Pick<FileContext, 'task'>, stacks: readonly number[]): number {
  if (task === 'seq2seq-lm') read.off('num_transformer_submodules', stacks, 'HF PEFT computes with no other')
  else read.off('num_transformer_submodules', [1], 'it is of an encoder-decoder model')
  return read.integer('num_virtual_tokens', { min: 1 })
}
