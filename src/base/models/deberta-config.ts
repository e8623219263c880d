// What a config.json of DeBERTa-v2 says beyond BERT's words.

import type { Bounds } from '../architecture.ts'
import type { SectionReader } from '../settings.ts'
import { readBertConfig, type BertConfig } from './bert.ts'
import type { Buckets } from './deberta-buckets.ts'
import { DROPOUT, readActivation, readPaddingId } from './settings.ts'

export interface Convolution {
  readonly width: number
  readonly activation: string
}

export interface DebertaConfig extends BertConfig {
  /** Content to position, position to content; the scale of all scores counts them. */
  readonly kinds: { readonly c2p: boolean; readonly p2c: boolean }
  /** Scores know distances; undefined where they do not. */
  readonly distances: (Buckets & {
    /** Rows of each direction. */
    readonly span: number
    /** Queries' and keys' own products project the rows too. */
    readonly shareKeys: boolean
    /** The rows are normed. */
    readonly normed: boolean
  }) | undefined
  /** Positions are added to the words too. */
  readonly positionTable: boolean
  readonly convolution: Convolution | undefined
  readonly pooler: { readonly activation: string; readonly dropout: number }
  /** Of the classifier, behind the pooler's. */
  readonly sequenceDropout: number
  /** The masked-LM head is BERT's, not DeBERTa's own. */
  readonly legacyHead: boolean
}

export function readDebertaConfig(read: SectionReader, bounds: Bounds): DebertaConfig {
  const { size } = bounds
  const bert = readBertConfig(read, bounds, { typeCount: 0, epsilon: 1e-7 })
  const { hiddenSize, hiddenDropout, positions, heads } = bert
  readPaddingId(read, bert.vocabSize)
  const same = (key: string, of: number, what: string): void => {
    const got = read.integer(key, { ...size, fallback: of })
    read.check(got === of, `${key}: expected ${what} (${of}), got ${got}`, [key, 'hidden_size', 'num_attention_heads'])
  }
  same('pooler_hidden_size', hiddenSize, 'hidden_size')
  same('attention_head_size', hiddenSize / heads, 'hidden_size / num_attention_heads')
  const kinds = read.list('pos_att_type', 'text', []).flatMap((text) => text.split('|').map((kind) => kind.trim().toLowerCase()))
  const [width, name] = [read.integer('conv_kernel_size', { ...size, min: 0, fallback: 0 }), readActivation(read, 'conv_act', 'tanh')]
  read.check(width % 2 === 1 || width === 0, `conv_kernel_size: expected an odd number, got ${width}`)
  return {
    ...bert,
    embeddingSize: read.integer('embedding_size', { ...size, fallback: hiddenSize }),
    kinds: { c2p: kinds.includes('c2p'), p2c: kinds.includes('p2c') },
    distances: readDistances(read, bounds, positions),
    positionTable: read.flag('position_biased_input', true),
    convolution: width === 0 ? undefined : { width, activation: name },
    pooler: { activation: readActivation(read, 'pooler_hidden_act', 'gelu'), dropout: read.number('pooler_dropout', { ...DROPOUT, fallback: 0 }) },
    sequenceDropout: read.number('cls_dropout', { ...DROPOUT, fallback: hiddenDropout }),
    legacyHead: read.flag('legacy', true),
  }
}

function readDistances(read: SectionReader, { size }: Bounds, positions: number): DebertaConfig['distances'] {
  const relative = read.flag('relative_attention', false)
  const [most, buckets] = [read.integer('max_relative_positions', { max: size.max, fallback: -1 }), read.integer('position_buckets', { max: size.max, fallback: -1 })]
  const furthest = most < 1 ? positions : most
  const half = Math.floor(buckets / 2)
  read.check(
    !relative || buckets < 1 || (half >= 1 && furthest - 1 > half),
    `position_buckets: expected none, or 2 or more and a half (${half}) below max_relative_positions − 1 (${furthest - 1}), got ${buckets}`,
    ['position_buckets', 'max_relative_positions', 'max_position_embeddings'])
  const distances = {
    furthest,
    buckets: buckets < 1 ? undefined : buckets,
    span: buckets < 1 ? furthest : buckets,
    shareKeys: read.flag('share_att_key', false),
    normed: read.text('norm_rel_ebd', 'none').toLowerCase().split('|').map((kind) => kind.trim()).includes('layer_norm'),
  }
  return relative ? distances : undefined
}
