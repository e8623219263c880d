// A case of the exchange as plain data: all that either side needs to make the same thing.

import type { Task } from '../../../src/base/architecture.ts'
import { ownAdapter, peftAdapter, textOf, type AdapterRecipe } from './adapters.ts'
import { drawFrom, given, type Draw } from './draw.ts'
import { FAMILIES, type Family } from './families.ts'

/** Who makes the model and the adapter, and so what the other side has to read. */
export type Maker = 'peers' | 'here'

/** Where the base's files come from: the task's own class, or a bare encoder, on which the task's head is new. */
export type Base = 'task' | 'bare'

/** What a file of a tied model holds of its head: as it is saved, both alike, both unlike, or the head's name alone. */
export type HeadInFile = 'saved' | 'alike' | 'unlike' | 'alone'

export interface ModelRecipe {
  readonly type: string
  readonly decoder: boolean
  readonly task: Task
  /** Fields of config.json. */
  readonly config: Readonly<Record<string, unknown>>
  readonly labels: number
  readonly base: Base
  readonly dtype: 'float32' | 'float16' | 'bfloat16'
  readonly shards: boolean
  readonly headInFile: HeadInFile
  /** Rows of the vocabulary when the adapter was made, where not the base's. */
  readonly vocabulary?: number
}

export interface BatchRecipe {
  readonly rows: number
  readonly length: number
  readonly ids?: readonly number[]
  readonly mask?: readonly number[]
  readonly types?: readonly number[]
  /** Of an encoder-decoder, as many in each row. */
  readonly decoderIds?: readonly number[]
  readonly pictures?: { readonly shape: readonly number[]; readonly pixels: readonly number[] }
}

export interface Recipe {
  readonly maker: Maker
  readonly seed: number
  readonly number: number
  readonly model: ModelRecipe
  readonly adapter: AdapterRecipe & { readonly train?: readonly string[] | undefined }
  readonly batch: BatchRecipe
}

/** The case of this number, of this seed, of one of these families. */
export function recipeOf(maker: Maker, seed: number, number: number, families: readonly string[]): Recipe {
  const draw = drawFrom(seed, maker, number)
  const type = draw.pick(families)
  const family = FAMILIES[type] as Family // one of its keys
  const task = draw.pick(family.tasks)
  const drawn = modelOf(drawFrom(seed, maker, number, 'model'), maker, { type, task, family })
  const place = { family, task, config: drawn.config, layers: layersOf(drawn.config) }
  const adapter = (maker === 'peers' ? peftAdapter : ownAdapter)(drawFrom(seed, maker, number, 'adapter'), place)
  // PEFT trains tokens of a head beside those of the table where config.json ties the two, whatever their file holds.
  const model = drawn.headInFile === 'unlike' && JSON.stringify(adapter).includes('token_ind') ? { ...drawn, headInFile: 'saved' as const } : drawn
  const batch = batchOf(drawFrom(seed, maker, number, 'batch'), { model, family, virtual: isVirtual(adapter) })
  return { maker, seed, number, model, adapter, batch }
}

function layersOf(config: ModelRecipe['config']): number {
  const { num_hidden_layers, n_layers, n_layer, num_layers, encoder_layers } = textOf(config)
  return Number(num_hidden_layers ?? n_layers ?? n_layer ?? num_layers ?? encoder_layers)
}

const isVirtual = ({ method }: AdapterRecipe): boolean => /prompt|tuning|prefix/i.test(method) && !/norm|LN_/i.test(method)

const CLASSIFICATIONS: readonly Task[] = ['sequence-classification', 'token-classification', 'question-answering']

function modelOf(draw: Draw, maker: Maker, { type, task, family }: { readonly type: string; readonly task: Task; readonly family: Family }): ModelRecipe {
  const config = { ...family.config(draw) }
  const classifies = task.endsWith('classification')
  const labels = classifies ? draw.pick([2, 2, 3, 4, 5]) : 2
  // What is saved here of these for features has no pooler, without which their classifier cannot begin.
  const poolerless = maker === 'here' && ['bert', 'ernie', 'albert', 'nomic_bert'].includes(type) && task === 'sequence-classification'
  // PEFT saves no head of pictures, nor BART's, and makes new what stands before the last product, the pooler of DeBERTa and NomicBERT and ModernBERT's head.
  const forgotten = maker === 'peers' && ((['deberta-v2', 'nomic_bert'].includes(type) && task === 'sequence-classification') || type === 'modernbert' || family.reads !== undefined)
  const base: Base = CLASSIFICATIONS.includes(task) && !poolerless && !forgotten && draw.chance(0.5) ? 'bare' : 'task'
  const tiedAtStart = !family.decoder || type === 'gpt2'
  const tied = (config['tie_word_embeddings'] ?? tiedAtStart) === true && (task === 'causal-lm' || task === 'masked-lm')
  const headInFile = tied && maker === 'peers' && draw.chance(0.3) ? draw.pick(['alike', 'unlike', 'alone'] as const) : 'saved'
  const vocabSize = Number(config['vocab_size'])
  return given({
    type,
    decoder: family.decoder,
    task,
    config,
    labels,
    base,
    dtype: maker === 'here' ? 'float32' : draw.pick(['float32', 'float32', 'float32', 'float16', 'bfloat16']),
    shards: maker === 'peers' && headInFile === 'saved' && draw.chance(0.3),
    headInFile,
    vocabulary: maker === 'peers' && headInFile === 'saved' && vocabSize > 0 ? draw.maybe(0.07, () => vocabSize + draw.int(1, 5)) : undefined,
  }) as unknown as ModelRecipe // given() leaves out undefined values alone
}

interface BatchPlace {
  readonly model: ModelRecipe
  readonly family: Family
  /** Rows come before the text. */
  readonly virtual: boolean
}

/** A few rows of tokens; those of padding hold the padding's id and no other does, by which transformers finds a row's end. */
function batchOf(draw: Draw, { model: { config: all, task, vocabulary }, family: { decoder, reads }, virtual }: BatchPlace): BatchRecipe {
  if (reads === 'pictures') return { ...picturesOf(draw, all, draw.int(1, 3)), length: 0 }
  const config = textOf(all)
  const vocabSize = vocabulary ?? Number(config['vocab_size'])
  const usual = decoder ? undefined : 0
  const padding = (config['pad_token_id'] ?? usual) as number | undefined
  // transformers takes one row alone where it does not know the padding, and the last token of all behind virtual ones
  const single = decoder && task === 'sequence-classification' && padding === undefined
  const pooled = decoder && task === 'sequence-classification' && virtual
  const [rows, length] = [single ? 1 : draw.int(1, 3), draw.int(2, 12)]
  const padded = rows > 1 && !pooled && length > 2 && draw.chance(0.6)
  const left = padded && decoder && !virtual && draw.chance(0.3)
  // one row is whole: transformers counts the columns where the length of the texts decides, we their tokens
  const ends = Array.from({ length: rows }, (_, row) => (padded && row > 0 ? draw.int(2, length) : length))
  const mask = ends.flatMap((end) => Array.from({ length }, (_, i) => Number(left ? i >= length - end : i < end)))
  // a text is read off its one end
  const end = reads === 'pictures and texts' || (reads === 'two texts' && task === 'sequence-classification') ? config['eos_token_id'] : undefined
  const token = (): number => {
    const id = draw.int(0, vocabSize - 1)
    return id === padding || id === end ? Array.from({ length: 3 }, (_, i) => (id + 1 + i) % vocabSize).find((next) => next !== padding && next !== end) ?? id : id
  }
  const ids = mask.map((real, i) => (real === 1 ? (end !== undefined && (ends[Math.floor(i / length)] ?? 0) - 1 === i % length ? Number(end) : token()) : (padding ?? 0)))
  const typeCount = Number(config['type_vocab_size'] ?? 2)
  const dropped = task === 'question-answering' || (task === 'feature-extraction' && virtual) // PEFT hands no segments on there
  const typed = !decoder && reads === undefined && !('dim' in config) && !dropped && typeCount > 0 && draw.chance(0.5)
  return given({
    rows, length, ids,
    mask: padded || draw.chance(0.5) ? mask : undefined,
    types: typed ? mask.map((real) => (real === 1 ? draw.int(0, typeCount - 1) : 0)) : undefined,
    decoderIds: task === 'seq2seq-lm' ? Array.from({ length: rows * draw.int(1, 6) }, token) : undefined,
    ...(reads === 'pictures and texts' ? picturesOf(draw, all['vision_config'] as ModelRecipe['config'], rows) : {}),
  }) as unknown as BatchRecipe // as above
}

function picturesOf(draw: Draw, { image_size: size, num_channels: channels = 3 }: ModelRecipe['config'], rows: number): Pick<BatchRecipe, 'rows' | 'pictures'> {
  const shape = [rows, Number(channels), Number(size), Number(size)]
  return { rows, pictures: { shape, pixels: Array.from({ length: shape.reduce((product, count) => product * count) }, () => draw.number(-2, 2)) } }
}
