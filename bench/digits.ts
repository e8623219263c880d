// Elastic weight consolidation on split digits, here and by avalanche: the same rows in the same order, the same start of a
// small network, the same plain gradient descent.
//
//   npm run bench:digits
//
// Five tasks of two digits with one head of two classes (even or odd). avalanche's penalty has no factor of one half and squares
// the gradients of batches; with twice its lambda and the same squares both sides have to give the same accuracies. The last
// column has Fisher information as it is defined, from the gradient of each row by itself; that of a batch is about as many times
// smaller as it has rows, and lambda is divided by that. Prints the table, which goes into
// docs/forgetting.md, and writes bench/results/digits.json.

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { ewc } from 'tfjs-peft'
import { loadEngine, openSafetensors, type Ewc } from 'tfjs-peft/advanced'
import { writeSection } from './doc-section.ts'
import { mean, spread, table } from './markdown.ts'
import { path, peersPython, run, writeResults } from './process.ts'

type Side = 'ours' | 'avalanche' | 'by row'
type Accuracies = readonly (readonly number[])[] // after each task, on each task

interface Row {
  readonly side: Side
  readonly lambda: number
  readonly seed: number
  readonly accuracies: Accuracies
}

interface Task {
  readonly x: tf.Tensor2D
  readonly y: tf.Tensor1D
}

type Weights = Readonly<Record<string, tf.Variable>>

const SETTINGS = { batch: 16, epochs: 20, rate: 0.01 } as const
const SEEDS = [0, 1, 2]
const LAMBDAS = [0, 100, 300, 1000, 2000]
const TASKS = 5

await loadEngine()
const python = peersPython('avalanche')
const script = path('peers/digits.py')
const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
const rows: Row[] = []
try {
  execFileSync(python, [script, 'data', folder, ...SEEDS.map(String)])
  for (const seed of SEEDS) for (const lambda of LAMBDAS) await compare(seed, lambda)
} finally {
  await rm(folder, { recursive: true })
}
await writeResults('digits', rows)
const text = textOf()
console.log(text)
await writeSection('forgetting', 'bench:digits', text)

async function compare(seed: number, lambda: number): Promise<void> {
  const { batch, epochs, rate } = SETTINGS
  const args = ['train', folder, seed, lambda, batch, epochs, rate].map(String)
  const theirs = (await run(python, [script, ...args])) as Accuracies
  rows.push({ side: 'ours', lambda, seed, accuracies: await learn(seed, lambda, batch) })
  rows.push({ side: 'avalanche', lambda, seed, accuracies: theirs })
  if (lambda > 0) rows.push({ side: 'by row', lambda, seed, accuracies: await learn(seed, lambda / batch, 1) })
}

/** @param together how many rows' gradients are added before they are squared for the Fisher information */
async function learn(seed: number, lambda: number, together: number): Promise<Accuracies> {
  const tensors = await read(join(folder, `${seed}.safetensors`))
  const tasksOf = (part: string): Task[] => Array.from({ length: TASKS }, (_, task) => ({
    x: tensors[`${part}.${task}.x`] as tf.Tensor2D, y: tensors[`${part}.${task}.y`] as tf.Tensor1D, // as digits.py writes them
  }))
  const start = Object.entries(tensors).filter(([name]) => name.startsWith('start.'))
  const weights = Object.fromEntries(start.map(([name, tensor]) => [name.slice('start.'.length), tf.variable(tensor)]))
  const [tests, guard] = [tasksOf('test'), ewc({ strength: 2 * lambda })]
  const accuracies = tasksOf('train').map((task) => {
    descend(weights, task, guard)
    if (lambda > 0) remember(weights, task, guard, together)
    return tests.map((test) => accuracyOf(weights, test))
  })
  guard.dispose()
  tf.dispose([weights, tensors])
  return accuracies
}

async function read(file: string): Promise<Record<string, tf.Tensor>> {
  const opened = await openSafetensors(file)
  try {
    const tensors: Record<string, tf.Tensor> = {}
    for (const [name, { shape }] of opened.entries) tensors[name] = tf.tensor((await opened.read(name)).data as Float32Array, [...shape])
    return tensors
  } finally {
    await opened.close()
  }
}

/** Plain gradient descent through the rows in their order. */
function descend(weights: Weights, task: Task, guard: Ewc): void {
  for (let epoch = 0; epoch < SETTINGS.epochs; epoch++) {
    for (const batch of batchesOf(task, SETTINGS.batch)) {
      const grads = gradients(weights, batch)
      const penalty = guard.penalty({ trainable: weights })
      tf.tidy(() => {
        for (const [name, weight] of Object.entries(weights)) {
          const grad = tf.addN([grads[name], penalty.grads[name]].filter((own) => own !== undefined))
          weight.assign(tf.sub(weight, tf.mul(grad, SETTINGS.rate)))
        }
      })
      tf.dispose([grads, penalty, batch.x, batch.y] as tf.TensorContainer)
    }
  }
}

/** Tells the guard of a task, with the mean of the squared gradients. */
function remember(weights: Weights, task: Task, guard: Ewc, together: number): void {
  const batches = batchesOf(task, together)
  const fisher = tf.tidy(() => {
    let sum: Record<string, tf.Tensor> = {}
    for (const batch of batches) {
      const grads = gradients(weights, batch)
      sum = Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, tf.add(sum[name] ?? 0, tf.square(grad))]))
    }
    return Object.fromEntries(Object.entries(sum).map(([name, own]) => [name, tf.div(own, batches.length)]))
  })
  guard.addTask(weights, fisher)
  tf.dispose([fisher, batches.map(({ x, y }) => [x, y])] as tf.TensorContainer)
}

function batchesOf({ x, y }: Task, size: number): Task[] {
  const count = Math.ceil(x.shape[0] / size)
  const own = (i: number): number => Math.min(size, x.shape[0] - i * size)
  return Array.from({ length: count }, (_, i) => ({ x: tf.slice(x, [i * size, 0], [own(i), -1]), y: tf.slice(y, [i * size], [own(i)]) }))
}

function gradients(weights: Weights, { x, y }: Task): Record<string, tf.Tensor> {
  const names = Object.keys(weights)
  const loss = (): tf.Scalar => tf.losses.softmaxCrossEntropy(tf.oneHot(y, 2), logits(weights, x))
  const { value, grads } = tf.variableGrads(loss, Object.values(weights))
  value.dispose()
  return Object.fromEntries(names.map((name) => [name, grads[weights[name]?.name ?? ''] as tf.Tensor])) // of each that was asked for
}

function logits(weights: Weights, x: tf.Tensor2D): tf.Tensor2D {
  const layer = (name: string, input: tf.Tensor2D): tf.Tensor2D =>
    tf.add(tf.matMul(input, weights[`${name}.weight`] as tf.Tensor2D, false, true), weights[`${name}.bias`] as tf.Tensor1D)
  return layer('2', tf.relu(layer('0', x)))
}

function accuracyOf(weights: Weights, { x, y }: Task): number {
  return tf.tidy(() => tf.mean(tf.cast(tf.equal(tf.argMax(logits(weights, x), 1), y), 'float32')).dataSync()[0] ?? NaN)
}

function textOf(): string {
  const last = (row: Row): readonly number[] => row.accuracies.at(-1) ?? []
  const of = (side: Side, lambda: number): Row[] => rows.filter((row) => row.side === side && row.lambda === lambda)
  const percent = (side: Side, lambda: number, measure: (row: Row) => number): string => spread(of(side, lambda).map((row) => 100 * measure(row)))
  const apart = (lambda: number): number => Math.max(...of('ours', lambda).flatMap(({ accuracies, seed }) => {
    const theirs = of('avalanche', lambda).find((row) => row.seed === seed)?.accuracies ?? []
    return accuracies.flatMap((row, i) => row.map((accuracy, j) => Math.abs(accuracy - (theirs[i]?.[j] ?? NaN))))
  }))
  const { batch, epochs, rate } = SETTINGS
  return [
    ...table(
      ['lambda', 'average, here', 'average, avalanche', 'furthest apart', 'first task, here', 'first task, avalanche', `average, Fisher by row, lambda / ${SETTINGS.batch}`],
      LAMBDAS.map((lambda) => [
        String(lambda), percent('ours', lambda, (row) => mean(last(row))), percent('avalanche', lambda, (row) => mean(last(row))), (100 * apart(lambda)).toFixed(1),
        percent('ours', lambda, (row) => last(row)[0] ?? NaN), percent('avalanche', lambda, (row) => last(row)[0] ?? NaN),
        percent('by row', lambda, (row) => mean(last(row))),
      ]),
    ),
    '',
    `Accuracies in % after the fifth task; mean of the seeds ${SEEDS.join(', ')}, lowest to highest. "Furthest apart" is the largest difference of one accuracy ` +
      `between the two sides, after any task, on any task, in points. 64-100-2 with ReLU, gradient descent at ${rate}, ${epochs} epochs of batches of ${batch}.`,
  ].join('\n')
}
