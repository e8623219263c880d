// Every method of the library as `npm run bench:methods` compares them. Sizes are alike within a family.

import {
  adalora, bitFit, dora, fullFineTuning, headOnly, houlsby, ia3, layerNormTuning, lora, parallel, pfeiffer, prefix, prompt,
  pTuning, scaledParallel, type Method,
} from 'tfjs-peft'
import { loraPlus, type ParameterGroup, type RankBudgetOptions } from 'tfjs-peft/advanced'
import { callText, methodCall as call, type MethodCall } from './method-call.ts'

export const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'

export interface BenchMethod {
  readonly name: string
  /** Attached one after the other; the head is trained with the last. */
  readonly calls: readonly MethodCall<Method>[]
  /** Where the search for a learning rate begins; one of the ladder's. */
  readonly learningRate: number
  /** Optimiser groups, for methods that are a way of training. */
  readonly groups?: MethodCall<readonly ParameterGroup[]>
  /** Of AdaLoRA: its budget, but for the steps. */
  readonly budget?: Omit<RankBudgetOptions, 'steps'>
}

const lowRank = { rank: 8, alpha: 16, targets: ['query', 'value'] } as const
const narrow = { reductionFactor: 8 } as const
const rows = { virtualTokens: 10 } as const

export const METHODS: readonly BenchMethod[] = [
  { name: 'head only', calls: [call(headOnly)], learningRate: 3e-1 },
  { name: 'LoRA', calls: [call(lora, lowRank)], learningRate: 3e-3 },
  { name: 'LoRA, rank stabilised', calls: [call(lora, { ...lowRank, rankStabilized: true })], learningRate: 3e-3 },
  { name: 'LoRA+', calls: [call(lora, lowRank)], learningRate: 1e-3, groups: call(loraPlus, 16) },
  { name: 'PiSSA', calls: [call(lora, { ...lowRank, init: 'pissa' })], learningRate: 1e-3 },
  { name: 'OLoRA', calls: [call(lora, { ...lowRank, init: 'olora' })], learningRate: 1e-3 },
  { name: 'DoRA', calls: [call(dora, lowRank)], learningRate: 3e-3 },
  { name: 'AdaLoRA', calls: [call(adalora, { initRank: 12, alpha: 24, targets: lowRank.targets })], learningRate: 3e-3, budget: { targetRank: 8, initialSteps: 10, finalSteps: 30 } },
  { name: '(IA)³', calls: [call(ia3)], learningRate: 1e-2 },
  { name: 'Houlsby adapter', calls: [call(houlsby, narrow)], learningRate: 3e-3 },
  { name: 'Pfeiffer adapter', calls: [call(pfeiffer, narrow)], learningRate: 3e-3 },
  { name: 'parallel adapter', calls: [call(parallel, narrow)], learningRate: 3e-3 },
  { name: 'scaled parallel adapter', calls: [call(scaledParallel, narrow)], learningRate: 3e-3 },
  { name: 'prefix', calls: [call(prefix, rows)], learningRate: 1e-2 },
  { name: 'Mix-And-Match', calls: [call(prefix, rows), call(scaledParallel, narrow)], learningRate: 3e-3 },
  { name: 'prompt', calls: [call(prompt, rows)], learningRate: 3e-2 },
  { name: 'P-tuning', calls: [call(pTuning, { ...rows, hiddenSize: 128 })], learningRate: 3e-3 },
  { name: 'P-tuning with an LSTM', calls: [call(pTuning, { ...rows, encoder: 'lstm', hiddenSize: 128 })], learningRate: 3e-3 },
  { name: 'BitFit', calls: [call(bitFit)], learningRate: 3e-3 },
  { name: 'LayerNorm tuning', calls: [call(layerNormTuning)], learningRate: 3e-3 },
  { name: 'full fine-tuning', calls: [call(fullFineTuning)], learningRate: 1e-4 },
]

export function benchMethod(name: string): BenchMethod {
  const row = METHODS.find((other) => other.name === name)
  if (row === undefined) throw new Error(`No method '${name}'; there are ${METHODS.map((other) => other.name).join(', ')}`)
  return row
}

/** How a method is called, as one line. */
export function textOf({ calls, groups, budget }: BenchMethod): string {
  const texts = [...calls, ...(groups === undefined ? [] : [groups])].map(({ text }) => text)
  return [...texts, ...(budget === undefined ? [] : [callText('rankBudget', budget)])].join(' + ')
}
