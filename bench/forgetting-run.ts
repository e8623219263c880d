// One run over a sequence of tasks for `npm run bench:forgetting`, with one way to keep from forgetting.

import * as tf from '@tensorflow/tfjs-core'
import {
  accuracy, attach, detach, diagonalFisher, ewc, l2Sp, learnInSequence, loadModel, lora, lwf, predict,
  synapticIntelligence, Trainer, type Adapter, type Examples, type Guard, type Model,
} from 'tfjs-peft'
import { classBalanced, interpolateTensors, type LearnedSequence } from 'tfjs-peft/advanced'
import { permutation, randomStream } from '../src/base/random.ts'
import { draw, MODEL, type Task } from './forgetting-tasks.ts'

export const SETTINGS = { rank: 8, alpha: 16, batch: 8, steps: 50, laterSteps: 75, learningRate: 2e-3, fisher: 200, memory: 100 } as const

export const METHODS = ['naive', 'ewc', 'l2Sp', 'synapticIntelligence', 'lwf', 'replay', 'interpolation', 'joint'] as const
export type MethodName = (typeof METHODS)[number]

export interface Outcome {
  /** Row i has the accuracy on every task after training on task i; of joint training the last row alone. */
  readonly accuracies: LearnedSequence['accuracies']
  readonly untrained: LearnedSequence['untrained']
  /** Of naive training: the accuracies between the weights after the first task (alpha 0) and after the last (alpha 1). */
  readonly line?: readonly { readonly alpha: number; readonly accuracies: readonly number[] }[]
}

const ALPHAS = [0.2, 0.4, 0.6, 0.8]

/** What a method does beside the training. */
interface Strategy {
  /** Guards of the training on a task after the first. */
  readonly guards?: (index: number) => readonly Guard[]
  /** The rows of the training, in their order. */
  readonly rows?: (examples: Examples, index: number) => Examples
  /** What it has to be told after a task. */
  readonly after?: (examples: Examples, index: number) => void | Promise<void>
  readonly dispose?: () => void
}

type Weights = Record<string, tf.Tensor>

/** What every method has in common: the first task, which no guard changes. */
interface First {
  readonly weights: Weights
  /** What synaptic intelligence saw of the training. */
  readonly watched: Weights
  readonly untrained: readonly number[]
  readonly accuracies: readonly number[]
}

const firsts = new Map<string, First>()

/** @param strength what the method is set by: see `strategyOf` */
export async function runSequence(tasks: readonly Task[], method: MethodName, strength: number, seed: number): Promise<Outcome> {
  const examples = tasks.map(({ train }, i) => draw(train, SETTINGS.batch * (i === 0 ? SETTINGS.steps : SETTINGS.laterSteps), 1000 * seed + i))
  const rowsOf = (index: number): Examples => examples[index] as Examples // of the same tasks
  const context = await adapted(seed)
  const { model, adapter } = context
  if (method === 'joint') {
    await train(context, mixed(examples, seed), 0, [])
    const outcome = { accuracies: [await measureAll(model, tasks)], untrained: [] }
    free(context)
    return outcome
  }
  const key = `${seed}: ${tasks.map(({ name }) => name).join()}`
  const first = firsts.get(key) ?? (await firstTask(tasks, rowsOf(0), seed))
  firsts.set(key, first)
  const strategy = await strategyOf(method, strength, context, first)
  let trained = -1
  const { accuracies, untrained } = await learnInSequence(tasks, {
    train: async (_, index) => {
      if (index === 0) copyInto(adapter, first.weights)
      else await train(context, strategy.rows?.(rowsOf(index), index) ?? rowsOf(index), index, strategy.guards?.(index) ?? [])
      if (index < tasks.length - 1 || method === 'interpolation') await strategy.after?.(rowsOf(index), index)
      trained = index
    },
    evaluate: (task, index) => (trained > 0 ? measure(model, task) : (trained === 0 ? first.accuracies : first.untrained)[index] ?? NaN),
  })
  strategy.dispose?.()
  const line = method === 'naive' ? await lineFrom(first.weights, context, tasks) : undefined
  free(context)
  return { accuracies, untrained, ...(line === undefined ? {} : { line }) }
}

/** Needs no training: the weights on the straight line from earlier ones to those that the adapter has. */
async function lineFrom(before: Weights, { model, adapter }: Context, tasks: readonly Task[]): Promise<Outcome['line']> {
  const after = copiesOf(adapter.trainable)
  const line: { readonly alpha: number; readonly accuracies: readonly number[] }[] = []
  for (const alpha of ALPHAS) {
    tf.tidy(() => { copyInto(adapter, interpolateTensors(before, after, alpha)) })
    line.push({ alpha, accuracies: await measureAll(model, tasks) })
  }
  tf.dispose(after)
  return line
}

async function firstTask(tasks: readonly Task[], examples: Examples, seed: number): Promise<First> {
  const context = await adapted(seed)
  const { model, adapter } = context
  const untrained = await measureAll(model, tasks)
  const watching = synapticIntelligence(adapter.trainable, { strength: 0 })
  await train(context, examples, 0, [watching])
  watching.endTask(adapter.trainable)
  const first = { weights: copiesOf(adapter.trainable), watched: copiesOf(watching.state?.() ?? {}), untrained, accuracies: await measureAll(model, tasks) }
  watching.dispose()
  free(context)
  return first
}

async function train({ model, seed }: Context, examples: Examples, index: number, guards: readonly Guard[]): Promise<void> {
  const { batch, learningRate } = SETTINGS
  const order = Array.from((examples.ids ?? []).keys())
  await new Trainer({
    model, train: examples, order, batchSize: batch, learningRate, warmup: 0.1, weightDecay: 0, seed: 1000 * seed + index, guards,
  }).fit()
}

async function measure(model: Model, { evaluate }: Task): Promise<number> {
  return accuracy((await predict(model, evaluate, { batchSize: 50 })).classes, evaluate.labels)
}

async function measureAll(model: Model, tasks: readonly Task[]): Promise<number[]> {
  const row: number[] = []
  for (const task of tasks) row.push(await measure(model, task))
  return row
}

async function adapted(seed: number): Promise<Context> {
  const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['0', '1'], dtype: 'bfloat16', seed })
  const { rank, alpha } = SETTINGS
  return { model, adapter: attach(model, lora({ rank, alpha, targets: ['query', 'value'] }), { seed }), seed }
}

interface Context {
  readonly model: Model
  readonly adapter: Adapter
  readonly seed: number
}

/** What a method is set by: the guard's strength, replay's old rows in a batch, interpolation's alpha. */
async function strategyOf(method: MethodName, strength: number, { model, adapter, seed }: Context, { watched }: First): Promise<Strategy> {
  const { trainable } = adapter
  switch (method) {
    case 'naive':
    case 'joint':
      return {}
    case 'ewc': {
      const guard = ewc({ strength })
      const after = async (examples: Examples, index: number): Promise<void> => {
        const fisher = await diagonalFisher(model, trainable, examples, { size: SETTINGS.fisher, seed: 1000 * seed + index })
        guard.addTask(trainable, fisher)
        tf.dispose(fisher)
      }
      return { guards: () => [guard], after, dispose: () => { guard.dispose() } }
    }
    case 'l2Sp': {
      let guard: ReturnType<typeof l2Sp> | undefined
      const next = (): readonly Guard[] => {
        guard?.dispose()
        guard = l2Sp(trainable, { alpha: strength })
        return [guard]
      }
      return { guards: next, dispose: () => guard?.dispose() }
    }
    case 'synapticIntelligence': {
      const guard = synapticIntelligence(trainable, { strength })
      guard.restore?.(watched)
      return { guards: () => [guard], after: (_, index) => { if (index > 0) guard.endTask(trainable) }, dispose: () => { guard.dispose() } }
    }
    case 'lwf': {
      const before = await adapted(seed)
      const guard = lwf({ teacher: (batch) => before.model.forward(batch), strength })
      const next = (): readonly Guard[] => {
        copyInto(before.adapter, trainable)
        return [guard]
      }
      return { guards: next, dispose: () => { free(before) } }
    }
    case 'replay': {
      const memory = classBalanced<{ readonly ids: ArrayLike<number>; readonly label: number; readonly task: number }>(
        { capacity: SETTINGS.memory, seed }, ({ label, task }) => 2 * task + label)
      const rows = (examples: Examples, index: number): Examples => {
        const { ids = [] } = examples
        const order = randomStream(seed, 'replay', index)
        const old = memory.examples
        const picked = Array.from({ length: ids.length }, (_, i) => {
          if (i % SETTINGS.batch >= strength) return { ids: ids[i] as ArrayLike<number>, label: classOf(examples, i) } // a row of it
          return old[order() % old.length] as (typeof old)[number] // an index of it
        })
        return { ids: picked.map((row) => row.ids), labels: picked.map(({ label }) => label) }
      }
      const after = (examples: Examples, task: number): void => {
        for (const [i, row] of (examples.ids ?? []).entries()) memory.add({ ids: row, label: classOf(examples, i), task })
      }
      return { rows, after }
    }
    case 'interpolation': {
      let before: Weights = {}
      const remember = (): readonly Guard[] => {
        before = copiesOf(trainable)
        return []
      }
      const after = (_: Examples, index: number): void => {
        if (index === 0) return
        tf.tidy(() => { copyInto(adapter, interpolateTensors(before, trainable, strength)) })
        tf.dispose(before)
      }
      return { guards: remember, after }
    }
  }
}

function copyInto({ trainable }: Adapter, weights: Readonly<Record<string, tf.Tensor>>): void {
  tf.tidy(() => {
    for (const [name, variable] of Object.entries(trainable)) variable.assign(tf.clone(weights[name] as tf.Tensor)) // of the same names
  })
}

function copiesOf(weights: Readonly<Record<string, tf.Tensor>>): Weights {
  return Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [name, tf.clone(tensor)]))
}

function free({ model, adapter }: Context): void {
  detach(adapter)
  model.dispose()
}

/** The class of a row. */
function classOf({ labels = [] }: Examples, row: number): number {
  return Number(labels[row])
}

function mixed(examples: readonly Examples[], seed: number): Examples {
  const rows = examples.flatMap((each) => (each.ids ?? []).map((row, i) => ({ ids: row, label: classOf(each, i) })))
  const order = Array.from(permutation(randomStream(seed, 'joint'), rows.length), (i) => rows[i] as (typeof rows)[number]) // an index of it
  return { ids: order.map(({ ids }) => ids), labels: order.map(({ label }) => label) }
}
