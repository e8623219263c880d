// Settings that all families have, as rules for the reader: see Family in ../architecture.ts.

import { ACTIVATION_NAMES } from '../ops/activation.ts'
import type { Bounds, ReadOptions } from '../architecture.ts'
import type { PictureLimits, Size } from '../pixel-input.ts'
import type { NumberRule, SectionReader } from '../settings.ts'

/** Settings of `PreTrainedConfig` itself that are refused where they ask for something. */
export const COMMON_OFF = {
  is_encoder_decoder: [false],
  per_layer_config: [{}],
  pruned_heads: [{}],
} as const

/** Settings of `PreTrainedConfig` itself that change no number, and ids that are the tokenizer's. */
export const COMMON_IDLE: readonly string[] = [
  'architectures', 'transformers_version', 'name_or_path', '_name_or_path', 'output_attentions', 'output_hidden_states', 'return_dict',
  'attn_implementation', 'chunk_size_feed_forward', 'tie_last_hidden_states', 'use_cache', 'bos_token_id', 'label2id', 'dtype', 'torch_dtype',
]

/** Settings that are read outside a family: names of classes, and what ends a generated text. */
export const READ_ELSEWHERE: readonly string[] = ['model_type', 'id2label', 'num_labels', 'problem_type', 'eos_token_id', 'quantization_config']

export const DROPOUT: NumberRule = { min: 0, below: 1 }
export const EPSILON: NumberRule = { above: 0 }

export function readInitializerRange(read: SectionReader): number {
  return read.number('initializer_range', { min: 0, fallback: 0.02 })
}

/** One of the activations that are here. */
export function readActivation(read: SectionReader, key: string, fallback: string): string {
  return read.oneOf(key, ACTIVATION_NAMES, fallback)
}

/** Heads that share a width evenly. */
export function checkHeads(read: SectionReader, sizes: { readonly [key: string]: number }): void {
  const [[widthKey, width], [headsKey, heads]] = Object.entries(sizes) as [[string, number], [string, number]]
  read.check(width % heads === 0, `${headsKey}: expected a divisor of ${widthKey} (${width}), got ${heads}`, [widthKey, headsKey])
}

/** The id of padding, which is a row of the table of words, or −1 for none. */
export function readPaddingId(read: SectionReader, vocabSize: number): void {
  if (read.has('pad_token_id')) read.integer('pad_token_id', { min: -1, max: vocabSize - 1, note: 'the vocabulary' })
}

/** Height and width, which may be one number for both. */
export function readSize(read: SectionReader, key: string, fallback: number): Size {
  const values = read.list(key, 'integer', [fallback], { min: 1 })
  const [height = fallback, width = height] = values
  read.check(values.length > 0 && values.length < 3, `${key}: expected one number, or height and width, got ${values.length} numbers`, [key])
  return [height, width]
}

/** So many numbers a picture can have. */
const LARGEST = 2 ** 27

/** Pictures in patches. */
export function readPictures(
  read: SectionReader, { max }: Bounds['size'], usual: { readonly size: number; readonly patch: number }, { interpolatePositions = false }: ReadOptions,
): PictureLimits {
  const [size, patch] = [readSize(read, 'image_size', usual.size), readSize(read, 'patch_size', usual.patch)]
  const channels = read.integer('num_channels', { min: 1, max, fallback: 3 })
  const of = ['image_size', 'patch_size', 'num_channels']
  read.check(size[0] >= patch[0] && size[1] >= patch[1], `patch_size: expected at most image_size (${size.join(' × ')}), got ${patch.join(' × ')}`, of)
  read.check(channels * size[0] * size[1] <= LARGEST, `image_size: expected at most ${LARGEST} numbers in a picture, got ${channels} × ${size.join(' × ')}`, of)
  read.check(channels * patch[0] * patch[1] <= max, `patch_size: expected at most ${max} numbers in a patch, got ${channels} × ${patch.join(' × ')}`, of)
  return { size, patch, channels, interpolates: interpolatePositions }
}

/** The setting's name, or the one it has in `PreTrainedConfig`, which counts where both are there. */
export function named(read: SectionReader, own: string, common: string): string {
  return read.has(common) ? common : own
}

/** Reads settings by names of today, or by those that older files have where these alone are there. @param older by today's names */
export function inEitherWords(read: SectionReader, older: Readonly<Record<string, string>>): SectionReader {
  const word = (key: string): string => {
    const first = older[key]
    return first !== undefined && read.has(first) && !read.has(key) ? first : key
  }
  return {
    ...read,
    has: (key) => read.has(word(key)),
    number: (key, rule) => read.number(word(key), rule),
    integer: (key, rule) => read.integer(word(key), rule),
    check: (holds, problem, of = []) => { read.check(holds, problem, of.map(word)) },
  }
}
