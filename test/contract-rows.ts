// Every method and every model: a method is one row of METHODS, a model one of MODELS.

import type { ConfigJson } from '../src/base/architecture.ts'
import type { Batch } from '../src/base/batch.ts'
import { createModel } from '../src/base/checkpoint/create.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { normal, randomStream } from '../src/base/random.ts'
import { bottleneck } from '../src/adapters/bottleneck.ts'
import { houlsby, parallel, pfeiffer, scaledParallel } from '../src/adapters/presets.ts'
import { adalora } from '../src/lora/adalora.ts'
import { dora } from '../src/lora/dora.ts'
import { ia3 } from '../src/lora/ia3.ts'
import { lora } from '../src/lora/lora.ts'
import { bitFit } from '../src/selective/bitfit.ts'
import { fullFineTuning } from '../src/selective/full.ts'
import { headOnly } from '../src/selective/head.ts'
import { layerNormTuning } from '../src/selective/layer-norm.ts'
import { trainableTokens } from '../src/selective/trainable-tokens.ts'
import { prefix } from '../src/prefix/prefix.ts'
import { pTuning } from '../src/prompt/p-tuning.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { methodCall as call } from '../bench/method-call.ts'
import { contract, type MethodRow, type ModelRow } from './contract.ts'
import { goldenPath } from './golden.ts'

export const METHODS: readonly MethodRow[] = [
  { name: 'LoRA', method: call(lora, { rank: 4, alpha: 8 }), identity: true, mergeable: true },
  { name: 'LoRA, all-linear with dropout', method: call(lora, { targets: 'all-linear', dropout: 0.1 }), identity: true, mergeable: true },
  {
    name: 'LoRA, rank stabilised, patterns',
    method: call(lora, { rank: 4, rankStabilized: true, targets: ['query', 'value'], rankPattern: { value: 2 }, alphaPattern: { '1.*query': 3 } }),
    identity: true,
    mergeable: true,
  },
  { name: 'LoRA on experts', method: call(lora, { rank: 2, alpha: 4, targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] }), identity: true, mergeable: true, summed: true },
  { name: 'LoRA on an embedding', method: call(lora, { rank: 3, targets: ['position_embeddings'] }), identity: true, mergeable: true, summed: true },
  { name: 'LoRA, gaussian', method: call(lora, { rank: 16, init: 'gaussian' }), identity: true, mergeable: true },
  { name: 'LoRA, trained biases of its modules', method: call(lora, { rank: 2, bias: 'lora_only' }), identity: true, mergeable: true, exclusive: true },
  { name: 'PiSSA', method: call(lora, { rank: 4, init: 'pissa' }), identity: true, mergeable: true, folded: true },
  {
    name: 'PiSSA by search, rank stabilised, on an embedding too',
    method: call(lora, { rank: 2, alpha: 2, init: { kind: 'pissa', iterations: 4 }, rankStabilized: true, targets: '.*(position_embeddings|self.*|attention\\.[qv]_lin)' }),
    identity: true,
    mergeable: true,
    summed: true,
    folded: true,
  },
  { name: 'OLoRA', method: call(lora, { rank: 4, init: 'olora' }), identity: true, mergeable: true, folded: true },
  { name: 'DoRA', method: call(dora, { rank: 4, alpha: 8 }), identity: true, mergeable: true, exclusive: true, detached: true },
  {
    name: 'DoRA from PiSSA with dropout',
    method: call(dora, { rank: 4, init: 'pissa', targets: 'all-linear', dropout: 0.1 }),
    identity: true,
    mergeable: true,
    exclusive: true,
    detached: true,
    folded: true,
  },
  {
    name: 'DoRA on an embedding, with biases',
    method: call(dora, { rank: 3, targets: ['position_embeddings'], bias: 'all' }),
    identity: true,
    mergeable: true,
    summed: true,
    exclusive: true,
    detached: true,
  },
  { name: 'AdaLoRA', method: call(adalora, { initRank: 3, alpha: 30 }), identity: true, mergeable: true },
  { name: '(IA)³', method: call(ia3), identity: true, mergeable: true },
  { name: '(IA)³ on every product', method: call(ia3, { targets: 'all-linear', feedForward: '.*1.*' }), identity: true, mergeable: true },
  { name: 'BitFit', method: call(bitFit), identity: true, mergeable: true, exclusive: true },
  { name: 'LayerNorm tuning', method: call(layerNormTuning), identity: true, mergeable: true, exclusive: true },
  { name: 'head only', method: call(headOnly), identity: true, mergeable: true, exclusive: true, headAlone: true },
  { name: 'full fine-tuning', method: call(fullFineTuning), identity: true, mergeable: true, summed: true, exclusive: true, inFull: true },
  { name: 'trainable tokens', method: call(trainableTokens, { indices: [12, 3, 13, 8] }), identity: true, mergeable: true, summed: true },
  { name: 'LoRA with trainable tokens', method: call(lora, { rank: 2, trainableTokens: [12, 3, 13] }), identity: true, mergeable: true, summed: true },
  { name: 'DoRA with trainable tokens', method: call(dora, { rank: 2, trainableTokens: [12, 3, 13] }), identity: true, mergeable: true, summed: true, exclusive: true, detached: true },
  { name: 'Houlsby adapter', method: call(houlsby, { reductionFactor: 4 }), identity: false, mergeable: false },
  { name: 'Pfeiffer adapter', method: call(pfeiffer, { reductionFactor: 4, dropout: 0.1 }), identity: false, mergeable: false },
  { name: 'parallel adapter', method: call(parallel), identity: true, mergeable: false },
  { name: 'scaled parallel adapter', method: call(scaledParallel, { reductionFactor: { 0: 4, default: 8 } }), identity: true, mergeable: false },
  {
    name: 'bottleneck adapter, behind the norm, scaled by column, first layer left out',
    method: call(bottleneck, { parts: ['attention'], input: 'sum', reductionFactor: 4, activation: 'gelu', scaling: 'channel', init: 'truncated', skipLayers: [0] }),
    identity: false,
    mergeable: false,
  },
  { name: 'prefix', method: call(prefix, { virtualTokens: 3 }), identity: false, mergeable: false },
  {
    name: 'prefix through a network',
    method: call(prefix, { virtualTokens: 3, reparametrization: { hiddenSize: 6 } }),
    identity: false,
    mergeable: false,
    summed: true,
    folded: true,
  },
  { name: 'prompt', method: call(prompt, { virtualTokens: 3 }), identity: false, mergeable: false },
  { name: 'prompt from the vocabulary', method: call(prompt, { virtualTokens: 2, init: 'vocabulary' }), identity: false, mergeable: false },
  { name: 'P-tuning', method: call(pTuning, { virtualTokens: 3, hiddenSize: 6 }), identity: false, mergeable: false, summed: true, folded: true },
  {
    name: 'P-tuning with an LSTM',
    method: call(pTuning, { virtualTokens: 3, encoder: 'lstm', hiddenSize: 4 }),
    identity: false,
    mergeable: false,
    summed: true,
    folded: true,
  },
]

const tokens = {
  ids: Int32Array.from({ length: 4 * 7 }, (_, i) => 1 + ((i * 11) % 31)),
  mask: Int32Array.from({ length: 4 * 7 }, (_, i) => (i % 7 < 4 + (Math.floor(i / 7) % 4) ? 1 : 0)),
  batch: 4,
  length: 7,
}

const leftPadded = { ...tokens, mask: tokens.mask.map((_, i) => tokens.mask[7 * Math.floor(i / 7) + 6 - (i % 7)] ?? 0) }

const pictures = (numbers: number): Batch => ({ pixels: normal(randomStream(4, 'pictures'), 4 * numbers, 0, 1), batch: 4, length: 0 })

/** Every token goes through all experts: where it goes through some, the loss is not continuous, and finite differences say nothing. */
const MIXTURES: Readonly<Record<string, ConfigJson>> = {
  'Qwen3-MoE': { model_type: 'qwen3_moe', head_dim: 6, moe_intermediate_size: 6, intermediate_size: 20, num_experts: 4, num_experts_per_tok: 4 },
  Mixtral: { model_type: 'mixtral', head_dim: 16, intermediate_size: 7, num_local_experts: 3, num_experts_per_tok: 3, sliding_window: 3 },
  'gpt-oss': { model_type: 'gpt_oss', head_dim: 16, intermediate_size: 7, num_local_experts: 3, num_experts_per_tok: 3, sliding_window: 3, initializer_range: 0.2 },
}

export const MODELS: readonly ModelRow[] = [
  {
    name: 'BERT, sequence classification',
    load: () => loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b', 'c'] }),
    batch: { ...tokens, labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'BERT, sequence classification on the mean of the tokens',
    load: () => loadModel(goldenPath('bert/odd_sizes'), { task: 'sequence-classification', labels: ['a', 'b'], pooling: 'mean' }),
    batch: { ...tokens, labels: Int32Array.of(0, 1, 1, 0) },
  },
  {
    name: 'BERT, token classification',
    load: () => loadModel(goldenPath('bert/token_classification'), { task: 'token-classification' }),
    batch: { ...tokens, labels: tokens.mask.map((bit, i) => (bit === 1 ? i % 5 : -100)) },
  },
  {
    name: 'BERT, masked LM',
    load: () => loadModel(goldenPath('bert/masked_lm'), { task: 'masked-lm' }),
    batch: { ...tokens, labels: tokens.ids.map((id, i) => (i % 3 === 0 && tokens.mask[i] === 1 ? id : -100)) },
  },
  {
    name: 'RoBERTa, question answering',
    load: () => loadModel(goldenPath('roberta/base'), { task: 'question-answering' }),
    batch: { ...tokens, labels: Int32Array.of(0, 2, 1, 1, 3, 3, -100, 2) },
  },
  {
    name: 'DistilBERT, sequence classification',
    load: () => loadModel(goldenPath('distilbert/base'), { task: 'sequence-classification', labels: ['a', 'b', 'c'] }),
    batch: { ...tokens, labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'DeBERTa, sequence classification',
    load: () => loadModel(goldenPath('deberta-v2/sequence_classification'), { task: 'sequence-classification' }),
    batch: { ...tokens, ids: tokens.ids.map((id) => id % 17), labels: Int32Array.of(0, 2, 1, 1) },
    mixed: true,
  },
  {
    name: 'ModernBERT, sequence classification',
    load: () => loadModel(goldenPath('relatives/modernbert_base'), { task: 'sequence-classification', labels: ['a', 'b', 'c'] }),
    batch: { ...tokens, ids: tokens.ids.map((id) => id % 29), labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'MPNet, token classification',
    load: () => loadModel(goldenPath('mpnet/sequence_classification'), { task: 'token-classification', labels: ['a', 'b', 'c'], newHead: true }),
    batch: { ...tokens, ids: tokens.ids.map((id) => id % 17), labels: tokens.mask.map((bit, i) => (bit === 1 ? i % 3 : -100)) },
    mixed: true,
  },
  {
    name: 'ALBERT, sequence classification',
    load: () => loadModel(goldenPath('albert/sequence_classification_groups'), { task: 'sequence-classification' }),
    batch: { ...tokens, ids: tokens.ids.map((id) => id % 17), labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'NomicBERT, sequence classification',
    load: () => createModel({
      model_type: 'nomic_bert', vocab_size: 32, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 20,
      max_position_embeddings: 32, initializer_range: 0.3,
    }, { task: 'sequence-classification', labels: ['a', 'b', 'c'], seed: 5 }),
    batch: { ...tokens, labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'GPT-2, causal LM',
    load: () => loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' }),
    batch: { ...tokens, labels: tokens.ids.map((id, i) => (tokens.mask[i] === 1 ? id : -100)) },
  },
  {
    name: 'mT5, sequence to sequence',
    load: () => loadModel(goldenPath('t5/mt5'), { task: 'seq2seq-lm' }),
    batch: {
      ...tokens, ids: tokens.ids.map((id) => id % 29),
      decoderIds: Int32Array.from({ length: 4 * 5 }, (_, i) => (i % 5 === 0 ? 0 : 1 + ((i * 7) % 27))), labels: Int32Array.from({ length: 4 * 5 }, (_, i) => (i % 7 === 6 ? -100 : (i * 5) % 29)),
    },
  },
  {
    name: 'BART, sequence to sequence',
    load: () => loadModel(goldenPath('bart/seq2seq'), { task: 'seq2seq-lm' }),
    batch: {
      ...tokens, ids: tokens.ids.map((id) => id % 29),
      decoderIds: Int32Array.from({ length: 4 * 5 }, (_, i) => (i % 5 === 0 ? 2 : 3 + ((i * 7) % 26))), labels: Int32Array.from({ length: 4 * 5 }, (_, i) => (i % 7 === 6 ? -100 : (i * 5) % 29)),
    },
  },
  {
    name: 'BART, sequence classification',
    load: () => loadModel(goldenPath('bart/sequence_classification'), { task: 'sequence-classification' }),
    batch: { ...tokens, ids: tokens.ids.map((id, i) => (i % 7 === 3 ? 2 : id % 29)), labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'LLaMA, sequence classification',
    load: () => loadModel(goldenPath('llama/odd_sizes'), { task: 'sequence-classification', labels: ['a', 'b', 'c'] }),
    batch: { ...leftPadded, ids: leftPadded.ids.map((id) => id % 29), labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'LLaMA, token classification',
    load: () => loadModel(goldenPath('llama/token_classification'), { task: 'token-classification' }),
    batch: { ...tokens, labels: tokens.mask.map((bit, i) => (bit === 1 ? i % 5 : -100)) },
  },
  {
    name: 'Mistral, causal LM with a window',
    load: () => loadModel(goldenPath('mistral/window'), { task: 'causal-lm' }),
    batch: { ...tokens, labels: tokens.ids.map((id, i) => (tokens.mask[i] === 1 ? id : -100)) },
  },
  ...[['Granite', 'granite'], ['OLMo 3', 'olmo3'], ['Gemma 2', 'gemma2'], ['Gemma 4', 'gemma4_text'], ['Phi-3', 'phi3'], ['Ministral 3', 'ministral3'], ['Qwen3.5', 'qwen3_5_text']].map(([name, type]): ModelRow => {
    const ids = tokens.ids.map((id) => id % 29)
    return {
      name: `${name}, causal LM`,
      load: () => loadModel(goldenPath(`relatives/${type}_causal_lm`), { task: 'causal-lm' }),
      batch: { ...tokens, ids, labels: ids.map((id, i) => (tokens.mask[i] === 1 ? id : -100)) },
    }
  }),
  {
    name: 'ViT, image classification',
    load: () => loadModel(goldenPath('vit/image_classification'), { task: 'image-classification' }),
    batch: { ...pictures(3 * 12 * 12), labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'DINOv2, image classification',
    load: () => loadModel(goldenPath('dinov2/image_classification'), { task: 'image-classification' }),
    batch: { ...pictures(3 * 12 * 12), labels: Int32Array.of(0, 2, 1, 1) },
  },
  ...[['CLIP', 'clip'], ['SigLIP', 'siglip']].map(([name, family]): ModelRow => ({
    name: `${name}, pictures and texts`,
    load: () => loadModel(goldenPath(`${family}/base`), { task: 'image-text' }),
    batch: { ...pictures(3 * 12 * 12), ids: tokens.ids.map((id, i) => (i % 7 === 6 ? 18 : id % 17)), length: 7 },
  })),
  ...Object.entries(MIXTURES).map(([name, config]): ModelRow => ({
    name: `${name}, causal LM`,
    load: () => createModel({ vocab_size: 32, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 32, initializer_range: 0.3, ...config }, { seed: 5 }),
    batch: { ...tokens, labels: tokens.ids.map((id, i) => (tokens.mask[i] === 1 ? id : -100)) },
  })),
  ...(['nf4', 'int8'] as const).flatMap((dtype): ModelRow[] => [
    {
      name: `BERT, sequence classification, held in ${dtype}`,
      load: () => loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b', 'c'], dtype }),
      batch: { ...tokens, labels: Int32Array.of(0, 2, 1, 1) },
      rounds: true,
    },
    {
      name: `LLaMA, causal LM, held in ${dtype}`,
      load: () => loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm', dtype }),
      batch: { ...tokens, ids: tokens.ids.map((id) => id % 29), labels: tokens.ids.map((id, i) => (tokens.mask[i] === 1 ? id % 29 : -100)) },
      rounds: true,
    },
  ]),
]

const ENCODERS = /^(BERT|RoBERTa|DistilBERT|DeBERTa|ModernBERT|MPNet|ALBERT|NomicBERT|ViT|DINOv2|CLIP|SigLIP)/
const WITH_POSITIONS = /^(BERT|RoBERTa|DistilBERT|MPNet|ALBERT)/
const WITH_BIASES = /^(BERT|BART|RoBERTa|DistilBERT|DeBERTa|MPNet|ALBERT|GPT-2|Granite|ViT|DINOv2|CLIP|SigLIP|gpt-oss)/

/** The models that have what a method asks for, where not all do. */
const FITS: Readonly<Record<string, { readonly models: RegExp; readonly only: string }>> = {
  'LoRA, rank stabilised, patterns': { models: /^(BERT|RoBERTa)/, only: 'with modules of these names' },
  'LoRA on experts': { models: /^(Qwen3-MoE|Mixtral|gpt-oss)/, only: 'with experts' },
  'LoRA on an embedding': { models: WITH_POSITIONS, only: 'with a table of this name' },
  'LoRA, all-linear with dropout': { models: /^(?!Granite|OLMo|Gemma|Ministral|Qwen3-MoE|Qwen3.5)/, only: 'with keys wider than the rank' },
  'LoRA, gaussian': { models: /^(?!DeBERTa|MPNet|ALBERT|ModernBERT|Mistral|LLaMA, token|LLaMA, causal|Granite|OLMo|Gemma|Ministral|Qwen3-MoE|Qwen3.5)/, only: 'with keys wider than the rank' },
  'LoRA, trained biases of its modules': { models: WITH_BIASES, only: 'with biases' },
  'PiSSA by search, rank stabilised, on an embedding too': { models: WITH_POSITIONS, only: 'with modules of these names' },
  'DoRA on an embedding, with biases': { models: WITH_POSITIONS, only: 'with a table of this name' },
  'BitFit': { models: WITH_BIASES, only: 'with biases' },
  ...Object.fromEntries(['prefix', 'prefix through a network', 'prompt', 'prompt from the vocabulary', 'P-tuning', 'P-tuning with an LSTM'].map((name) =>
    [name, { models: name.includes('vocabulary') ? /^(?!BART, sequence classification|ViT|DINOv2|CLIP|SigLIP)/ : /^(?!BART, sequence classification|CLIP|SigLIP)/, only: 'where HF PEFT has them' }])),
  ...Object.fromEntries(['trainable tokens', 'LoRA with trainable tokens', 'DoRA with trainable tokens'].map((name) => [name, { models: /^(?!ViT|DINOv2|CLIP|SigLIP)/, only: 'with a table of words that PEFT finds' }])),
  'head only': { models: /classification|question/, only: 'with a head of the task' },
}

/** The methods and models that fit each other. */
function pairs(): { readonly method: MethodRow; readonly model: ModelRow; readonly only?: string }[] {
  return MODELS.flatMap((model) => METHODS.flatMap((method) => {
    const { models, only } = FITS[method.name] ?? {}
    if (models?.test(model.name) === false) return []
    return [{ method, model, ...(only === undefined ? {} : { only }) }]
  }))
}

type Pair = ReturnType<typeof pairs>[number]

/**
 * Each family with each kind of method that fits it: of the pairs that are so the one whose method and model had the fewest turns, a method that fits
 * few families before the others. The first of each method and of each model has all checks; the long tests have them of every pair.
 */
export const FEW: readonly (Pair & { readonly isBrief: boolean })[] = sample()

function sample(): (Pair & { readonly isBrief: boolean })[] {
  const groups = new Map<string, Pair[]>()
  for (const pair of pairs()) {
    const group = familyAndKind(pair)
    groups.set(group, [...(groups.get(group) ?? []), pair])
  }
  const turns = new Map<unknown, number>()
  const commonness = (method: MethodRow): number => [...groups.values()].filter((group) => group.some((pair) => pair.method === method)).length / groups.size
  const turnsOf = ({ method, model }: Pair): number => (turns.get(method) ?? 0) + (turns.get(model) ?? 0) + commonness(method)
  return [...groups.values()].map((group) => {
    const chosen = group.reduce((best, pair) => (turnsOf(pair) < turnsOf(best) ? pair : best))
    const isBrief = turns.has(chosen.method) && turns.has(chosen.model)
    for (const part of [chosen.method, chosen.model]) turns.set(part, (turns.get(part) ?? 0) + 1)
    return { ...chosen, isBrief }
  })
}

export function familyAndKind({ method, model }: Pair): string {
  return `${model.name.replace(/,.*/, '')}: ${method.method().name}`
}

/** All that fit each other, by family and kind of method. */
export function allGroups(): Set<string> {
  return new Set(pairs().map(familyAndKind))
}

/** Pairs on models of one kind, every one by default. A file for each kind: the two run side by side. */
export function contractOn(kind: 'encoders' | 'decoders', chosen: readonly (Pair & { readonly isBrief?: boolean })[] = pairs()): void {
  for (const { method, model, ...options } of chosen) {
    if (ENCODERS.test(model.name) === (kind === 'encoders')) contract(method, model, options)
  }
}
