// What a training must be continued with.

import { createHash, type Hash } from 'node:crypto'
import { basename, resolve } from 'node:path'
import type { Variable } from '@tensorflow/tfjs-core'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { Model } from '../base/model.ts'
import { ownName } from '../base/options.ts'
import type { ParameterGroup } from './adamw.ts'
import { areBatches } from './batches.ts'
import { weightsOfClasses, withClassNumbers } from './class-names.ts'
import { numbersOf, type Examples } from './examples.ts'
import { rowsOfBatch, type CompleteOptions, type TrainerOptions } from './trainer-options.ts'

export type Settings = Readonly<Record<string, string | number>>

/** What decides the course of a training; functions by their name, what is large by a hash behind a `#`. */
export function settingsOf(options: CompleteOptions<TrainerOptions>, steps: number, trainable: Readonly<Record<string, Variable>>): Settings {
  const { model, train, accumulate, learningRate, schedule, warmup, weightDecay, maxGradNorm, seed, bucketWindow, guards, groups } = options
  const { order, best, evaluateEvery = 0, labelSmoothing, classWeights, loss } = options
  return {
    steps, batchSize: rowsOfBatch(options), accumulate, learningRate, schedule: schedule.name, warmup, weightDecay, seed, bucketWindow,
    maxGradNorm: String(maxGradNorm), // JSON has no Infinity
    ...(options.adapterDrop ? { adapterDrop: 1 } : {}),
    ...(typeof options.cacheFrozen === 'object' && options.cacheFrozen.dtype === 'bfloat16' ? { cacheFrozen: 'bfloat16' } : {}), // float32 changes no number
    ...(order === undefined ? {} : { order: digest(order) }),
    ...(loss === undefined ? {} : { loss: loss.name }),
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    ...(classWeights === undefined ? {} : { classWeights: digest(weightsOfClasses(model, classWeights)) }),
    ...(groups.length === 0 ? {} : { groups: digest(groupOf(Object.keys(trainable), groups)) }),
    ...(guards.length === 0 ? {} : { guards: guards.map(({ name }) => name).join() }),
    ...(best === undefined ? {} : { best: JSON.stringify(best), evaluateEvery }),
    ...(areBatches(train) ? prefixed('train.', train.settings ?? {}) : {}),
    ...dataOf(options.model, areBatches(train) ? train.examples : train),
    ...modelOf(model),
    ...methodsOf(model.attached.enabled),
    trained: digest(Object.entries(trainable).map(([name, { shape }]) => `${name} ${shape.join('x')}`)),
  }
}

function dataOf(model: Model, rows: Examples | undefined): Settings {
  return rows === undefined ? {} : { data: rowsHash(withClassNumbers(model, rows)) }
}

/** What is adapted, and what its outputs stand for. A folder by its last name, which it keeps on another machine. */
function modelOf({ parts, labels, problem }: Model): Settings {
  const kinds = new Set([...parts.params.values()].map(({ kind }) => kind.name).filter((name) => name !== 'float32'))
  return {
    ...(kinds.size === 0 ? {} : { dtype: [...kinds].sort().join() }),
    model: /^[./~]/.test(parts.source) ? basename(resolve(parts.source)) : parts.source,
    task: parts.task,
    ...(parts.pooling === undefined ? {} : { pooling: parts.pooling }),
    ...(labels.length === 0 ? {} : { labels: JSON.stringify(labels) }),
    ...(problem === undefined ? {} : { problemType: problem }),
  }
}

/** The method of each adapter with its options, those of a single one without its name. */
function methodsOf(adapters: readonly Adapter[]): Settings {
  return Object.fromEntries(adapters.flatMap(({ name, method, context }) => {
    const prefix = adapters.length === 1 ? '' : `${name}.`
    const options = Object.entries(method.format.config(context)).filter(([, value]) => (value ?? null) !== null)
    return [
      [`${prefix}method`, method.name],
      ...options.map(([option, value]) => [`${prefix}method.${ownName(option)}`, typeof value === 'number' || typeof value === 'string' ? value : JSON.stringify(value)] as const),
    ]
  }))
}

/** What differs, each in the words of the option; what follows from another difference is left out. */
export function differencesOf(there: Settings, here: Settings): string[] {
  const changed = [...new Set([...Object.keys(here), ...Object.keys(there)])].filter((name) => there[name] !== here[name])
  const methods = changed.filter((name) => /(^|\.)method$/.test(name))
  const told = changed.filter((name) => !methods.some((method) => name.startsWith(`${method}.`)))
  const isOption = (name: string): boolean => /(^|\.)method\./.test(name)
  const shownAs = (value: string | number | undefined): string => (String(value).startsWith('#') ? 'some' : String(value ?? 'none'))
  return told
    .filter((name) => name !== 'trained' || !told.some((other) => methods.includes(other) || isOption(other)))
    .map((name) => (there[name] !== undefined && shownAs(there[name]) === shownAs(here[name]) ? `${name}: others there than here` : `${name}: ${shownAs(there[name])} there, ${shownAs(here[name])} here`))
}

const prefixed = (prefix: string, settings: Settings): Settings => Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]))

/** Each tensor's own learning rate and decay; a schedule by its text. */
function groupOf(names: readonly string[], groups: readonly ParameterGroup[]): string[] {
  return names.map((name) => {
    const { learningRateScale = 1, weightDecay = '' } = groups.find(({ match }) => match(name)) ?? {}
    return `${name} ${String(learningRateScale)} ${weightDecay}`
  })
}

/** Everything the rows have, by its name. */
export function rowsHash(examples: Examples): string {
  const hash = createHash('sha256')
  for (const [name, rows] of Object.entries(examples).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (rows === undefined) continue
    hash.update(`${name}\n`)
    for (const row of Array.from(rows as ArrayLike<Nested>)) update(hash, row)
  }
  return `#${hash.digest('hex').slice(0, 16)}`
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
  return `#${createHash('sha256').update(Array.from(values).join('\n')).digest('hex').slice(0, 16)}`
}
