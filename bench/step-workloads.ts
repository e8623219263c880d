// What `npm run bench` measures: models, methods, number formats, and what each side can do to be faster or smaller.

import { dora, ia3, lora, pfeiffer, prefix, prompt, type LoadOptions, type Method, type Task } from 'tfjs-peft'

/** bench/peers/step.py has the same in the peers' words. */
export const METHODS = {
  LoRA: () => lora({ rank: 8, alpha: 16 }),
  'LoRA, experts too': () => lora({ rank: 8, alpha: 16, targets: ['q_proj', 'v_proj'], targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] }),
  DoRA: () => dora({ rank: 8, alpha: 16 }),
  '(IA)³': () => ia3(),
  bottleneck: () => pfeiffer({ reductionFactor: 16 }),
  prefix: () => prefix({ virtualTokens: 20 }),
  prompt: () => prompt({ virtualTokens: 20 }),
} as const satisfies Readonly<Record<string, () => Method>>

export interface Workload {
  /** One of `SHAPES`. */
  readonly shape: string
  readonly batch: number
  readonly length: number
  /** Tokens of each text to write, of an encoder-decoder. */
  readonly targets?: number
  /** Share of the tokens that have a label: of a causal LM the last of each row, as an answer behind its prompt; else spread evenly. @default all */
  readonly labelled?: number
  /** Height and width of pictures, in place of texts; `length` is 0 then. */
  readonly pixels?: number
  readonly task: Task
}

/** Training steps, forward passes, or the time that passes from the start of the process to the first of each. */
export type Measure = 'step' | 'forward' | 'start'

/**
 * The peer's torch.compile, its float32 where the other runs are in bfloat16, and its NF4 by bitsandbytes; on both sides, layers that run again in the
 * backward pass instead of being kept.
 */
export type Variant = 'compile' | 'float32' | 'bitsandbytes' | 'recompute'

export interface Comparison {
  readonly workload: Workload
  readonly method: keyof typeof METHODS
  readonly dtype: NonNullable<LoadOptions['dtype']>
  readonly measure: Measure
  /** What takes part besides the plain runs. */
  readonly also: readonly Variant[]
}

const CLASSES = { task: 'sequence-classification' } as const
const TEXT = { task: 'causal-lm' } as const

const MINILM: Workload = { shape: 'minilm', batch: 32, length: 128, ...CLASSES }
const BERT: Workload = { shape: 'bert-base', batch: 8, length: 128, ...CLASSES }
const GPT2: Workload = { shape: 'gpt2', batch: 8, length: 128, ...TEXT }
/** Its embedding, which is its head too, stays in bfloat16 where its layers are quantised. */
const GPT2_BFLOAT16: Workload = { ...GPT2, shape: 'gpt2-bfloat16' }
const GPT2_LONG: Workload = { shape: 'gpt2', batch: 1, length: 1024, ...TEXT }
const TINY_LLAMA: Workload = { shape: 'tinyllama', batch: 1, length: 256, ...TEXT }
const MODERN_BERT: Workload = { shape: 'modernbert-base', batch: 4, length: 512, ...CLASSES }
const GEMMA3: Workload = { shape: 'gemma3-1b', batch: 1, length: 256, ...TEXT }

const T5_BASE: Workload = { shape: 't5-base', batch: 8, length: 128, targets: 32, task: 'seq2seq-lm' }

const HEAD: Workload = { shape: 'llama3-head', batch: 1, length: 1024, ...TEXT }
const GPT2_CHAT: Workload = { ...GPT2, labelled: 0.25 }
const QWEN3_CHAT: Workload = { shape: 'qwen3-0.6b', batch: 2, length: 256, labelled: 0.25, ...TEXT }
const BERT_WORDS: Workload = { shape: 'bert-base-words', batch: 8, length: 128, labelled: 0.15, task: 'masked-lm' }
const VIT_BASE: Workload = { shape: 'vit-base', batch: 8, length: 0, pixels: 224, task: 'image-classification' }
const CLIP: Workload = { shape: 'clip-vit-base-patch32', batch: 8, length: 0, pixels: 224, task: 'image-text' }

export const COMPARISONS: readonly Comparison[] = [
  comparison(MINILM, 'LoRA', 'float32'),
  comparison(BERT, 'LoRA', 'float32', 'step', ['recompute', 'compile']),
  comparison(BERT, 'LoRA', 'bfloat16', 'step', ['compile']),
  comparison(BERT, 'LoRA', 'int8', 'step', ['compile', 'float32']),
  comparison(GPT2, 'LoRA', 'float32', 'step', ['recompute']),
  comparison(GPT2, 'LoRA', 'bfloat16'),
  comparison(GPT2, 'LoRA', 'int8', 'step', ['compile', 'float32']),
  comparison(GPT2_BFLOAT16, 'LoRA', 'int8', 'step', ['compile', 'float32']),
  comparison(GPT2_LONG, 'LoRA', 'float32'),
  comparison(TINY_LLAMA, 'LoRA', 'bfloat16'),
  comparison(TINY_LLAMA, 'LoRA', 'nf4', 'step', ['bitsandbytes']),
  comparison(MODERN_BERT, 'LoRA', 'float32'),
  comparison(GEMMA3, 'LoRA', 'bfloat16'),
  comparison(T5_BASE, 'LoRA', 'float32'),
  comparison(HEAD, 'LoRA', 'bfloat16'),
  comparison(GPT2_CHAT, 'LoRA', 'float32'),
  comparison(QWEN3_CHAT, 'LoRA', 'bfloat16'),
  comparison(BERT_WORDS, 'LoRA', 'float32'),
  comparison(VIT_BASE, 'LoRA', 'float32'),
  comparison(CLIP, 'LoRA', 'float32', 'forward'),
  comparison(BERT, 'DoRA', 'float32'),
  comparison(BERT, '(IA)³', 'float32'),
  comparison(BERT, 'bottleneck', 'float32'),
  comparison(BERT, 'prompt', 'float32'),
  comparison(GPT2, 'prefix', 'float32'), // PEFT has no prefix for BERT with today's transformers
  comparison(BERT, 'LoRA', 'float32', 'forward'),
  comparison(BERT, 'LoRA', 'bfloat16', 'forward'),
  comparison(BERT, 'LoRA', 'float32', 'start'),
]

function comparison(workload: Workload, method: Comparison['method'], dtype: Comparison['dtype'], measure: Measure = 'step', also: readonly Variant[] = []): Comparison {
  return { workload, method, dtype, measure, also }
}

/** The peer's numbers: in bfloat16 where ours are quantised. */
export function peerDtype(dtype: Comparison['dtype']): 'float32' | 'bfloat16' {
  return dtype === 'float32' ? 'float32' : 'bfloat16'
}

export function nameOf({ shape, batch, length, targets, labelled, pixels }: Workload): string {
  if (pixels !== undefined) return `${shape} ${batch} x ${pixels} x ${pixels}`
  return `${shape} ${batch} x ${length}${targets === undefined ? '' : ` to ${targets}`}${labelled === undefined ? '' : `, ${100 * labelled} % labelled`}`
}

/** One line that tells a comparison from all others. */
export function titleOf({ workload, method, dtype, measure }: Comparison): string {
  return `${nameOf(workload)} ${method} ${dtype} ${measure}`
}
