import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { SiteTensors } from '../base/method.ts'
import type { FileContext } from '../base/adapter/read-selection.ts'
import type { SectionReader } from '../base/settings.ts'
import type { Site } from '../base/sites.ts'
import { read } from '../base/engine/read.ts'
import { tablesOf } from '../base/adapter/vocabulary.ts'
import { isEncoderDecoder, readVirtualTokens, selfAttentions, VIRTUAL_TOKEN_FIELDS, virtualTokenFields, virtualTokenKeys } from '../base/adapter/virtual-tokens.ts'
import type { MethodFields, NamedTensor, NamedTensors, FileFormat } from '../base/adapter/file-format.ts'
import type { PromptPooling } from './virtual-rows.ts'
import type { PromptOptions, PTuningOptions } from './options.ts'

/** This library's own field: PEFT has one way alone, which holds where a file has none. */
const POOLING = 'pooling'

/** PEFT's PromptTuningConfig, field by field. How the rows began does not matter to a reader. */
export const PROMPT_FIELDS: MethodFields = {
  ...VIRTUAL_TOKEN_FIELDS,
  done: [...VIRTUAL_TOKEN_FIELDS.done, POOLING],
  idle: [...VIRTUAL_TOKEN_FIELDS.idle, 'prompt_tuning_init', 'prompt_tuning_init_text', 'tokenizer_name_or_path', 'tokenizer_kwargs'],
}

/** PEFT's PromptEncoderConfig, field by field. The network that made the rows is not in the file, nor its dropout at work. */
export const P_TUNING_FIELDS: MethodFields = {
  ...VIRTUAL_TOKEN_FIELDS,
  done: [...VIRTUAL_TOKEN_FIELDS.done, POOLING, 'encoder_reparameterization_type', 'encoder_hidden_size', 'encoder_num_layers'],
  idle: [...VIRTUAL_TOKEN_FIELDS.idle, 'encoder_dropout'],
}

/** What differs between the file formats of this folder. */
export interface PromptFormatOptions {
  readonly type: string
  readonly virtualTokens: number
  readonly pooling: PromptPooling
  readonly fields: MethodFields
  /** The values of the method's own fields, from the width of the model. */
  readonly values: (width: number) => Readonly<Record<string, unknown>>
  /** What the tensors stand for: this is what is saved. */
  readonly rows: (own: SiteTensors) => Tensor2D
}

/** Rows in front of the text in HF PEFT's files. */
export function promptFormat({ type, virtualTokens, pooling, fields, values, rows }: PromptFormatOptions): FileFormat {
  return {
    type,
    fields,
    idleModules: (all) => tableModules(all).map((module) => ({ module, because: 'but HF PEFT looks up the text in the base\'s own table beside a prompt' })),
    config: (context) => {
      const width = sequenceOf(context.sites)?.size ?? 0
      const heads = selfAttentions(context.all)[0]?.heads ?? 0
      return {
        ...virtualTokenFields(context, { width, heads }),
        num_virtual_tokens: virtualTokens,
        ...values(width),
        ...(context.task === 'sequence-classification' && pooling === 'text' ? { pooling } : {}), // PEFT warns of it, and pools all
      }
    },
    ...virtualTokenKeys(
      (tensors, { sites }, inFull) => {
        checkTables(sites, inFull)
        return fold(tensors, `${sequenceOf(sites)?.name ?? ''}.`, rows)
      },
      (learned, { sites, all }) => new Map(sites.map(({ name }) => [`${name}.prompt`, isEncoderDecoder(all) ? firstRows(learned, virtualTokens) : learned])),
    ),
  }
}

/** HF PEFT's table for an encoder-decoder has as many rows again, which it does not use. Without them it is one for a single stack. */
const STACKS = [1, 2]

function firstRows({ shape: [rows = 0, width = 0], values }: NamedTensor, count: number): NamedTensor {
  return rows === 2 * count ? { shape: [count, width], values: values.subarray(0, count * width) } : { shape: [rows, width], values }
}

/** The tables that texts are looked up in. */
function tableModules(all: readonly Site[]): string[] {
  return tablesOf(all).map((table) => table.replace(/\.weight$/, ''))
}

/** @throws InputError where the file would mean another thing to PEFT */
function checkTables(sites: readonly Site[], inFull: readonly string[]): void {
  const trained = tableModules(sites).filter((table) => inFull.some((module) => `${table}.`.startsWith(`${module}.`)))
  if (trained.length === 0) return
  throw new InputError(
    `save: '${trained.join("', '")}' is trained in full beside a prompt, but HF PEFT looks up the text in the base's own table there: it would compute ` +
      'other numbers. Leave it out of `train`.',
  )
}

function sequenceOf(sites: readonly Site[]): (Site & { readonly kind: 'sequence' }) | undefined {
  return sites.find((site) => site.kind === 'sequence')
}

async function fold(tensors: NamedTensors, prefix: string, rows: (own: SiteTensors) => Tensor2D): Promise<NamedTensor> {
  let shape: readonly number[] = []
  const values = await read(() => {
    const own: Record<string, Tensor> = {}
    for (const [name, tensor] of tensors) {
      // a copy: the runtime shares the array it is given
      if (name.startsWith(prefix)) own[name.slice(prefix.length)] = tf.tensor(tensor.values.slice(), [...tensor.shape])
    }
    const learned = rows(own)
    shape = learned.shape
    return learned
  })
  return { shape, values }
}

/** The options of a prompt that HF PEFT or this library saved. */
export function readPromptOptions(read: SectionReader, file: FileContext): PromptOptions {
  return { virtualTokens: readVirtualTokens(read, file, STACKS), pooling: readPooling(read, file) }
}

/** The options of a P-tuning that HF PEFT or this library saved. */
export function readPTuningOptions(read: SectionReader, file: FileContext): PTuningOptions {
  const type = read.oneOf('encoder_reparameterization_type', ['MLP', 'LSTM'], 'MLP')
  const layers = read.integer('encoder_num_layers', { fallback: 2, min: 1 })
  return {
    virtualTokens: readVirtualTokens(read, file, STACKS),
    pooling: readPooling(read, file),
    encoder: type === 'LSTM' ? 'lstm' : 'mlp',
    ...(read.has('encoder_hidden_size') ? { hiddenSize: read.integer('encoder_hidden_size', { min: 1 }) } : {}),
    ...(type === 'LSTM' ? { layers } : {}),
  }
}

function readPooling(read: SectionReader, { task }: FileContext): PromptPooling {
  const pooling = read.oneOf(POOLING, ['text', 'all'], 'all')
  return task === 'sequence-classification' ? pooling : 'text'
}
