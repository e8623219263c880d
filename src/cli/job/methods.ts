// The methods that a job can name, each with those of its options that a file can say.

import { z } from 'zod'
import type { Method } from '../../base/method.ts'
import { bottleneck } from '../../adapters/bottleneck.ts'
import { houlsby, parallel, pfeiffer, scaledParallel } from '../../adapters/presets.ts'
import type { BottleneckOptions } from '../../adapters/options.ts'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { rankBudget, type RankBudget, type RankBudgetOptions } from '../../forgetting/rank-budget.ts'
import { adalora } from '../../lora/adalora.ts'
import type { AdaloraOptions } from '../../lora/adalora-options.ts'
import { dora } from '../../lora/dora.ts'
import { ia3 } from '../../lora/ia3.ts'
import { lora, type LoraOptions } from '../../lora/lora.ts'
import { prefix } from '../../prefix/prefix.ts'
import { pTuning } from '../../prompt/p-tuning.ts'
import { prompt } from '../../prompt/prompt.ts'
import { bitFit } from '../../selective/bitfit.ts'
import { fullFineTuning } from '../../selective/full.ts'
import { headOnly } from '../../selective/head.ts'
import { layerNormTuning } from '../../selective/layer-norm.ts'

/** A method by its name, with its options beside it, and the modules that are trained in full with it. */
export interface JobMethod {
  readonly name: MethodName
  readonly train?: readonly string[]
  /** Of AdaLoRA. */
  readonly budget?: Omit<RankBudgetOptions, 'steps'>
  readonly [option: string]: unknown
}

export type MethodName =
  | 'lora' | 'dora' | 'adalora' | 'ia3' | 'houlsby' | 'pfeiffer' | 'parallel' | 'scaledParallel' | 'bottleneck' | 'prefix' | 'prompt' | 'pTuning' | 'bitFit' | 'layerNormTuning'
  | 'headOnly' | 'fullFineTuning'

const names = (description: string) => z.array(z.string()).min(1).describe(description).exactOptional()
const targets = z.union([z.array(z.string()).min(1), z.string()], { error: "expected a list of names of modules, 'all-linear' or a regular expression" })
const count = (description: string) => z.int().min(1).describe(description).exactOptional()
const dropout = z.number().min(0).lt(1).describe('Dropout while training. Default: 0').exactOptional()
const layers = z.array(z.int().min(0)).describe('Numbers of the layers to take. Default: all').exactOptional()

const SELECTION = {
  targets: targets.describe("Modules to adapt: names, 'all-linear', or a regular expression. Default: the method's own choice").exactOptional(),
  exclude: targets.describe('Modules to leave out. Default: none').exactOptional(),
  layers,
}

const LORA = {
  ...SELECTION,
  rank: count('Rank of the update. Default: 8'),
  alpha: z.number().describe('Numerator of its scale. Default: 8').exactOptional(),
  dropout,
  rankStabilized: z.boolean().describe('Divides by the root of the rank. Default: false').exactOptional(),
  init: z.enum(['kaiming', 'gaussian', 'olora', 'pissa']).describe('How it starts. Default: kaiming').exactOptional(),
  bias: z.enum(['none', 'lora_only', 'all']).describe('Biases that are trained too. Default: none').exactOptional(),
  rankPattern: z.record(z.string(), z.int().min(1)).describe('Other ranks for some modules').exactOptional(),
  alphaPattern: z.record(z.string(), z.number()).describe('Other alphas for some modules').exactOptional(),
  targetParameters: names('Stacks of experts, by the ends of their paths'),
} satisfies { [Name in keyof LoraOptions]: z.ZodType<LoraOptions[Name]> }

const steps = (description: string) => z.int().min(0).describe(description).exactOptional()
const beta = (description: string) => z.number().gt(0).lt(1).describe(`${description}. Default: 0.85`).exactOptional()

/** Of the training's steps, where the job does not say: without them the last ranks would be taken in the last step. */
const [AT_START, AT_END] = [0.1, 0.3]

const BUDGET = {
  targetRank: count('Mean rank of a module at the end. Default: 8, or initRank where that is less'),
  initialSteps: steps('Steps at the start in which no rank is taken. Default: a tenth of them'),
  finalSteps: steps('Steps at the end in which what is left stays. Default: three tenths of them'),
  interval: count('Every how many steps ranks are taken. Default: 1'),
  beta1: beta('How slowly importance follows the steps'),
  beta2: beta('How slowly its uncertainty does'),
  orthogonality: z.number().min(0).describe('Strength of the penalty that holds A and B near to orthonormal. Default: 0.5').exactOptional(),
} satisfies { [Name in keyof Omit<RankBudgetOptions, 'steps'>]: z.ZodType<RankBudgetOptions[Name]> }

const ADALORA = {
  ...SELECTION,
  initRank: count('Of AdaLoRA, rank of each module at the start. Default: 12'),
  alpha: LORA.alpha,
  dropout,
  budget: z.strictObject(BUDGET).describe('Which ranks of AdaLoRA are taken, and when').exactOptional(),
} satisfies { [Name in keyof Omit<AdaloraOptions, 'ranks'>]: z.ZodType<AdaloraOptions[Name]> } & Readonly<Record<'budget', z.ZodType>>

const BOTTLENECK = {
  parts: z.array(z.enum(['attention', 'feed-forward'])).min(1).describe('Sublayers it stands at').exactOptional(),
  input: z.enum(['branch', 'sum', 'stream']).describe('What it reads').exactOptional(),
  reductionFactor: z.number().min(1).describe('Width of the model over its own. Default: 16').exactOptional(),
  activation: z.string().describe('By its name in the Hub\'s config.json').exactOptional(),
  scaling: z.union([z.number(), z.enum(['learned', 'channel'])], { error: "expected a number, 'learned' or 'channel'" }).describe('Factor of its output, learned, or channel').exactOptional(),
  dropout,
  init: z.enum(['normal', 'truncated', 'zero-up']).describe('How it starts').exactOptional(),
  skipLayers: z.array(z.int().min(0)).describe('Layers to leave as they are').exactOptional(),
} satisfies { [Name in keyof BottleneckOptions]: z.ZodType<BottleneckOptions[Name]> }

const virtualTokens = count('Rows in front of the text. Default: 20')
const pooling = z.enum(['text', 'all']).describe('What a class is read off. Default: text').exactOptional()

/** The options of each, and what makes it of them. */
const METHODS: Readonly<Record<MethodName, { readonly options: z.ZodRawShape; readonly make: (options: never) => Method }>> = {
  lora: { options: LORA, make: lora },
  dora: { options: LORA, make: dora },
  adalora: { options: ADALORA, make: adalora },
  ia3: { options: { ...SELECTION, feedForward: targets.describe('Of (IA)³, modules whose input is scaled').exactOptional() }, make: ia3 },
  houlsby: { options: BOTTLENECK, make: houlsby },
  pfeiffer: { options: BOTTLENECK, make: pfeiffer },
  parallel: { options: BOTTLENECK, make: parallel },
  scaledParallel: { options: BOTTLENECK, make: scaledParallel },
  bottleneck: { options: BOTTLENECK, make: bottleneck },
  prefix: {
    options: { virtualTokens, init: z.enum(['normal', 'zeros']).describe('How it starts').exactOptional(), reparametrization: z.strictObject({ hiddenSize: z.int().min(1).describe('Of a prefix, inner width of the network that its rows are trained through') }).describe('Trains the rows through a network').exactOptional() },
    make: prefix,
  },
  prompt: { options: { virtualTokens, init: z.enum(['normal', 'vocabulary']).describe('How it starts').exactOptional(), pooling }, make: prompt },
  pTuning: { options: { virtualTokens, encoder: z.enum(['mlp', 'lstm']).describe('Of P-tuning, the network').exactOptional(), hiddenSize: count('Of P-tuning, inner width of the network'), pooling }, make: pTuning },
  bitFit: { options: {}, make: bitFit },
  layerNormTuning: { options: SELECTION, make: layerNormTuning },
  headOnly: { options: {}, make: headOnly },
  fullFineTuning: { options: { layers }, make: fullFineTuning },
}

/** What a job can say of a method; undefined where there is none of that name. */
export function methodSettings(name: unknown): readonly string[] | undefined {
  return typeof name === 'string' && Object.hasOwn(METHODS, name) ? ['train', ...Object.keys(METHODS[name as MethodName].options)] : undefined
}

export const METHOD_NAMES = Object.keys(METHODS) as [MethodName, ...MethodName[]]

const train = names('Modules that are trained in full beside the method. Default: the head of the task')
const branches = METHOD_NAMES.map((name) => z.strictObject({ name: z.literal(name).describe(METHOD_NAMES.join(', ')), train, ...METHODS[name].options }))

export const METHOD: z.ZodType<JobMethod> = z.discriminatedUnion('name', branches as [(typeof branches)[number], ...typeof branches])

/** Settings that name modules. */
const OF_MODULES: readonly string[] = ['targets', 'exclude', 'feedForward']
/** What a regular expression has, and a module's name has not. */
const EXPRESSION = /[*+?^$()[\]{}|\\]/

/**
 * The method that a job names. One text among the names of modules is a name too, unless it is an expression.
 *
 * @throws InputError where its options do not go together
 */
export function methodOf(job: JobMethod): Method {
  const isName = (value: unknown): boolean => typeof value === 'string' && value !== 'all-linear' && !EXPRESSION.test(value)
  const options = Object.entries(job).filter(([key]) => key !== 'name' && key !== 'train' && key !== 'budget')
  return METHODS[job.name].make(Object.fromEntries(options.map(([key, value]) => [key, OF_MODULES.includes(key) && isName(value) ? [value] : value])) as never)
}

/** The budget of an AdaLoRA for the steps of its training; nothing of other methods, and of a single step, which shows nothing of what matters. */
export function budgetOf({ name, budget, initRank = 12 }: JobMethod, adapter: Adapter, steps: number): RankBudget | undefined {
  if (name !== 'adalora' || steps < 2) return undefined
  const usual = { targetRank: Math.min(8, Number(initRank)), initialSteps: Math.floor(AT_START * steps), finalSteps: Math.floor(AT_END * steps) }
  return rankBudget(adapter, { steps, ...usual, ...budget })
}
