import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { read } from '../base/engine/read.ts'
import type { AttentionSite } from '../base/sites.ts'
import type { SectionReader } from '../base/settings.ts'
import {
  checkLearned, keyWidth, readVirtualTokens, selfAttentions, VIRTUAL_TOKEN_FIELDS, virtualTokenFields, virtualTokenKeys,
} from '../base/adapter/virtual-tokens.ts'
import type { MethodFields, NamedTensor, NamedTensors, FileFormat, FormatContext } from '../base/adapter/file-format.ts'
import { prefixRows } from './rows.ts'
import type { PrefixOptions, PrefixConfig } from './options.ts'

/** PEFT's PrefixTuningConfig, field by field. The network that made the rows is not in the file. */
export const PREFIX_FIELDS: MethodFields = {
  ...VIRTUAL_TOKEN_FIELDS,
  idle: [...VIRTUAL_TOKEN_FIELDS.idle, 'encoder_hidden_size', 'prefix_projection', 'init_weights'],
}

/** Prefix-tuning in HF PEFT's files: for each virtual token, layer after layer, its keys and then its values. */
export function prefixFormat({ virtualTokens: P }: Pick<PrefixConfig, 'virtualTokens'>): FileFormat {
  return {
    type: 'PREFIX_TUNING',
    fields: PREFIX_FIELDS,
    config: (context) => {
      const { width, heads } = shapeOf(context)
      return {
        ...virtualTokenFields(context, { width, heads }),
        num_virtual_tokens: P,
        prefix_projection: false, // the network is folded into the rows
        encoder_hidden_size: width,
        init_weights: null,
      }
    },
    ...virtualTokenKeys(
      async (tensors, context) => joinColumns(await Promise.all(shapeOf(context).sites.flatMap((site) => rowsAt(site, tensors))), P),
      (learned, context) => {
        const { sites, width } = shapeOf(context)
        checkLearned(learned, [P, 2 * width * sites.length], 'virtual tokens, layers × 2 × width')
        return new Map(
          sites.flatMap(({ name }, layer) =>
            (['key', 'value'] as const).map((kind, i) => [`${name}.${kind}`, columns(learned, (2 * layer + i) * width, width)] as const),
          ),
        )
      },
    ),
  }
}

/** The options of a prefix that HF PEFT or this library saved. */
export function readPrefixOptions(read: SectionReader): PrefixOptions {
  return { virtualTokens: readVirtualTokens(read) }
}

function shapeOf({ all }: FormatContext): { readonly sites: readonly AttentionSite[]; readonly width: number; readonly heads: number } {
  const sites = selfAttentions(all)
  const first = sites[0]
  return { sites, width: first === undefined ? 0 : keyWidth(first), heads: first?.kvHeads ?? 0 }
}

/** Its keys and its values. */
function rowsAt(site: AttentionSite, tensors: NamedTensors): readonly Promise<Float32Array>[] {
  return (['key', 'value'] as const).map((kind) => read(() => {
    const own: Record<string, Tensor> = {}
    for (const [name, { shape, values }] of tensors) {
      const local = name.startsWith(`${site.name}.`) ? name.slice(site.name.length + 1) : name
      if (!local.includes('.')) own[local] = tf.tensor(values.slice(), [...shape]) // a copy: the runtime shares the array
    }
    return prefixRows(own)[kind]
  }))
}

/** Arrays of `rows` rows each, side by side. */
function joinColumns(pieces: readonly Float32Array[], rows: number): NamedTensor {
  const width = pieces.reduce((sum, { length }) => sum + length / rows, 0)
  const values = new Float32Array(rows * width)
  let start = 0
  for (const piece of pieces) {
    const own = piece.length / rows
    for (let row = 0; row < rows; row++) values.set(piece.subarray(row * own, (row + 1) * own), row * width + start)
    start += own
  }
  return { shape: [rows, width], values }
}

function columns({ shape, values }: NamedTensor, start: number, width: number): NamedTensor {
  const [rows = 0, all = 0] = shape
  const part = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) part.set(values.subarray(row * all + start, row * all + start + width), row * width)
  return { shape: [rows, width], values: part }
}
