import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { read } from '../base/engine/read.ts'
import { CheckpointError, InputError } from '../errors.ts'
import type { AttentionSite } from '../base/sites.ts'
import type { SectionReader } from '../base/settings.ts'
import type { FileContext } from '../base/adapter/read-selection.ts'
import {
  checkLearned, isEncoderDecoder, keyWidth, readVirtualTokens, selfAttentions, VIRTUAL_TOKEN_FIELDS, virtualTokenFields, virtualTokenKeys,
} from '../base/adapter/virtual-tokens.ts'
import type { MethodFields, NamedTensors, FileFormat, FormatContext } from '../base/adapter/file-format.ts'
import { prefixRows } from './rows.ts'
import type { PrefixOptions, PrefixConfig } from './options.ts'

/** PEFT's PrefixTuningConfig, field by field. The network that made the rows is not in the file. */
export const PREFIX_FIELDS: MethodFields = {
  ...VIRTUAL_TOKEN_FIELDS,
  idle: [...VIRTUAL_TOKEN_FIELDS.idle, 'encoder_hidden_size', 'prefix_projection', 'init_weights'],
}

/**
 * Prefix-tuning in HF PEFT's files: for each virtual token, layer after layer, its keys and then its values. Of an encoder-decoder PEFT
 * gives the decoder's layer i the rows of place 2i, counted round: of an even number of places two layers share one, so a file made here has
 * an odd number.
 */
export function prefixFormat({ virtualTokens: P }: Pick<PrefixConfig, 'virtualTokens'>): FileFormat {
  return {
    type: 'PREFIX_TUNING',
    fields: PREFIX_FIELDS,
    config: (context) => {
      const { heads, headSize, count } = shapeOf(context)
      const width = heads * headSize
      return {
        ...virtualTokenFields(context, { width, heads }),
        ...(isEncoderDecoder(context.all) ? { num_transformer_submodules: 2, num_layers: count } : {}),
        num_virtual_tokens: P,
        prefix_projection: false, // the network is folded into the rows
        encoder_hidden_size: width,
        init_weights: null,
      }
    },
    ...virtualTokenKeys(
      async (tensors, context) => {
        const shape = shapeOf(context)
        checkRoom(shape, (problem) => new InputError(`save: ${problem}`))
        const all = columnsIn(shape)
        const values = new Float32Array(P * all)
        for (const { site, kind, start } of places(shape)) {
          const own = await rowsAt(site, kind, tensors)
          copyHeads(site, P, { values: own, width: keyWidth(site), start: 0, room: site.headSize }, { values, width: all, start, room: shape.headSize })
        }
        return { shape: [P, all], values }
      },
      (learned, context) => {
        const shape = shapeOf(context, learned.shape[1])
        checkRoom(shape, (problem) => new CheckpointError(problem))
        checkLearned(learned, [P, columnsIn(shape)], 'virtual tokens, layers × 2 × width')
        return new Map(places(shape).map(({ site, kind, start }) => {
          const values = new Float32Array(P * keyWidth(site))
          copyHeads(site, P, { values: learned.values, width: columnsIn(shape), start, room: shape.headSize }, { values, width: keyWidth(site), start: 0, room: site.headSize })
          return [`${site.name}.${kind}`, { shape: [P, keyWidth(site)], values }] as const
        }))
      },
    ),
  }
}

/** The options of a prefix that HF PEFT or this library saved. */
export function readPrefixOptions(read: SectionReader, file: FileContext): PrefixOptions {
  return { virtualTokens: readVirtualTokens(read, file, [2]) }
}

/** What the columns of a file are: each layer has room for the keys and values of the layer with the largest heads. */
interface Shape {
  readonly layers: readonly AttentionSite[]
  readonly heads: number
  readonly headSize: number
  /** Places for layers. */
  readonly count: number
  /** From the place of one layer to that of the next. */
  readonly step: number
}

/** @param columns of a file, which says how many places it has where that is not the number of layers */
function shapeOf({ all }: FormatContext, columns?: number): Shape {
  const layers = selfAttentions(all)
  const [first] = [...layers].sort((a, b) => b.headSize - a.headSize)
  const sizes = { layers, heads: first?.kvHeads ?? 0, headSize: first?.headSize ?? 0 }
  if (!isEncoderDecoder(all)) return { ...sizes, count: layers.length, step: 1 }
  const count = columns === undefined ? layers.length + 1 - (layers.length % 2) : Math.floor(columns / (2 * sizes.heads * sizes.headSize))
  return { ...sizes, count: Math.max(layers.length, count), step: 2 }
}

function columnsIn({ count, heads, headSize }: Shape): number {
  return 2 * count * heads * headSize
}

/** A layer that PEFT would pass over. */
function checkRoom({ layers, heads, headSize }: Shape, error: (problem: string) => Error): void {
  const site = layers.find(({ kvHeads }) => kvHeads > heads)
  if (site === undefined) return
  throw error(`HF PEFT's files of a prefix have no place for '${site.name}' of this model: it has ${site.kvHeads} heads of keys, and the layers with the largest heads, of ${headSize}, have ${heads}.`)
}

/** Where the keys and the values of a layer begin among the columns. Layers that take those of others have a place too, with zeros. */
function places({ layers, heads, headSize, count, step }: Shape): readonly { readonly site: AttentionSite; readonly kind: 'key' | 'value'; readonly start: number }[] {
  return layers.flatMap((site, layer) => site.keysOf !== undefined ? [] : (['key', 'value'] as const).map((kind, i) => ({ site, kind, start: (2 * ((step * layer) % count) + i) * heads * headSize })))
}

async function rowsAt(site: AttentionSite, kind: 'key' | 'value', tensors: NamedTensors): Promise<Float32Array> {
  return await read(() => {
    const own: Record<string, Tensor> = {}
    for (const [name, { shape, values }] of tensors) {
      const local = name.startsWith(`${site.name}.`) ? name.slice(site.name.length + 1) : name
      if (!local.includes('.')) own[local] = tf.tensor(values.slice(), [...shape]) // a copy: the runtime shares the array
    }
    return prefixRows(own)[kind]
  })
}

/** Some columns of rows of heads. */
interface Columns {
  readonly values: Float32Array
  /** Of a row. */
  readonly width: number
  readonly start: number
  /** From one head to the next. */
  readonly room: number
}

function copyHeads({ kvHeads, headSize }: AttentionSite, rows: number, from: Columns, to: Columns): void {
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < kvHeads; head++) {
      const begin = row * from.width + from.start + head * from.room
      to.values.set(from.values.subarray(begin, begin + headSize), row * to.width + to.start + head * to.room)
    }
  }
}
