// A job from its rows to the folder that it writes.

import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { addExamples, htmlReport } from '../../report/html-report.ts'
import { dispose } from '@tensorflow/tfjs-core'
import { attach } from '../../base/adapter/attach.ts'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { loadModel } from '../../base/checkpoint/load.ts'
import { writeAtomic } from '../../base/files/atomic.ts'
import { loadImageProcessor } from '../../base/image/processor.ts'
import type { Model } from '../../base/model.ts'
import { classifiesRows } from '../../base/tasks/task.ts'
import { loadTokenizer } from '../../base/tokenizer/tokenizer.ts'
import type { Dataset } from '../../data/dataset.ts'
import { InputError } from '../../errors.ts'
import { ewc, type Ewc } from '../../forgetting/ewc.ts'
import { diagonalFisher, fisherProblems, type FisherOptions } from '../../forgetting/fisher.ts'
import type { RankBudget } from '../../forgetting/rank-budget.ts'
import { loadGuards, saveGuards } from '../../forgetting/save-guards.ts'
import { loadAdapter } from '../../load-adapter.ts'
import { areBatches, type BatchSource, type Examples } from '../../training/batches.ts'
import { eventLog } from '../../training/event-log.ts'
import type { EndEvent } from '../../training/events.ts'
import { loraPlus } from '../../training/lora-plus.ts'
import { progress } from '../../training/progress.ts'
import { constant, cosine, cosineWithRestarts, inverseSqrt, linear, polynomial } from '../../training/schedules.ts'
import { Trainer } from '../../training/trainer.ts'
import { TRAINER_OPTIONS, type TrainerOptions } from '../../training/trainer-options.ts'
import { closeModel } from '../opened.ts'
import { given } from '../usage.ts'
import { asTask, readRows, taskOf, type Readers } from './examples.ts'
import { reportedExamples } from './said.ts'
import type { Job, JobTraining, ScheduleName } from './job.ts'
import { budgetOf, methodOf, type JobMethod } from './methods.ts'
import { rowsOf } from './rows.ts'

const SCHEDULES: Readonly<Record<ScheduleName, NonNullable<TrainerOptions['schedule']>>> = { constant, linear, cosine, cosineWithRestarts, inverseSqrt, polynomial }

/** Within the output folder; hidden, so that it is not uploaded with it. */
export const CHECKPOINTS = '.checkpoints'

/** Steps between two checkpoints, as in mlx-lm. */
const SAVE_EVERY = 100

/** What a job has become before its first step. */
export interface Prepared {
  readonly job: Job
  readonly model: Model
  readonly adapter: Adapter
  readonly readers: Readers
  readonly train: Examples
  /** Those to measure on, as they stand in the file. */
  readonly held: Dataset | undefined
  readonly guard: Ewc | undefined
  /** Of an AdaLoRA. */
  readonly budget: RankBudget | undefined
  readonly trainer: Trainer
}

/**
 * Loads everything, so that what is wrong is said before the first step.
 *
 * @param say tells what there is, a line at a time
 * @throws what the loaders and the trainer throw
 */
export async function prepare(job: Job, say: (line: string) => void): Promise<Prepared> {
  const { data, seed = 0 } = job
  if (job.from !== undefined && job.method !== undefined) throw new InputError('The job cannot be used: method: expected none beside from, whose adapter has its own.')
  const task = taskOf(job.task, data)
  const hasText = [data.text, data.words, data.messages].some((column) => column !== undefined)
  const readers: Readers = {
    ...(hasText ? { tokenizer: await loadTokenizer(job.model) } : {}),
    ...(data.image === undefined ? {} : { processor: await loadImageProcessor(job.model) }),
  }
  const rows = await rowsOf(data)
  const train = await readRows(rows.train, data, readers, data.labels)
  const held = rows.evaluate === undefined ? undefined : await readRows(rows.evaluate, data, readers, train.labels)
  const sizes = [`${count(train.examples)} to train on`, ...(held === undefined ? [] : [`${count(held.examples)} held out`])]
  say(`rows        ${sizes.join(', ')}${train.labels.length === 0 ? '' : `; ${train.labels.map((label) => `${label} ${train.counts[label] ?? 0}`).join(', ')}`}`)
  for (const warning of [...train.warnings, ...(held?.warnings ?? []).map((each) => `held out: ${each}`)]) say(`warning     ${warning}`)

  const problemType = job.problemType ?? (data.labelSet === undefined ? data.number === undefined ? undefined : 'regression' : 'multi_label_classification')
  const { dtype, pooling, newHead } = job
  const model = await loadModel(job.model, { task, seed, ...given({ dtype, pooling, newHead, problemType, labels: train.labels.length === 0 ? undefined : train.labels }) })
  const method: JobMethod = job.method ?? { name: 'lora' }
  const adapter = job.from === undefined ? attach(model, methodOf(method), { seed, ...given({ train: method.train }) }) : await loadAdapter(model, job.from)
  const { sites, trainable, total, share } = adapter.summary()
  say(`${adapter.method.name.padEnd(11)} ${sites} modules of ${job.model}, ${trainable} of ${total} parameters trained (${(100 * share).toFixed(2)} %)`)

  if (job.guard !== undefined) checkGuard(job, model, train.examples)
  const guard = job.guard === undefined ? undefined : ewc(given({ strength: job.guard.strength, normalize: job.guard.normalize, gamma: job.guard.gamma }) as { strength: number })
  if (guard !== undefined && job.from !== undefined && existsSync(join(job.from, 'guards.safetensors'))) await loadGuards(job.from, [guard])
  const options = trainerOptions(job, { model, readers, train: train.examples, evaluate: held?.examples })
  const { steps } = new Trainer(options)
  const budget = job.from === undefined ? budgetOf(method, adapter, steps) : undefined
  const guards = [guard, budget].filter((each) => each !== undefined)
  const trainer = new Trainer({ ...options, guards, checkpoints: { folder: join(job.output, CHECKPOINTS), every: job.training?.saveEvery ?? Math.min(SAVE_EVERY, steps) } })
  return { job, model, adapter, readers, train: train.examples, held: rows.evaluate, guard, budget, trainer }
}

function trainerOptions(job: Job, { model, readers, train, evaluate }: Pick<Prepared, 'model' | 'readers' | 'train'> & { readonly evaluate: Examples | undefined }): TrainerOptions {
  const { seed = 0, power, training = {} } = job
  const { schedule, loraPlus: ratio } = training
  const options = Object.fromEntries(Object.entries(training).filter(([name]) => Object.hasOwn(TRAINER_OPTIONS, name) && name !== 'schedule')) as Omit<JobTraining, 'schedule' | 'saveEvery' | 'loraPlus'>
  const { batchSize, bucketWindow, ...rest } = options
  const made = (rows: Examples): Examples | BatchSource => asTask(model, rows, readers, given({ batchSize, bucketWindow, seed }))
  const rows = made(train)
  return {
    model, train: rows, seed, ...rest, ...(areBatches(rows) ? {} : given({ batchSize, bucketWindow })),
    ...given({ evaluate: evaluate === undefined ? undefined : made(evaluate), power, schedule: schedule === undefined ? undefined : SCHEDULES[schedule] }),
    ...(ratio === undefined ? {} : { groups: loraPlus(ratio) }),
  }
}

/** Trains, and writes the adapter where training came to its end. @returns how it ended */
export async function run(prepared: Prepared, signal: AbortSignal): Promise<EndEvent> {
  const { job, model, adapter, train, guard, trainer } = prepared
  await mkdir(job.output, { recursive: true })
  await writeAtomic(join(job.output, 'job.json'), `${JSON.stringify(job, undefined, 2)}\n`)
  const page = join(job.output, 'report.html')
  const watchers = [progress(), eventLog(join(job.output, 'events.jsonl')), htmlReport(page, { title: titleOf(job), settings: { ...job } })]
  const end = await trainer.fit({ signal, watchers })
  if (end.end === 'stopped') return end
  if (guard === undefined) await adapter.save(job.output)
  else {
    const fisher = await diagonalFisher(model, adapter.trainable, train, { kind: kindOf(model) })
    guard.addTask(adapter.trainable, fisher)
    dispose(fisher) // the guard keeps copies
    await saveGuards(job.output, [guard], adapter)
  }
  const { readers, held } = prepared
  if (held !== undefined) await addExamples(page, await reportedExamples({ model, columns: job.data, ...readers }, held.rows()))
  return end
}

/** Exact where there are classes of rows, else that of the labels. */
function kindOf({ record, parts: { task } }: Model): NonNullable<FisherOptions['kind']> {
  return classifiesRows(task) && record.numeric !== true ? 'exact' : 'empirical'
}

/** @throws InputError where a guard could not remember the task at its end */
function checkGuard({ method }: Job, model: Model, rows: Examples): void {
  const problems = [
    ...(method?.name === 'adalora' ? ["expected none beside adalora: its file leaves out the ranks that were taken, and what the guard remembers would not fit it"] : []),
    ...fisherProblems(model, rows, { kind: kindOf(model) }),
  ]
  if (problems.length > 0) throw new InputError('The job cannot be used: guard: it cannot remember what this job learns:', problems)
}

function titleOf({ model, output }: Job): string {
  return `${output}: ${model}`
}

/** Frees what was loaded. */
export function close({ model, guard, budget }: Prepared): void {
  guard?.dispose()
  budget?.dispose()
  closeModel(model)
}

const count = (rows: Examples): number => (rows.ids ?? rows.pixels ?? []).length
