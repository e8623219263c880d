import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Own } from '../base/method.ts'
import type { SectionReader } from '../base/settings.ts'
import type { Site } from '../base/sites.ts'
import { readVirtualTokens, selfAttentions, VIRTUAL_TOKEN_FIELDS, virtualTokenFields, virtualTokenKeys } from '../base/virtual-tokens.ts'
import type { MethodFields, NamedTensor, NamedTensors, Wire } from '../base/wire.ts'
import type { PTuningOptions } from './p-tuning.ts'
import type { PromptOptions } from './prompt.ts'

/** PEFT's PromptTuningConfig, field by field. How the rows began does not matter to a reader. */
export const PROMPT_FIELDS: MethodFields = {
  ...VIRTUAL_TOKEN_FIELDS,
  idle: [...VIRTUAL_TOKEN_FIELDS.idle, 'prompt_tuning_init', 'prompt_tuning_init_text', 'tokenizer_name_or_path', 'tokenizer_kwargs'],
}

/** PEFT's PromptEncoderConfig, field by field. The network that made the rows is not in the file, nor its dropout at work. */
export const P_TUNING_FIELDS: MethodFields = {
  ...VIRTUAL_TOKEN_FIELDS,
  done: [...VIRTUAL_TOKEN_FIELDS.done, 'encoder_reparameterization_type', 'encoder_hidden_size', 'encoder_num_layers'],
  idle: [...VIRTUAL_TOKEN_FIELDS.idle, 'encoder_dropout'],
}

/** What differs between the wires of this folder. */
export interface PromptWireOptions {
  readonly type: string
  readonly virtualTokens: number
  readonly fields: MethodFields
  /** The values of the method's own fields, from the width of the model. */
  readonly values: (width: number) => Readonly<Record<string, unknown>>
  /** What the tensors stand for: this is what is saved. */
  readonly rows: (own: Own) => Tensor2D
}

/** Rows in front of the text in HF PEFT's files. */
export function promptWire({ type, virtualTokens, fields, values, rows }: PromptWireOptions): Wire {
  return {
    type,
    fields,
    config: (context) => {
      const width = sequenceOf(context.sites)?.size ?? 0
      const heads = selfAttentions(context.all)[0]?.heads ?? 0
      return { ...virtualTokenFields(context, { width, heads }), num_virtual_tokens: virtualTokens, ...values(width) }
    },
    ...virtualTokenKeys(
      (tensors, { sites }) => fold(tensors, `${sequenceOf(sites)?.name ?? ''}.`, rows),
      (learned, { sites }) => new Map(sites.map(({ name }) => [`${name}.prompt`, learned])),
    ),
  }
}

function sequenceOf(sites: readonly Site[]): (Site & { readonly kind: 'sequence' }) | undefined {
  return sites.find((site) => site.kind === 'sequence')
}

function fold(tensors: NamedTensors, prefix: string, rows: (own: Own) => Tensor2D): NamedTensor {
  return tf.tidy(() => {
    const own: Record<string, Tensor> = {}
    for (const [name, { shape, values }] of tensors) {
      // a copy: the runtime shares the array it is given
      if (name.startsWith(prefix)) own[name.slice(prefix.length)] = tf.tensor(values.slice(), [...shape])
    }
    const learned = rows(own)
    return { shape: learned.shape, values: learned.dataSync() as Float32Array }
  })
}

/** The options of a prompt that HF PEFT or this library saved. */
export function readPromptOptions(read: SectionReader): PromptOptions {
  return { virtualTokens: readVirtualTokens(read) }
}

/** The options of a P-tuning that HF PEFT or this library saved. */
export function readPTuningOptions(read: SectionReader): PTuningOptions {
  const type = read.oneOf('encoder_reparameterization_type', ['MLP', 'LSTM'], 'MLP')
  const layers = read.integer('encoder_num_layers', { fallback: 2, min: 1 })
  return {
    virtualTokens: readVirtualTokens(read),
    encoder: type === 'LSTM' ? 'lstm' : 'mlp',
    ...(read.has('encoder_hidden_size') ? { hiddenSize: read.integer('encoder_hidden_size', { min: 1 }) } : {}),
    ...(type === 'LSTM' ? { layers } : {}),
  }
}
