// What a training must be continued with.

import { createHash, type Hash } from 'node:crypto'
import type { Variable } from '@tensorflow/tfjs-core'
import type { ParameterGroup } from './adamw.ts'
import { areBatches } from './batches.ts'
import { withClassNumbers } from './class-names.ts'
import { numbersOf, type Examples } from './examples.ts'
import type { CompleteOptions, TrainerOptions } from './trainer-options.ts'

export type Settings = Readonly<Record<string, string | number>>

/** What decides the course of a training; functions by their name, data and trained tensors by a hash. */
export function settingsOf(options: CompleteOptions<TrainerOptions>, steps: number, trainable: Readonly<Record<string, Variable>>): Settings {
  const { train, batchSize, accumulate, learningRate, schedule, warmup, weightDecay, maxGradNorm, seed, bucketWindow, guards, groups } = options
  const { order, best, evaluateEvery = 0, labelSmoothing, classWeights, loss } = options
  return {
    steps, batchSize, accumulate, learningRate, schedule: schedule.name, warmup, weightDecay, seed, bucketWindow,
    maxGradNorm: String(maxGradNorm), // JSON has no Infinity
    ...(options.adapterDrop ? { adapterDrop: 1 } : {}),
    ...(order === undefined ? {} : { order: digest(order) }),
    ...(loss === undefined ? {} : { loss: loss.name }),
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    ...(classWeights === undefined ? {} : { classWeights: digest(classWeights) }),
    ...(groups.length === 0 ? {} : { groups: digest(groupOf(Object.keys(trainable), groups)) }),
    ...(guards.length === 0 ? {} : { guards: guards.map(({ name }) => name).join() }),
    ...(best === undefined ? {} : { best: JSON.stringify(best), evaluateEvery }),
    ...(areBatches(train) ? {} : { data: digestOf(withClassNumbers(options.model, train)) }),
    trained: digest(Object.entries(trainable).map(([name, { shape }]) => `${name} ${shape.join('x')}`)),
  }
}

/** Each tensor's own learning rate and decay; a schedule by its text. */
function groupOf(names: readonly string[], groups: readonly ParameterGroup[]): string[] {
  return names.map((name) => {
    const { learningRateScale = 1, weightDecay = '' } = groups.find(({ match }) => match(name)) ?? {}
    return `${name} ${String(learningRateScale)} ${weightDecay}`
  })
}

/** Everything the rows have, by its name. */
function digestOf(examples: Examples): string {
  const hash = createHash('sha256')
  for (const [name, rows] of Object.entries(examples).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (rows === undefined) continue
    hash.update(`${name}\n`)
    for (const row of Array.from(rows as ArrayLike<Nested>)) update(hash, row)
  }
  return hash.digest('hex').slice(0, 16)
}

type Nested = number | ArrayLike<number> | readonly ArrayLike<number>[]

/** A row's numbers, or how many texts it has and those of each. */
function update(hash: Hash, row: Nested): void {
  if (typeof row === 'object' && typeof row[0] === 'object') {
    hash.update(`${row.length} texts\n`)
    for (const text of row as readonly ArrayLike<number>[]) update(hash, text)
    return
  }
  const numbers = Float64Array.from(numbersOf(row as number | ArrayLike<number>))
  hash.update(`${numbers.length}\n`).update(new Uint8Array(numbers.buffer))
}

function digest(values: ArrayLike<number | string>): string {
  return createHash('sha256').update(Array.from(values).join('\n')).digest('hex').slice(0, 16)
}
