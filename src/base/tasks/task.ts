// What each task is. Nothing else knows: a task is added here, and families say which of them they have.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Architecture, LossOptions, OwnLoss } from '../architecture.ts'
import type { Batch } from '../batch.ts'
import { bridge } from '../autodiff/tape.ts'
import { classLoss, multiLabelLoss, nextLabels, nextTokenLoss, ownLabels, regressionLoss, spanLoss, type Loss, type LossParts, type TokenLabels } from './losses.ts'
import { contrastivePairs, PAIRS } from './image-text.ts'
import { CLASSES, LABEL_SETS, NUMBERS, type TaskMeasure } from './measures.ts'
import { SPANS } from './span-measure.ts'
import { nextTokenLabels } from './next-token.ts'
import { contrastive, type SimilarityLoss } from './similarity.ts'

/** What a loaded model is for; decides its head. */
export type Task =
  | 'feature-extraction'
  | 'sentence-embedding'
  | 'sequence-classification'
  | 'image-classification'
  | 'image-embedding'
  | 'image-text'
  | 'token-classification'
  | 'question-answering'
  | 'masked-lm'
  | 'causal-lm'
  | 'seq2seq-lm'

/** What the outputs of sequence or image classification are, as in transformers: numbers, one class a row, or any number of them. */
export type ProblemType = 'regression' | 'single_label_classification' | 'multi_label_classification'

/** Everything that a task is. */
export interface TaskRecord {
  readonly name: Task
  /** `task_type` in PEFT's files; null where PEFT has no name for it. */
  readonly peftType: string | null
  /** What transformers' classes for it are called behind the name of a family: BertForMaskedLM, AutoModelForMaskedLM. */
  readonly className: string
  /** The class that finds the family by itself, where it is called otherwise: AutoModelForSeq2SeqLM. @default as `className` */
  readonly autoName?: string
  /** It is the encoder's alone: its parameters then have no base name before them, as in the Hub's AutoModel. @default false */
  readonly headless?: boolean
  /** Its outputs have names: `labels`. @default false */
  readonly named?: boolean
  /** Which field of the examples says what is right, and what that is; none where it comes from the ids. @default none */
  readonly target?: { readonly field: 'labels' | 'tokenLabels' | 'spans' | 'positives' | 'scores' | 'targets'; readonly what: string }
  /** Labels are numbers, not classes. @default false */
  readonly numeric?: boolean
  /** Between which its labels lie. @default any */
  readonly between?: readonly [least: number, most: number]
  /** Rows of a batch are learned from by the order of their scores. @default false */
  readonly byOrder?: boolean
  /** The loss is a log-probability of each row by itself. @default true */
  readonly likelihood?: boolean
  /** Its loss, or what it gives, is of padding too: rows are padded for it. @default false */
  readonly seesPadding?: boolean
  /** What becomes of a batch before it is learned from. @default nothing */
  readonly prepare?: <B extends Batch>(batch: B) => B
  readonly loss?: Loss
  /** Where its head ends in a vocabulary: which label each token's logits are held against. */
  readonly held?: TokenLabels
  /** @default the loss alone */
  readonly measure?: TaskMeasure
  /** The loss is one of a language: its exponential is the perplexity. @default false */
  readonly language?: boolean
  /** What gives its answers. */
  readonly predictedBy: string
}

/** A class for each row. */
const CLASSIFIES = {
  named: true, target: { field: 'labels', what: 'labels, one for each row' }, loss: classLoss, measure: CLASSES, predictedBy: 'predict',
} as const

const RECORDS: readonly TaskRecord[] = [
  { name: 'feature-extraction', peftType: 'FEATURE_EXTRACTION', className: 'Model', headless: true, likelihood: false, predictedBy: 'model.forward(batch)' },
  {
    name: 'sentence-embedding', peftType: 'FEATURE_EXTRACTION', className: 'Model', headless: true, likelihood: false,
    ...contrastive().parts, predictedBy: 'embed',
  },
  { name: 'sequence-classification', peftType: 'SEQ_CLS', className: 'ForSequenceClassification', ...CLASSIFIES },
  { name: 'image-classification', peftType: null, className: 'ForImageClassification', ...CLASSIFIES },
  { name: 'image-embedding', peftType: null, className: 'Model', headless: true, likelihood: false, predictedBy: 'embed' },
  { name: 'image-text', peftType: null, className: 'Model', headless: true, likelihood: false, loss: contrastivePairs, measure: PAIRS, predictedBy: 'embed' },
  {
    name: 'token-classification', peftType: 'TOKEN_CLS', className: 'ForTokenClassification', named: true,
    target: { field: 'tokenLabels', what: 'tokenLabels, one for each token' }, loss: classLoss, measure: CLASSES, predictedBy: 'predictTokens',
  },
  {
    name: 'question-answering', peftType: 'QUESTION_ANS', className: 'ForQuestionAnswering',
    target: { field: 'spans', what: 'spans, an answer for each row' }, loss: spanLoss, measure: SPANS, seesPadding: true, predictedBy: 'predictSpans',
  },
  {
    name: 'masked-lm', peftType: null, className: 'ForMaskedLM', language: true, loss: classLoss, held: ownLabels, predictedBy: 'predictTokens',
    target: { field: 'tokenLabels', what: 'tokenLabels, or batches made with prepareBatches(rows, { transform: maskTokens({ tokenizer }), ... })' },
  },
  { name: 'causal-lm', peftType: 'CAUSAL_LM', className: 'ForCausalLM', language: true, prepare: nextTokenLabels, loss: nextTokenLoss, held: nextLabels, predictedBy: 'generate' },
  {
    name: 'seq2seq-lm', peftType: 'SEQ_2_SEQ_LM', className: 'ForConditionalGeneration', autoName: 'ForSeq2SeqLM', language: true, loss: classLoss, held: ownLabels, predictedBy: 'generate',
    target: { field: 'targets', what: 'targets, the token ids of the text to write for each row' },
  },
]

/** What is otherwise where the problem is not one class a row. */
const PROBLEMS: Readonly<Partial<Record<ProblemType, Partial<TaskRecord>>>> = {
  regression: { numeric: true, likelihood: false, loss: regressionLoss, measure: NUMBERS, target: { field: 'labels', what: 'labels, a number (or one for each output) for each row' } },
  multi_label_classification: { numeric: true, between: [0, 1], loss: multiLabelLoss, measure: LABEL_SETS, target: { field: 'labels', what: 'labels, for each row 1 or 0 for each label' } },
}

/** Whether its outputs are of each row, and what they are is its problem's to say. */
export function classifiesRows(task: Task): boolean {
  return task === 'sequence-classification' || task === 'image-classification'
}

/** Whether a row becomes one vector before anything is said of it. */
export function isVector(task: Task): boolean {
  return classifiesRows(task) || task === 'sentence-embedding' || task === 'image-embedding'
}

export const TASKS: readonly Task[] = RECORDS.map(({ name }) => name)

export function isTask(name: string): name is Task {
  return RECORDS.some((record) => record.name === name)
}

/** The tasks whose rows have a field, as errors name them; nothing where none has. */
export function tasksWith(field: string): string {
  return RECORDS.filter(({ target }) => target?.field === field).map(({ name }) => `'${name}'`).join(' or ')
}

/** The task of a `task_type` in PEFT's files; the first, where there are several of it. */
export function taskOfType(type: unknown): Task | undefined {
  return type === null ? undefined : RECORDS.find(({ peftType }) => peftType === type)?.name
}

/** The record of a task; where rows are classified that of its problem. */
export function taskRecord(task: Task, problem: ProblemType = 'single_label_classification'): TaskRecord {
  const record = RECORDS.find(({ name }) => name === task) as TaskRecord // there is one for each name
  return classifiesRows(task) ? { ...record, ...PROBLEMS[problem] } : record
}

/** transformers' class of a family for a task. */
export function classNameOf({ className, classNames }: Pick<Architecture, 'className' | 'classNames'>, task: Task): string {
  return classNames?.[task] ?? className + taskRecord(task).className
}

/** transformers' class for a task that finds the family by itself. */
export function autoClassOf({ className, autoName = className }: TaskRecord): string {
  return `AutoModel${autoName === 'Model' ? '' : autoName}`
}

/** What a task without a loss asks for. */
export const noLoss = ({ name }: Pick<TaskRecord, 'name'>): string => `a model for '${name}' has no loss of its own; give it one, as in { loss: (output, batch) => … }`

/** A task that is learned by a loss of the library other than its own. */
export function recordWith(record: TaskRecord, loss: OwnLoss | SimilarityLoss | undefined): TaskRecord {
  return typeof loss === 'object' ? { ...record, ...loss.parts } : record
}

/**
 * The loss of a task, or one's own, from what the model gives for a batch.
 *
 * @throws InputError when the task has none, or as the loss does
 */
export function lossOf(record: TaskRecord, output: Tensor, batch: Batch, options: LossOptions): LossParts {
  const own = options.loss
  if (typeof own !== 'function') {
    const { name, loss } = recordWith(record, own)
    if (loss !== undefined) return loss(output, batch, options)
    throw new InputError(`The loss cannot be computed: ${noLoss({ name })}.`)
  }
  let weight = batch.batch
  const sum = bridge<Scalar>([output], (values) => {
    const found = own(values, batch)
    if (found instanceof tf.Tensor) return tf.mul(found, weight) // a mean over the rows
    weight = found.weight
    return found.sum
  })
  return { sum, weight }
}
