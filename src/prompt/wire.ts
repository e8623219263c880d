import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Own } from '../base/method.ts'
import type { Site } from '../base/sites.ts'
import {
  isCount, selfAttentions, settingsReader, VIRTUAL_TOKEN_FIELDS, virtualTokenFields, virtualTokenKeys,
} from '../base/virtual-tokens.ts'
import type { NamedTensor, NamedTensors, Wire } from '../base/wire.ts'
import type { PTuningOptions } from './p-tuning.ts'
import type { PromptOptions } from './prompt.ts'

/** What differs between the wires of this folder. */
export interface PromptWireOptions {
  readonly type: string
  readonly virtualTokens: number
  /** The method's own fields; with a function, from the width of the model. */
  readonly fields: Readonly<Record<string, unknown>> | ((width: number) => Readonly<Record<string, unknown>>)
  /** What the tensors stand for: this is what is saved. */
  readonly rows: (own: Own) => Tensor2D
}

/** Rows in front of the text in HF PEFT's files. */
export function promptWire({ type, virtualTokens, fields, rows }: PromptWireOptions): Wire {
  const own = (width: number): Readonly<Record<string, unknown>> => (typeof fields === 'function' ? fields(width) : fields)
  return {
    type,
    fields: [...VIRTUAL_TOKEN_FIELDS, ...Object.keys(own(1))],
    config: (context) => {
      const width = sequenceOf(context.sites)?.size ?? 0
      const heads = selfAttentions(context.all)[0]?.heads ?? 0
      return { ...virtualTokenFields(context, { width, heads }), num_virtual_tokens: virtualTokens, ...own(width) }
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

/** The options of a prompt that HF PEFT or this library saved. @throws CheckpointError with every field that cannot be used */
export function readPromptOptions(json: Readonly<Record<string, unknown>>): PromptOptions {
  const settings = settingsReader(json, 'prompt')
  const virtualTokens = settings.read('num_virtual_tokens', 0, isCount, 'a number of tokens')
  settings.done()
  return { virtualTokens }
}

/** The options of a P-tuning that HF PEFT or this library saved. @throws CheckpointError as `readPromptOptions` */
export function readPTuningOptions(json: Readonly<Record<string, unknown>>): PTuningOptions {
  const settings = settingsReader(json, 'P-tuning')
  const virtualTokens = settings.read('num_virtual_tokens', 0, isCount, 'a number of tokens')
  const type = settings.read('encoder_reparameterization_type', 'MLP', (value) => value === 'MLP' || value === 'LSTM', 'MLP or LSTM')
  const hiddenSize = json['encoder_hidden_size']
  const layers = settings.read('encoder_num_layers', 2, isCount, 'a number of layers')
  settings.done()
  return {
    virtualTokens,
    encoder: type === 'LSTM' ? 'lstm' : 'mlp',
    ...(isCount(hiddenSize) ? { hiddenSize } : {}),
    ...(type === 'LSTM' ? { layers } : {}),
  }
}
