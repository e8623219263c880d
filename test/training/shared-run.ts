// A training of a tiny BERT, of one worker or of several beside each other.

import * as tf from '@tensorflow/tfjs-core'
import type { Variable } from '@tensorflow/tfjs-core'
import { expect } from 'vitest'
import { houlsby, parallel } from '../../src/adapters/presets.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { adapterNamed } from '../../src/base/adapter/named.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { ewc, type Ewc } from '../../src/forgetting/ewc.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import { lwf } from '../../src/forgetting/lwf.ts'
import { rankBudget } from '../../src/forgetting/rank-budget.ts'
import { synapticIntelligence } from '../../src/forgetting/synaptic-intelligence.ts'
import { adalora } from '../../src/lora/adalora.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { pTuning } from '../../src/prompt/p-tuning.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { headOnly } from '../../src/selective/head.ts'
import { layerNormTuning } from '../../src/selective/layer-norm.ts'
import { trainableTokens } from '../../src/selective/trainable-tokens.ts'
import type { StepEvent, TrainerEvent } from '../../src/training/events.ts'
import type { Guard } from '../../src/training/guard.ts'
import { loraPlus } from '../../src/training/lora-plus.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { type Workers } from '../../src/training/workers.ts'
import { valuesOf } from '../golden.ts'
import { together } from './together.ts'

/** Without dropout, which each worker draws for itself. */
export const BERT = {
  model_type: 'bert', vocab_size: 37, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64,
  max_position_embeddings: 24, type_vocab_size: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0,
}
export const ids = Array.from({ length: 23 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (_, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
export const train = { ids, labels: Int32Array.from(ids, (_, i) => i % 2) }

export interface Setup extends Partial<TrainerOptions> {
  /** @default BERT, which tells two classes apart */
  readonly base?: () => Promise<Model>
  readonly method?: Method
  readonly guard?: (model: Model, trainable: Readonly<Record<string, Variable>>) => Guard | Promise<Guard>
  readonly stopAt?: number
}

const bert = (): Promise<Model> => createModel(BERT, { task: 'sequence-classification', labels: ['a', 'b'] })

export interface Run {
  readonly events: readonly TrainerEvent[]
  readonly losses: readonly number[]
  readonly weights: readonly Float32Array[]
}

export async function run({ base = bert, method = lora({ rank: 4 }), guard, stopAt, ...options }: Setup, distributed?: Workers): Promise<Run> {
  const model = await base()
  const adapter = attach(model, method, { seed: 1 })
  const guards = guard === undefined ? [] : [await guard(model, adapter.trainable)]
  const stop = new AbortController()
  const events: TrainerEvent[] = []
  try {
    const trainer = new Trainer({ model, train, ...('epoch' in (options.train ?? train) ? {} : { batchSize: 4 }), learningRate: 1e-2, warmup: 0.2, guards, ...(distributed === undefined ? {} : { distributed }), ...options })
    for await (const event of trainer.run({ signal: stop.signal })) {
      events.push(event)
      if (event.type === 'step' && event.step === stopAt) stop.abort()
    }
    const losses = events.filter((event): event is StepEvent => event.type === 'step').map(({ loss }) => loss)
    return { events, losses, weights: Object.values(adapter.trainable).map((variable) => valuesOf(variable).slice()) }
  } finally {
    for (const guard of guards) if ('dispose' in guard) (guard as Ewc).dispose()
    detach(adapter)
    model.dispose()
  }
}

export function apart(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  return Math.max(...a.flatMap((values, i) => Array.from(values, (value, j) => Math.abs(value - (b[i]?.[j] ?? NaN)))))
}

export const METHODS: Readonly<Record<string, Method>> = {
  lora: lora({ rank: 4, targets: 'all-linear' }), dora: dora({ rank: 4 }), ia3: ia3(), bottleneck: houlsby({ reductionFactor: 4 }), prefix: prefix({ virtualTokens: 3 }),
  prompt: prompt({ virtualTokens: 3 }), pTuning: pTuning({ virtualTokens: 3, hiddenSize: 8 }), bitFit: bitFit(), full: fullFineTuning(),
}

/** Others of the same families. */
export const VARIANTS: Readonly<Record<string, Method>> = {
  adalora: adalora({ initRank: 4, alpha: 16 }), pissa: lora({ rank: 4, init: 'pissa' }), 'lora with trained tokens': lora({ rank: 2, trainableTokens: [3, 5] }), parallel: parallel({ reductionFactor: 4 }),
  'prefix through a network': prefix({ virtualTokens: 3, reparametrization: { hiddenSize: 6 } }), 'p-tuning with an LSTM': pTuning({ virtualTokens: 3, encoder: 'lstm', hiddenSize: 4 }),
  'layer norms': layerNormTuning(), 'the head': headOnly(), 'trained tokens': trainableTokens({ indices: [3, 5, 18] }),
}

const fisherOf = async (model: Model, trainable: Readonly<Record<string, Variable>>): Promise<Guard> => {
  const guard = ewc({ strength: 10, normalize: true })
  const fisher = await diagonalFisher(model, trainable, train)
  guard.addTask(trainable, fisher)
  tf.dispose(fisher)
  return guard
}

export const SETTINGS: Readonly<Record<string, Setup>> = {
  'accumulated batches': { accumulate: 2 },
  'clipped gradients': { maxGradNorm: 0.05 },
  'class weights': { classWeights: [0.2, 3] },
  'smoothed labels, in windows by length': { labelSmoothing: 0.1, bucketWindow: 2 },
  'rows that do not count': { train: { ids, labels: ids.map((_, i) => (i % 3 === 0 ? -100 : i % 2)) } },
  'gradient checkpointing': { gradientCheckpointing: true },
  'what the lower layer gives kept': { method: lora({ rank: 4, layers: [1] }), cacheFrozen: true, order: ids.map((_, i) => i) },
  'layers dropped': { method: houlsby({ reductionFactor: 4 }), adapterDrop: true },
  'groups of parameters': { groups: loraPlus(16) },
  'ewc': { guard: fisherOf },
  'synaptic intelligence': { guard: (_, trainable) => synapticIntelligence(trainable, { strength: 1 }) },
  'a budget of ranks': { method: adalora({ initRank: 4, alpha: 16 }), guard: (model) => rankBudget(adapterNamed(model, 'default'), { steps: 8, targetRank: 2, initialSteps: 1, finalSteps: 2 }) },
  'lwf': { guard: (model) => lwf({ teacher: (batch) => tf.mul(model.forward(batch), 0.5) }) },
}

/** Holds workers' runs against that of one with all their rows. */
export async function expectSame(setup: Setup, { count = 2, steps = 8 } = {}): Promise<void> {
  const whole = await run({ ...setup, maxSteps: steps, batchSize: 4 * count })
  const parts = await Promise.all(together(count).map((workers) => run({ ...setup, maxSteps: steps }, workers)))
  expect(whole.losses).toHaveLength(steps)
  for (const part of parts) {
    expect(Math.max(...part.losses.map((loss, i) => Math.abs(loss - (whole.losses[i] ?? NaN))))).toBeLessThan(1e-5)
    expect(apart(part.weights, whole.weights)).toBeLessThan(1e-4)
    expect(part.weights).toEqual(parts[0]?.weights)
  }
}
