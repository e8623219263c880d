// A training as a file: what there is to say, and the one schema that checks it, completes it in editors and gives the flags.

import { z } from 'zod'
import type { Task } from '../../base/architecture.ts'
import { TASKS } from '../../base/tasks/task.ts'
import type { WeightDtype } from '../../base/engine/frozen-weight.ts'
import type { Pooling, ProblemType } from '../../base/architecture.ts'
import type { EwcOptions } from '../../forgetting/ewc.ts'
import type { BestOptions } from '../../training/best.ts'
import type { PowerOptions } from '../../training/power.ts'
import type { RowOptions } from '../../training/row-options.ts'
import type { TrainerOptions } from '../../training/trainer-options.ts'
import type { Row } from '../../data/dataset.ts'
import { METHOD, type JobMethod } from './methods.ts'

/** A column's name where `RowOptions` may have functions too. */
type Columns = { readonly [Name in Exclude<keyof RowOptions<Row>, 'labels' | 'missing' | 'maxLength'>]?: string | readonly string[] }

/** Rows, and which of their columns are what. */
export interface JobData extends Columns, Pick<RowOptions<Row>, 'labels' | 'missing' | 'maxLength'> {
  readonly train: string
  readonly evaluate?: string | number
  readonly split?: string
  readonly config?: string
}

export type ScheduleName = 'constant' | 'linear' | 'cosine' | 'inverseSqrt' | 'polynomial' | 'cosineWithRestarts'

/** How it is trained: those options of the trainer that a file can say. */
export interface JobTraining extends Pick<TrainerOptions,
  'epochs' | 'maxSteps' | 'maxSeconds' | 'batchSize' | 'accumulate' | 'learningRate' | 'warmup' | 'weightDecay' | 'maxGradNorm' | 'gradientCheckpointing' |
  'bucketWindow' | 'labelSmoothing' | 'evaluateEvery' | 'nonFinite'> {
  readonly schedule?: ScheduleName
  readonly classWeights?: Readonly<Record<string, number>>
  readonly saveEvery?: number
  readonly best?: BestOptions
  readonly loraPlus?: number
}

/** Holds the model to what it learned before: the guard of `from` is read, and one for the next job is written beside the adapter. */
export interface JobGuard extends EwcOptions {
  readonly name: 'ewc'
}

/** One training, from the model to the folder that it writes. */
export interface Job {
  readonly $schema?: string
  readonly model: string
  readonly task?: Task
  readonly dtype?: WeightDtype
  readonly newHead?: boolean
  readonly pooling?: Pooling
  readonly problemType?: ProblemType
  readonly from?: string
  readonly data: JobData
  readonly method?: JobMethod
  readonly training?: JobTraining
  readonly guard?: JobGuard
  readonly power?: PowerOptions
  readonly output: string
  readonly seed?: number
}

const text = (description: string): z.ZodExactOptional<z.ZodString> => z.string().describe(description).exactOptional()
const number = (description: string, range: { readonly min?: number; readonly above?: number; readonly max?: number } = {}): z.ZodExactOptional<z.ZodNumber> => {
  let checked = z.number()
  if (range.min !== undefined) checked = checked.min(range.min)
  if (range.above !== undefined) checked = checked.gt(range.above)
  if (range.max !== undefined) checked = checked.max(range.max)
  return checked.describe(description).exactOptional()
}
const count = (description: string): z.ZodExactOptional<z.ZodInt> => z.int().min(1).describe(description).exactOptional()
const flag = (description: string): z.ZodExactOptional<z.ZodBoolean> => z.boolean().describe(description).exactOptional()
const column = (description: string) => z.union([z.string(), z.array(z.string()).min(1)], { error: 'expected the name of a column, or a list of names' }).describe(description).exactOptional()

const DATA = z.strictObject({
  train: z.string().describe('Rows to train on: a file (.csv, .tsv, .json, .jsonl, .parquet, .txt, packed as .gz too), a folder of pictures, or a data set of the Hub (hub:owner/name)'),
  evaluate: z.union([z.string(), z.number().gt(0).lt(1)], { error: 'expected a file as in train, or the share of the rows to hold out, between 0 and 1' })
    .describe('Rows to measure on: as train, or the share of its rows that is held out').exactOptional(),
  split: text('Of a data set of the Hub, what is trained on. Default: train'),
  config: text('Of a data set of the Hub, its subset. Default: none'),
  text: column('Column with the text, or two of a pair'),
  words: column('Column with a list of words, for tags'),
  messages: column('Column with a conversation, a list of { role, content }'),
  image: column('Column with a picture: its path or its bytes'),
  label: column('Column with the class'),
  labelSet: column('Column with a list of labels'),
  number: column('Column with a number to learn, or several'),
  tags: column('Column with a class for each word'),
  answer: column('Column with the answer, as SQuAD has it'),
  positive: column('Column with the text that belongs to the row\'s'),
  negative: column('Columns with texts that do not'),
  score: column('Column that says how alike the two are'),
  target: column('Column with the text to write, for encoder-decoders'),
  labels: z.array(z.string()).min(2).describe('Names of the classes by their number. Default: those of the data').exactOptional(),
  missing: z.enum(['error', 'drop']).describe('Rows that lack something are an error, or left out. Default: error').exactOptional(),
  maxLength: count('Most tokens of a row. Default: 512'),
})

const TRAINING = z.strictObject({
  epochs: count('Passes over the rows. Default: 1'),
  maxSteps: count('Steps at most (iters of mlx-lm). Default: those of the epochs'),
  maxSeconds: number('Seconds at most; the same command goes on. Default: no limit', { above: 0 }),
  batchSize: count('Rows in a batch. Default: 32'),
  accumulate: count('Batches in a step. Default: 1'),
  learningRate: number('The highest one. Default: 5e-4', { min: 0 }),
  schedule: z.enum(['linear', 'constant', 'cosine', 'cosineWithRestarts', 'inverseSqrt', 'polynomial']).describe('Shape of the learning rate. Default: linear, falls to 0').exactOptional(),
  warmup: number('Share of the steps in which the learning rate rises from 0. Default: 0', { min: 0, max: 1 }),
  weightDecay: number('AdamW\'s decay. Default: 0.01', { min: 0 }),
  maxGradNorm: number('Largest norm of the gradients. Default: 1', { min: 0 }),
  gradientCheckpointing: flag('Layers run again in the backward pass: less memory, more time. Default: false'),
  bucketWindow: count('Batches among which rows of like length are put together. Default: 1'),
  labelSmoothing: number('Share of each target that is spread over all classes. Default: 0', { min: 0, max: 1 }),
  classWeights: z.record(z.string(), z.number().min(0)).describe('How much a class counts in the loss, by its name. Default: 1 each').exactOptional(),
  evaluateEvery: count('Steps between two evaluations. Default: those of an epoch'),
  saveEvery: count('Steps between two checkpoints. Default: 100'),
  best: z.strictObject({
    metric: z.string().describe('Measure by which the best evaluation is found: loss, accuracy, f1, …'),
    lowerIsBetter: flag('Default: by the measure\'s name'),
    patience: count('Evaluations without a better one that end the training. Default: no end'),
    minDelta: number('How much better is better. Default: 0', { min: 0 }),
  }).describe('Ends with the weights of the best evaluation. Default: with the last').exactOptional(),
  loraPlus: number('LoRA+: how many times faster B learns. Default: 1', { above: 0 }),
  nonFinite: z.enum(['throw', 'skip']).describe('What becomes of a step whose gradients are not finite. Default: throw').exactOptional(),
})

const GUARD = z.strictObject({
  name: z.literal('ewc').describe('Against forgetting: ewc. Default: none'),
  strength: z.number().min(0).describe('Factor of the penalty; about 10 with normalize'),
  normalize: flag('Divides the information of a task by its mean. Default: false'),
  gamma: number('Online EWC: share of the earlier information that is kept. Default: a penalty for each task', { min: 0, max: 1 }),
})

const POWER = z.strictObject({
  watts: number('What the machine draws, where it does not tell it itself. Default: energy is not reported', { above: 0 }),
  gramsPerKilowattHour: number('CO2 of the electricity, in g per kWh. Default: CO2 is not reported', { min: 0 }),
})

/** What a job's file holds. */
export const JOB: z.ZodType<Job> = z.strictObject({
  $schema: text('Where this schema is'),
  model: z.string().min(1).describe('The base: a folder or an id of the Hub'),
  task: z.enum(TASKS as [Task, ...Task[]]).describe('What the model is for. Default: by the columns').exactOptional(),
  dtype: z.enum(['float32', 'bfloat16', 'int8', 'nf4']).describe('How the base is held. Default: as the file has it where it is quantised, else float32').exactOptional(),
  pooling: z.enum(['cls', 'mean', 'pooler', 'last']).describe('How a row becomes one vector. Default: as the model was saved').exactOptional(),
  problemType: z.enum(['single_label_classification', 'multi_label_classification', 'regression']).describe('What the outputs are. Default: by the columns').exactOptional(),
  newHead: flag('Makes the head of the task new, whether the model has one or not. Default: false'),
  from: text('Folder or Hub id of an adapter to go on from. Default: a new one'),
  data: DATA.describe('Rows, and which of their columns are what'),
  method: METHOD.describe('What is trained. Default: lora').exactOptional(),
  training: TRAINING.describe('How it is trained').exactOptional(),
  guard: GUARD.describe('Against forgetting. Default: none').exactOptional(),
  power: POWER.describe('For the energy and the CO2 of the report').exactOptional(),
  output: z.string().min(1).describe('Folder of the adapter, its checkpoints, events.jsonl and report.html'),
  seed: z.int().describe('Decides what is drawn. Default: 0').exactOptional(),
})

/** The schema as JSON Schema, for editors. */
export function jobSchema(): object {
  return { title: 'A training of tfjs-peft', ...z.toJSONSchema(JOB, { io: 'input' }) }
}
